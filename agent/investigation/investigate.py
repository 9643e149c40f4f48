"""Investigates: asks, ranks, looks, and answers."""

import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from agent.investigation.answer import answer_of, explained, facts_of
from agent.investigation.conclusion import Conclusion
from agent.investigation.environment import LiveEnvironment
from agent.investigation.evidence import (
    FirstLook,
    first_look,
    kubectl_of,
    looks_for,
    missing_from,
    place_of,
)
from agent.investigation.options import InvestigateOptions
from agent.investigation.rules import InvestigationRules
from agent.investigation.telemetry_looks import TelemetryLooks
from agent.llm.client import BudgetedModel
from agent.play.assembly import make_model
from agent.play.config import ModelOptions, RunConfig
from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.policies.guard import Approve, Guard
from agent.policies.llm_policy import LlmPolicy
from agent.records.provenance import run_facts
from agent.records.trajectory import RunFolder
from agent.settings import read_settings
from agent.situation.decision import Policy
from data.clients.discovery import Endpoint
from data.errors import SettingsError
from data.files.whole_file import write_whole
from data.incident import Incident
from data.observation import Task
from data.sources.live.gather import Progress
from data.sources.own_form import to_json
from gnn.ranker import Ranking

INCIDENT, ANSWER = "incident.jsonl", "answer.json"  # in the folder
_DEADLINE_S = 900.0

OnStep = Callable[[StepRecord], None]


@dataclass(frozen=True)
class Investigation:
    """The answer, and what it is based on."""

    conclusion: Conclusion
    incident: Incident
    ranking: Ranking
    result: EpisodeResult


class _KnownRanking:
    """A ranker with a fixed result, because observations hold only part of the telemetry."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking, self.name = ranking, ranking.ranker

    def rank(self, incident: Incident) -> Ranking:
        return self._ranking


async def investigate(
    asked: InvestigateOptions,
    variables: Mapping[str, str],
    progress: Progress = lambda _: None,
    on_step: OnStep = lambda _: None,
    approve: Approve | None = None,
) -> Investigation:
    """Investigates once.

    Args:
        variables: environment variables, for the model and the sources' secrets.
        approve: asks a person before a remedy; None: no remedy is carried out.

    Raises:
        TelemetryFault: no source answers.
        FirewatchError: an option cannot be used.
    """
    settings = read_settings(variables)
    asked = asked.completed(settings)
    ranker, channels = asked.open_ranker(seed=asked.seed)
    async with AsyncExitStack() as stack:
        model = make_model(asked, settings)
        if model is not None:
            stack.push_async_callback(model.aclose)
        policy = _policy(asked, model, approve)
        kubectl = kubectl_of(asked)
        first = await first_look(asked, variables, ranker, channels, progress, kubectl)
        telemetry = TelemetryLooks(first.incident, channels, first.queries)
        looks = await looks_for(asked, variables, first, telemetry, kubectl, stack)
        place = place_of(asked, kubectl)
        may_act = asked.allow_remedies and approve is not None and kubectl is not None
        execute = kubectl.run if may_act and kubectl else None
        environment = LiveEnvironment(first.incident, channels, looks, place.remedy, execute)
        task = Task(
            task_id=f"investigation-{first.incident.incident_id or 'unnamed'}",
            difficulty="hard",
            seed=asked.seed,
            max_ticks=asked.looks + 1,
        )
        folder = _folder(asked, first, task) if asked.out else None

        def heard(step: StepRecord) -> None:
            on_step(step)
            if folder is not None:
                folder.step_played(step)

        progress("looking")
        result = await play_task(environment, _KnownRanking(first.ranking), policy, task, _DEADLINE_S, heard)
        if folder is not None:
            folder.task_ended(result)
        conclusion = answer_of(
            first, environment, result, place, telemetry.only_waits, missing_from(looks, first, kubectl)
        )
        if model is not None and conclusion.decided_by.keys() - {"rules"}:
            progress("asking the model to explain")
            facts = facts_of(first, environment, result)
            conclusion = await explained(conclusion, model, asked.seed, facts, first.incident.services)
    if folder is not None:
        answer = json.dumps(conclusion.record(), indent=1, ensure_ascii=False)
        write_whole(folder.path / ANSWER, answer + "\n")
    return Investigation(conclusion, first.incident, first.ranking, result)


def _policy(asked: InvestigateOptions, model: BudgetedModel | None, approve: Approve | None) -> Policy:
    guard = Guard(approve=approve if asked.allow_remedies else None)
    rules = InvestigationRules(guard)
    if model is not None:
        return LlmPolicy(model, asked.seed, guard, prompt_budget=asked.prompt_budget, rules=rules)
    if asked.policy == "llm":
        raise SettingsError(
            "--policy llm needs a model: set HF_TOKEN, OPENAI_API_KEY or API_BASE_URL, or use --model"
        )
    return rules


def _folder(asked: InvestigateOptions, first: FirstLook, task: Task) -> RunFolder:
    """The run folder, with the incident in it."""
    assert asked.out is not None
    shared = {name: getattr(asked, name) for name in ModelOptions.model_fields}
    config = RunConfig(
        **shared, policy=asked.policy, checkpoint=asked.checkpoint, rules=asked.rules, seed=asked.seed,
        tasks=(task,), dry_run=not asked.allow_remedies, approve=asked.approve,
    )  # fmt: skip
    facts = {**run_facts(config, Endpoint("embedded")), "environment": "live", "transport": "live"}
    folder = RunFolder.open(asked.out, config, {**facts, "investigation": asked.model_dump(mode="json")})
    write_whole(asked.out / INCIDENT, json.dumps(to_json(first.incident), ensure_ascii=False) + "\n")
    return folder
