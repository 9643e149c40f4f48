"""What `investigate` does: asks, ranks, looks, and answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.investigation.claims import checked
from agent.investigation.conclusion import (
    Conclusion,
    Known,
    action_for,
    conclude,
    evidence_for,
    rivals_of,
    what_would_settle,
)
from agent.investigation.environment import LiveEnvironment
from agent.investigation.options import InvestigateOptions
from agent.investigation.remedies import remedy_of
from agent.investigation.rules import InvestigationRules, fitting_remedies
from agent.investigation.telemetry_looks import Queries, Shown, TelemetryLooks
from agent.investigation.words import as_text
from agent.live_diagnosis import diagnose
from agent.llm.client import ChatModel, ModelFault
from agent.llm.explaining import question_about
from agent.play.assembly import make_model
from agent.play.config import ModelOptions, RunConfig
from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.policies.guard import Approve, Guard
from agent.policies.llm_policy import LlmPolicy
from agent.records.provenance import run_facts
from agent.records.trajectory import RunFolder
from agent.settings import read_settings
from agent.situation.decision import Policy
from data.actions import is_remedy
from data.channels import ChannelMap
from data.clients.discovery import Endpoint
from data.errors import SettingsError
from data.files.whole_file import write_whole
from data.incident import Incident
from data.observation import Task
from data.sources.files.reading import read_evidence
from data.sources.live.gather import Progress
from data.sources.own_form import to_json
from gnn.checkpoint import channel_map_for
from gnn.ranker import Ranker, Ranking
from gnn.registry import make_ranker

_DEADLINE_S = 900.0
INCIDENT = "incident.jsonl"  # in the folder
OnStep = Callable[[StepRecord], None]


@dataclass(frozen=True)
class Investigation:
    """The answer, and all that it was made of."""

    conclusion: Conclusion
    incident: Incident
    ranking: Ranking
    result: EpisodeResult


@dataclass(frozen=True)
class _Evidence:
    """What is known before the first look."""

    incident: Incident
    ranking: Ranking
    notes: tuple[str, ...]
    queries: Queries


class _KnownRanking:
    """A ranker that goes by the telemetry, which no single observation holds."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking

    @property
    def name(self) -> str:
        return self._ranking.ranker

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
        asked: what, by whom, and what may be done.
        variables: the environment's, for the model and for the secrets of the sources.
        progress: told what is being asked.
        on_step: told of each step.
        approve: asks a person before a remedy; used with `asked.allow_remedies` only.

    Raises:
        TelemetryFault: no source tells anything.
        FirewatchError: something that is asked for cannot be used.
    """
    settings = read_settings(variables)
    asked = asked.completed(settings)
    channels = channel_map_for(asked.rules, [asked.checkpoint] if asked.checkpoint else ())
    ranker = make_ranker("gnn", asked.checkpoint, asked.seed, channels)
    known = await _evidence(asked, variables, ranker, channels, progress)
    name = known.incident.incident_id or "incident"
    task = Task(
        task_id=f"investigation-{name}", difficulty="hard", seed=asked.seed, max_ticks=asked.looks + 1
    )
    environment = _environment(asked, known, channels)
    model = make_model(asked, settings)
    policy = _policy(asked, model, approve)
    folder = _folder(asked, known, task) if asked.out else None

    def heard(step: StepRecord) -> None:
        on_step(step)
        if folder is not None:
            folder.step_played(step)

    try:
        progress("looking")
        result = await play_task(environment, _KnownRanking(known.ranking), policy, task, _DEADLINE_S, heard)
        if folder is not None:
            folder.task_ended(result)
        conclusion = _conclusion(asked, known, environment, result)
        if model is not None and conclusion.decided_by.keys() - {"rules"}:
            progress("asking the model to explain")
            conclusion = await _explained(conclusion, model, asked.seed, _facts(known, environment, result))
    finally:
        if model is not None:
            await model.aclose()
    return Investigation(conclusion, known.incident, known.ranking, result)


async def _evidence(
    asked: InvestigateOptions,
    variables: Mapping[str, str],
    ranker: Ranker,
    channels: ChannelMap,
    progress: Progress,
) -> _Evidence:
    if not asked.incident:
        found = await diagnose(asked, asked.sources(variables), ranker, channels, progress)
        queries = {whose: told.promql for whose, told in found.questions.items()}
        return _Evidence(found.incident, found.ranking, tuple(found.notes), queries)
    for path in asked.incident:
        if not path.exists():
            raise SettingsError(f"{path}: no such file or folder")
    at_s = asked.question().at_s if "at" in asked.model_fields_set else None
    read = read_evidence(asked.incident, at_s)
    if len(read.incidents) != 1:
        raise SettingsError(
            f"{asked.incident[0]}: {len(read.incidents)} incidents are in it – investigate one at a time"
        )
    incident = read.incidents[0]
    return _Evidence(incident, ranker.rank(incident), read.notes, {})


def _environment(asked: InvestigateOptions, known: _Evidence, channels: ChannelMap) -> LiveEnvironment:
    telemetry = TelemetryLooks(known.incident, channels, known.queries)
    looks = {
        "get_metrics_detail": telemetry.metrics,
        "inspect_commit_diff": telemetry.changes,
        "trace_dependencies": telemetry.calls,
    }
    return LiveEnvironment(
        known.incident, channels, looks, lambda kind, service: remedy_of(kind, service, asked.namespace)
    )


def _policy(asked: InvestigateOptions, model: ChatModel | None, approve: Approve | None) -> Policy:
    guard = Guard(approve=approve if asked.allow_remedies else None)
    rules = InvestigationRules(guard)
    if model is not None:
        return LlmPolicy(model, asked.seed, guard, rules=rules)
    if asked.policy == "llm":
        raise SettingsError("--policy llm needs a model: set HF_TOKEN or OPENAI_API_KEY, or API_BASE_URL")
    return rules


def _folder(asked: InvestigateOptions, known: _Evidence, task: Task) -> RunFolder:
    """The run folder, with the incident beside the steps."""
    assert asked.out is not None
    shared = {name: getattr(asked, name) for name in ModelOptions.model_fields}
    config = RunConfig(
        **shared, policy=asked.policy, checkpoint=asked.checkpoint, rules=asked.rules, seed=asked.seed,
        tasks=(task,), dry_run=not asked.allow_remedies, approve=asked.approve,
    )  # fmt: skip
    facts = {**run_facts(config, Endpoint("embedded")), "environment": "live", "transport": "live"}
    folder = RunFolder.open(asked.out, config, {**facts, "investigation": asked.model_dump(mode="json")})
    write_whole(asked.out / INCIDENT, json.dumps(to_json(known.incident), ensure_ascii=False) + "\n")
    return folder


def _conclusion(
    asked: InvestigateOptions, known: _Evidence, environment: LiveEnvironment, result: EpisodeResult
) -> Conclusion:
    by_model = [step.decision for step in result.steps if step.decision.source != "rules"]
    wanted = [decision.recommended or decision.action for decision in by_model]
    seen = Known(
        known.incident,
        known.ranking,
        environment.troubled,
        lambda evidence: known.queries.get((evidence.call or evidence.service, evidence.metric or ""), ""),
        environment.shown,
        environment.logs,
        next((action.target_service for action in reversed(wanted) if is_remedy(action)), None),
        environment.recommended,
        {},
        environment.unanswered,
    )
    verdict, culprits, reason = conclude(seen)
    if verdict == "culprit" and (seen.remedy is None or seen.remedy.service != culprits[0]):
        window = [step.observation for step in result.steps[-1:]]
        [(kind, _), *_] = fitting_remedies(culprits[0], window, environment.logs.get(culprits[0], ()))
        seen = replace(seen, remedy=remedy_of(kind, culprits[0], asked.namespace))
    chances = {one.service: one.probability for one in known.ranking.candidates}
    chance = known.ranking.incident_probability
    sure = chances.get(culprits[0]) if culprits else None if chance is None else 1.0 - chance
    evidence = evidence_for(seen, culprits)
    said = "\n".join(decision.reason for decision in by_model)
    notes = [*known.notes, *([result.error] if result.error else [])]
    notes += [f"The model gave no answer: {why}." for why in _why_not_model(result)]
    if environment.executed:
        notes.append(f"Carried out: {environment.executed}")
    return Conclusion(
        known.incident.incident_id, verdict, culprits, sure, reason, evidence, rivals_of(seen, culprits),
        what_would_settle(seen, verdict, culprits), action_for(seen, verdict, culprits),
        checked(said, _facts(known, environment, result), known.incident.services), tuple(notes), result.decisions,
    )  # fmt: skip


def _facts(known: _Evidence, environment: LiveEnvironment, result: EpisodeResult) -> list[Shown]:
    """All that a model was shown of each service."""
    facts = [*environment.shown]
    for one in known.ranking.candidates:
        told = [f"{one.probability or 0.0:.1%}", *(evidence.text for evidence in one.evidence)]
        facts += [Shown(text, (one.service,)) for text in told]
    for name, service in result.steps[-1].observation.services.items() if result.steps else ():
        facts.append(Shown(f"{service.error_rate:.2%}, {service.latency_p99_s:.4g} s", (name,)))
    return facts


async def _explained(
    conclusion: Conclusion, model: ChatModel, seed: int, facts: Sequence[Shown]
) -> Conclusion:
    """With the model's own words on it, checked; without them, where it gives none."""
    speaker = ChatModel(replace(model.settings, structured=False))
    speaker.ledger = model.ledger
    try:
        reply = await speaker.ask(question_about(as_text(conclusion)), seed, speaker.new_ledger())
    except ModelFault as fault:
        return replace(conclusion, notes=(*conclusion.notes, f"The model did not explain it: {fault}."))
    finally:
        await speaker.aclose()
    services = {name for fact in facts for name in fact.about}
    return replace(conclusion, said=(*conclusion.said, *checked(reply.text, facts, services)))


def _why_not_model(result: EpisodeResult) -> list[str]:
    causes = [step.decision.fallback for step in result.steps if step.decision.fallback]
    return list(dict.fromkeys(causes))
