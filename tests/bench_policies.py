"""How good the rules are: against the original ones and an expert who knows the root cause; prints JSON.

python tests/bench_policies.py > checkpoints/results/policies.json
"""

import asyncio
import json
import statistics
from collections.abc import Sequence
from typing import Any

from bench_machine import machine

from agent.play.episode import SOLVED_SCORE
from agent.play.run import play_tasks
from agent.policies.registry import make_policy
from agent.records.provenance import folder_hash, git_revision
from data.observation import DIFFICULTIES, Action, Task, parse_step
from data.simulator.catalogue import catalogue, random_tasks
from data.simulator.world.environment import EmbeddedEnvironment, next_action
from data.simulator.world.logs import Wording
from data.simulator.world.world import World
from gnn.evaluation.metrics import interval
from gnn.registry import make_ranker, weights_folder

RANDOM_EPISODES, SEED = 300, 0
# Each policy with its rankers and the wording of the logs; the original runner's
# ranker is the heuristic.
ARMS: tuple[tuple[str, str, Wording], ...] = (
    ("rules", "gnn", "known"),
    ("rules", "gnn", "held_out"),
    ("rules", "heuristic", "known"),
    ("legacy-rules", "gnn", "known"),
    ("legacy-rules", "heuristic", "known"),
)
EXPERT = "expert"


def by_policy(policy: str, ranker: str, tasks: Sequence[Task], wording: Wording = "known") -> list[float]:
    """A policy's grades; an episode without a grade counts as 0."""
    results = asyncio.run(
        play_tasks(
            tasks,
            lambda: EmbeddedEnvironment(wording),
            make_ranker(ranker),
            lambda task: make_policy(policy, seed=task.seed),
            (),
            1,
            60.0,
        )
    )
    return [result.score or 0.0 for result in results]


def by_expert(tasks: Sequence[Task]) -> list[float]:
    """The grades of the policy that knows the hidden state."""
    world = World()
    grades = []
    for task in tasks:
        answer = world.reset(task.difficulty, task.seed, task.task_id)
        for _ in range(task.max_ticks):
            assert world.episode is not None
            answer = world.step(next_action(world.episode))
            if answer["done"]:
                break
        else:
            answer = world.step(Action(action_type="declare_resolved"))
        grades.append(parse_step(answer, task.name).outcome.score or 0.0)
    return grades


def entry(arm: Sequence[str | None], grades: Sequence[float], best: Sequence[float]) -> dict[str, Any]:
    """One row: a policy's mean grade, also as a share of the expert's."""
    mean = statistics.mean(grades)
    return {
        **dict(zip(("policy", "ranker", "wording"), arm, strict=True)),
        "n": len(grades),
        "mean_score": round(mean, 4),
        "ci95": [round(bound, 4) for bound in interval(grades)],
        "solved": round(sum(grade >= SOLVED_SCORE for grade in grades) / len(grades), 4),
        "share_of_expert": round(mean / statistics.mean(best), 4),
    }


def results(name: str, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The rows of all policies on the same tasks, all together and by difficulty."""
    best = by_expert(tasks)
    played: list[tuple[Sequence[str | None], list[float]]] = [((EXPERT, None, None), best)]
    for policy, ranker, wording in ARMS:
        played.append(((policy, ranker, wording), by_policy(policy, ranker, tasks, wording)))
    rows = []
    for level in ("all", *DIFFICULTIES):
        chosen = [k for k, task in enumerate(tasks) if level in ("all", task.difficulty)]
        for arm, grades in played:
            row = entry(arm, [grades[k] for k in chosen], [best[k] for k in chosen])
            rows.append({"tasks": name, "difficulty": level, **row})
    return rows


def main() -> None:
    weights = weights_folder("gnn", None)
    assert weights is not None
    record = {
        "what": "rules against the original ones and an expert who knows the root cause, embedded worlds",
        "command": "python tests/bench_policies.py",
        "machine": machine(),
        "git": git_revision(),
        "weights_sha256": folder_hash(weights),
        "seed": SEED,
        "results": [
            *results("catalogue", catalogue()),
            *results("random", random_tasks(RANDOM_EPISODES, "all", SEED)),
        ],
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
