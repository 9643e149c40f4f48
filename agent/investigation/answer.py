"""Makes the answer from what was seen and from a model's words, once these are checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.investigation.claims import checked
from agent.investigation.conclusion import (
    Conclusion,
    Known,
    action_for,
    conclude,
    confidence_in,
    evidence_for,
    rivals_of,
    what_would_settle,
)
from agent.investigation.environment import LiveEnvironment
from agent.investigation.evidence import FirstLook
from agent.investigation.remedies import RemedyPlace
from agent.investigation.rules import fitting_remedies
from agent.investigation.telemetry_looks import Shown
from agent.investigation.words import as_text
from agent.llm.client import Model, ModelFault
from agent.llm.explaining import question_about
from agent.play.episode import EpisodeResult
from data.actions import is_remedy


def answer_of(
    first: FirstLook,
    environment: LiveEnvironment,
    result: EpisodeResult,
    place: RemedyPlace,
    waits: Callable[[str], str | None],
    missing: Mapping[str, str],
) -> Conclusion:
    """The answer, with the model's reasons for its steps."""
    by_model = [step.decision for step in result.steps if step.decision.source != "rules"]
    wanted = [decision.recommended or decision.action for decision in by_model]
    seen = Known(
        first.incident,
        first.ranking,
        environment.troubled,
        lambda evidence: first.queries(evidence.call or evidence.service, evidence.metric or ""),
        environment.shown,
        environment.logs,
        next((action.target_service for action in reversed(wanted) if is_remedy(action)), None),
        environment.recommended,
        waits,
        missing,
        environment.unanswered,
    )
    verdict, culprits, reason = conclude(seen)
    first_culprit = culprits[0] if culprits else ""
    if verdict == "culprit" and (seen.remedy is None or seen.remedy.service != first_culprit):
        window = [step.observation for step in result.steps[-1:]]
        [(kind, _), *_] = fitting_remedies(first_culprit, window, environment.logs.get(first_culprit, ()))
        seen = replace(seen, remedy=place.remedy(kind, first_culprit))
    notes = [*first.notes, *([result.error] if result.error else [])]
    notes += [f"The model gave no answer: {why}." for why in _why_not_model(result)]
    if seen.named is not None and seen.named not in culprits:
        notes.append(f"The model named {seen.named}; the measurements speak against it.")
    notes += [f"Carried out: {environment.executed}"] if environment.executed else []
    said = "\n".join(dict.fromkeys(decision.reason for decision in by_model))
    return Conclusion(
        first.incident.incident_id,
        verdict,
        culprits,
        confidence_in(seen, culprits),
        reason,
        evidence_for(seen, culprits),
        rivals_of(seen, culprits),
        what_would_settle(seen, verdict, culprits),
        action_for(seen, verdict, culprits),
        checked(said, facts_of(first, environment, result), first.incident.services),
        tuple(notes),
        result.decisions,
    )


def facts_of(first: FirstLook, environment: LiveEnvironment, result: EpisodeResult) -> list[Shown]:
    """Everything that the model was shown about each service."""
    facts = [*environment.shown]
    for one in first.ranking.candidates:
        told = [f"{one.probability or 0.0:.1%}", *(evidence.text for evidence in one.evidence)]
        facts += [Shown(text, (one.service,)) for text in told]
    for name, service in result.steps[-1].observation.services.items() if result.steps else ():
        facts.append(Shown(f"{service.error_rate:.2%}, {service.latency_p99_s:.4g} s", (name,)))
    return facts


async def explained(
    conclusion: Conclusion, model: Model, seed: int, facts: Sequence[Shown], services: Sequence[str]
) -> Conclusion:
    """The conclusion with the model's explanation, checked; unchanged but for a note if there is none."""
    try:
        reply = await model.ask(question_about(as_text(conclusion)), seed, model.new_ledger())
    except ModelFault as fault:
        return replace(conclusion, notes=(*conclusion.notes, f"The model did not explain it: {fault}."))
    return replace(conclusion, said=(*conclusion.said, *checked(reply.text, facts, services)))


def _why_not_model(result: EpisodeResult) -> list[str]:
    causes = [step.decision.fallback for step in result.steps if step.decision.fallback]
    return list(dict.fromkeys(causes))
