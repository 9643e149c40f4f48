"""What a model is taught: what the teacher did, from prompts that know no outcome, for fair rewards."""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import pytest
from tiny_model import make_tiny_model

from agent.cli import answer
from agent.finetune.examples import Notes, Teacher, decided, reply_of, taught_examples
from agent.finetune.options import last_whole_checkpoint
from agent.finetune.rollouts import Branch, RewardWeights, Rollout, branches, reward_of, rollout
from agent.finetune.sft import split_by_task
from agent.llm.prompt_budget import PromptBudget
from agent.llm.reply import WAIT
from agent.llm.sanitize import speaks_of_the_grade
from agent.play.episode import play_task
from agent.policies.registry import ExplorePolicy
from agent.policies.rules import RulesPolicy
from agent.situation.decision import Decision, Message, Situation
from data.actions import action_space, is_remedy
from data.observation import Action
from data.simulator.catalogue import random_tasks
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.registry import make_ranker

TASKS = random_tasks(4, "all", 3)
RANKER = make_ranker("heuristic")


def words(messages: Sequence[Message]) -> int:
    return sum(len(message["content"].split()) for message in messages)


BUDGET = PromptBudget(120, words)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def points() -> list[Branch]:
    return list(branches(TASKS, RANKER, BUDGET, 0.5, 0))


def reward(branch: Branch, reply: str) -> float:
    return reward_of(asyncio.run(played(branch, reply)), RewardWeights())


async def played(branch: Branch, reply: str) -> Rollout:
    """What the reply comes to, with the hints of its prompt."""
    return await rollout(branch.task, branch.step, reply, RANKER if branch.hinted else make_ranker("none"))


def taken(teacher: Teacher) -> list[tuple[Branch, Decision]]:
    """Every decision of a teacher, with where it was made."""
    played = decided(TASKS, teacher, RANKER, BUDGET, 0.5, 0)
    return [
        (Branch(one.task, step, prompt, one.hinted), decision)
        for one in played
        for step, (prompt, decision) in enumerate(one.decisions)
    ]


@pytest.mark.parametrize("teacher", ["rules", "expert"])
def test_examples_fit_their_budget_and_know_no_grade(teacher: Teacher) -> None:
    examples = list(taught_examples(TASKS, teacher, RANKER, BUDGET, 0.5, 0.0, 0))
    assert len(examples) > len(taken(teacher)) > len(TASKS)  # mistakes take more steps
    for example in examples:
        assert words(example.prompt) <= 120
        assert not speaks_of_the_grade(" ".join(message["content"] for message in example.prompt))
        assert json.loads(example.reply)["action_type"] in (*action_space(True), WAIT)


def test_without_hints_neither_prompt_nor_teacher_knows_a_ranking() -> None:
    for hinted_share, ranked in ((0.0, False), (1.0, True)):
        examples = taught_examples(TASKS, "rules", RANKER, BUDGET, hinted_share, 0.0, 0)
        assert any("ranker" in example.prompt[1]["content"] for example in examples) is ranked


def test_no_held_out_task_is_learnt_from() -> None:
    learnt, held_out = split_by_task(list(taught_examples(TASKS, "rules", RANKER, BUDGET, 0.5, 0.0, 0)), 0.3)
    assert learnt and held_out and not {e.task for e in learnt} & {e.task for e in held_out}


def test_the_rules_own_reply_changes_nothing_and_prompts_know_no_outcome(points: list[Branch]) -> None:
    for branch, (_, ruled) in list(zip(points, taken("rules"), strict=True))[::3]:
        outcome = asyncio.run(played(branch, reply_of(ruled)))
        assert outcome.usable
        assert outcome.result.steps[branch.step].decision == Decision(ruled.action, "llm")
        assert not speaks_of_the_grade(" ".join(message["content"] for message in branch.prompt))


def test_waiting_is_a_reply_that_can_be_used(points: list[Branch]) -> None:
    reply = json.dumps({"action_type": "wait", "target_service": None, "reason": ""})
    assert asyncio.run(rollout(points[0].task, 0, reply, RANKER)).usable


def remedied() -> list[tuple[Branch, Decision]]:
    return [pair for pair in taken("rules") if is_remedy(pair[1].action)][::2]


def test_resolving_early_does_not_pay() -> None:
    early = reply_of(Decision(Action(action_type="declare_resolved"), "rules", reason="done"))
    for branch, decision in remedied():
        assert reward(branch, early) < reward(branch, reply_of(decision))


def test_an_echo_of_the_prompt_does_not_pay() -> None:
    for branch, decision in remedied():
        good = reply_of(decision)
        echo = branch.prompt[0]["content"] + branch.prompt[1]["content"]
        assert max(reward(branch, echo), reward(branch, echo + good)) < reward(branch, good) - 0.5


class Looker(Notes):
    """Looks, for as long as it is let."""

    async def decide(self, situation: Situation) -> Decision:
        service = min(situation.now.services)
        return Decision(Action(action_type="get_metrics_detail", target_service=service), "llm")


def test_looking_for_ever_does_not_pay() -> None:
    rewards = []
    for policy in (Looker, Notes):
        results = []
        for task in TASKS:
            notes = policy(RulesPolicy(), BUDGET, True, ExplorePolicy(0, random_share=0.0))
            played = play_task(EmbeddedEnvironment(), RANKER, notes, task, 60.0, lambda _: None)
            results.append(asyncio.run(played))
        rewards.append([reward_of(Rollout(one, True, False, 80), RewardWeights()) for one in results])
    assert mean(rewards[0]) < mean(rewards[1]) - 0.2


def test_remedies_of_the_healthy_and_long_replies_cost(points: list[Branch]) -> None:
    result = asyncio.run(rollout(points[0].task, 0, "", RANKER)).result
    plain = reward_of(Rollout(result, True, False, 80), RewardWeights())
    for worse in (
        Rollout(result, False, False, 80),
        Rollout(result, True, True, 80),
        Rollout(result, True, False, 900),
    ):
        assert reward_of(worse, RewardWeights()) < plain


SHORT = "--episodes 4 --seed 3 --ranker heuristic --prompt-budget 1100 --batch 2 --rank 2 --quiet"


def test_a_killed_training_goes_on_to_the_same_adapter(tiny: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    line = f"sft --model {tiny} {SHORT} --epochs 0.25 --checks 2 --out"
    assert answer([*line.split(), str(whole)]) == 0
    killed = multiprocessing.get_context("fork").Process(target=answer, args=([*line.split(), str(cut)],))
    killed.start()
    while last_whole_checkpoint(cut) is None:
        assert killed.is_alive()
        time.sleep(0.005)
    killed.kill()
    killed.join()
    assert not (cut / "card.json").exists() and answer(["sft", "--resume", str(cut), "--quiet"]) == 0
    name = "adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert_ends_once("sft", whole)
    assert answer([*line.split(), str(tmp_path / "brief"), "--minutes", "0"]) == 0
    assert json.loads((tmp_path / "brief" / "card.json").read_text())["steps"] == 1
    out = tmp_path / "run"
    played = f"run --env embedded --task task_easy_oom_baseline --policy llm --model {tiny} --adapter {whole}"
    assert answer([*played.split(), "--out", str(out), "--quiet"]) == 0
    assert json.loads((out / "run.json").read_text())["config"]["prompt_budget"] == 1100


def test_outcomes_teach_and_the_curve_is_kept(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "grpo"
    line = (
        f"grpo --model {tiny} {SHORT} --steps 2 --group 2 --reply-tokens 16 --held-out 2 --jobs 2 --out {out}"
    )
    assert answer(line.split()) == 0
    card = json.loads((out / "card.json").read_text())
    assert [point["step"] for point in card["curve"]] == [1, 2]
    assert {"reward", "kl", "fallback_rate", "completions/mean_length"} <= card["curve"][0].keys()
    assert card["held_out_prompts"] == 2 and len(card["held_out_gain_ci95"]) == 2
    assert_ends_once("grpo", out)


def assert_ends_once(command: str, folder: Path) -> None:
    """Who was killed between the last step and the card goes no further than that step."""
    card, adapter = json.loads((folder / "card.json").read_text()), folder / "adapter_model.safetensors"
    learnt = adapter.read_bytes()
    (folder / "card.json").unlink()
    adapter.unlink()
    assert answer([command, "--resume", str(folder), "--quiet"]) == 0
    assert adapter.read_bytes() == learnt
    assert {**json.loads((folder / "card.json").read_text()), "seconds": card["seconds"]} == card
