"""The jobs of an ablation's processes: watch a task, play tasks with one arm, rank one source."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.benchmark.arms import WRONG, Arm, RankerSpec
from agent.benchmark.hint_use import ArmEpisode, first_remedy
from agent.benchmark.pairs import RANKED
from agent.benchmark.plan import WATCHED, Ablation
from agent.benchmark.results import FirstValues, RankedSource, RankingsLine
from agent.benchmark.statistics import topology_of
from agent.benchmark.wrong_hints import astray
from agent.llm.client import BudgetedModel
from agent.play.assembly import make_model
from agent.play.collecting import episode_of
from agent.play.config import RunConfig
from agent.play.episode import EpisodeResult, play_task
from agent.play.run import Listener, play_tasks
from agent.policies.registry import make_policy
from agent.records.trajectory import RunFolder
from agent.settings import Settings
from agent.situation.decision import Decision, Situation
from data.clients.discovery import Endpoint
from data.episodes import Episode
from data.errors import EnvironmentFault
from data.extras import needs
from data.labels import apply_labels, read_labels
from data.observation import Action, Task
from gnn.checkpoint import channel_map_for
from gnn.evaluation.evaluate import (
    ScoredCase,
    Source,
    episode_sources,
    incident_source,
    incident_sources,
    result_of,
    score_cases,
)
from gnn.evaluation.metrics import score_ranking
from gnn.ranker import Ranker
from gnn.registry import make_ranker

# The kinds of sources.
TASKS, EPISODES, INCIDENTS, SIMULATED = "tasks", "episodes", "incidents", "simulated"


@dataclass(frozen=True)
class Workplace:
    """The data that every job needs; the ablation is without its tasks, to keep jobs small."""

    ablation: Ablation
    endpoint: Endpoint
    settings: Settings
    folder: Path


@dataclass(frozen=True)
class Asked:
    """One source to rank."""

    kind: str
    path: str = ""
    # Changes with the contents, such as the tasks.
    version: str = ""

    @property
    def name(self) -> str:
        """The key of its rankings in the folder."""
        return ":".join((self.kind, self.path, self.version))


def watch(place: Workplace, task: Task) -> Episode:
    """The first observations of a task, without any remedies."""
    return asyncio.run(_watch(place, task))


async def _watch(place: Workplace, task: Task) -> Episode:
    environment = place.endpoint.open()
    # Resolving at the end adds one more observation.
    brief = task.model_copy(update={"max_ticks": min(task.max_ticks, WATCHED - 2)})
    try:
        result = await play_task(
            environment, make_ranker("none"), _Watcher(), brief, place.ablation.task_timeout_s, lambda _: None
        )
    finally:
        await environment.aclose()
    if result.error is not None:
        raise EnvironmentFault(result.error)
    (episode,) = apply_labels([episode_of(result, environment.name, _Watcher.name)])
    return episode.model_copy(update={"task": task})


class _Watcher:
    """A policy that only looks."""

    name = "watch"

    async def decide(self, situation: Situation) -> Decision:
        service = min(situation.now.services)
        return Decision(Action(action_type="get_metrics_detail", target_service=service), "rules")


def play_arm(place: Workplace, arm: Arm, tasks: Sequence[Task]) -> list[ArmEpisode]:
    """Plays the tasks concurrently and returns their records."""
    return asyncio.run(_play_arm(place, arm, tasks))


async def _play_arm(place: Workplace, arm: Arm, tasks: Sequence[Task]) -> list[ArmEpisode]:
    config = place.ablation.run_config(arm)
    model = make_model(config, place.settings)
    try:
        results = await asyncio.gather(*(_play_task(place, arm, config, model, task) for task in tasks))
    finally:
        if model is not None:
            await model.aclose()
    return [arm_episode(arm, result) for result in results]


async def _play_task(
    place: Workplace, arm: Arm, config: RunConfig, model: BudgetedModel | None, task: Task
) -> EpisodeResult:
    environment = place.endpoint.open()
    spec = place.ablation.spec(arm.ranker)
    ranker = ranker_of(spec, config.seed)
    if spec.name == WRONG:
        ranker = astray(ranker, environment)
    policy = make_policy(
        config.policy,
        model=model,
        seed=task.seed + config.seed,
        hints=config.hints,
        prompt_budget=config.prompt_budget,
    )
    listeners: tuple[Listener, ...] = ()
    if place.ablation.steps:
        listeners = (RunFolder(arm_folder(place.folder, arm), config, frozenset()),)
    (result,) = await play_tasks(
        [task], lambda: environment, ranker, lambda _: policy, listeners, 1, config.task_timeout_s
    )
    return result


def arm_folder(folder: Path, arm: Arm) -> Path:
    """The run folder of an arm, if steps are saved."""
    return folder / "arms" / arm.name.replace("/", "_")


def arm_episode(arm: Arm, result: EpisodeResult) -> ArmEpisode:
    """One line of an ablation's episodes.jsonl."""
    steps, last = result.steps, result.steps[-1].result if result.steps else None
    services = steps[0].observation.services if steps else {}
    ranking = steps[0].ranking if steps and arm.ranker != "none" else None
    return ArmEpisode.of(
        result,
        arm=arm.name,
        fault="+".join(result.fault_types),
        services=len(services),
        topology=topology_of(steps[0].observation.call_graph) if steps else "",
        slo_budget_left=last.observation.slo_budget_remaining_pct if last else None,
        fallbacks=sum(step.decision.why_not_model is not None for step in steps),
        first_remedy=first_remedy(result),
        first_ranking=score_ranking(ranking, len(services), result.root_causes) if ranking else None,
    )


def rank_source(place: Workplace, name: str, asked: Asked) -> RankingsLine:
    """Ranks the requested cases with one ranker; one result per source."""
    ablation = place.ablation
    spec = ablation.spec(name)
    ranker = ranker_of(spec, ablation.seed)
    results = []
    for source in _sources(asked, place.folder, ablation.labels, ablation.simulate, ablation.seed):
        scored = score_cases(ranker, source.cases)
        entry = result_of(source.name, name, spec.weights_name, scored, ablation.seed)
        results.append(RankedSource(**dict(entry), first=_first(scored)))
    return RankingsLine(ranker=name, asked=asked.name, results=results)


def _first(scored: Sequence[ScoredCase]) -> FirstValues:
    first = [s for s in scored if s.case.tick == 0]
    return FirstValues(
        clusters=tuple(s.case.cluster for s in first),
        kinds=tuple(s.case.difficulty for s in first),
        **{name: tuple(s.score.measures[name] for s in first) for name in RANKED},
    )


@cache
def ranker_of(spec: RankerSpec, seed: int, rules: Path | None = None) -> Ranker:
    """The requested ranker, made once in each worker; for "wrong", the one behind it."""
    if spec.name == "untrained":
        with needs("train"):
            import torch
        torch.set_num_threads(1)  # the processes share the cores
    names = channel_map_for(rules, [spec.checkpoint] if spec.checkpoint else ())
    return make_ranker(spec.real_name, spec.checkpoint, seed, names)


@cache
def _sources(asked: Asked, folder: Path, labels: Path | None, simulate: int, seed: int) -> tuple[Source, ...]:
    if asked.kind == TASKS:
        (source,) = episode_sources(folder / "watched.jsonl")
        return (Source(TASKS, source.cases),)
    known = read_labels(labels) if labels else None
    if asked.kind == EPISODES:
        return episode_sources(Path(asked.path), known)
    if asked.kind == INCIDENTS:
        return incident_sources(Path(asked.path), known)
    from data.simulator.batch.generate import simulate as simulated

    return (incident_source(f"simulated/{seed}", simulated(simulate, seed)),)
