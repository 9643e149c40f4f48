"""An episode as data for the page's replay: graph, states, metrics, suspects and decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.records.lines import EpisodeLine, RankingLine, StepLine
from agent.records.summary import outcome
from agent.report.document import Replay
from agent.report.layout import BOX, calls_among, layered
from agent.situation.service_trends import health_figures
from data.episodes import Episode
from data.observation import Observation
from data.words import count

_MOST_SERVICES = 40  # larger drawings are unreadable
_SUSPECTS = 5
_FIRST_METRICS = (
    "http_server_error_rate",
    "http_server_request_duration_p99",
    "process_memory_utilization",
    "process_cpu_utilization",
)


@dataclass(frozen=True)
class Frame:
    """One observation and, except for the last, the step that followed."""

    observation: Observation
    ranking: RankingLine | None = None
    step: Mapping[str, Any] | None = None
    target: str | None = None


def replay_of_run(episode: EpisodeLine, steps: Sequence[StepLine], key: str, prefix: str = "") -> Replay:
    """The replay of a played task from its records in a run folder."""
    frames = [Frame(s.observation, s.ranking, _decision(s), s.action.target_service) for s in steps]
    if steps and steps[-1].last_observation:
        frames.append(Frame(steps[-1].last_observation))
    score = "no grade" if episode.score is None else f"{episode.score:.2f}"
    title = f"{prefix}{episode.task} – {outcome(episode)}, {score}"
    return Replay(key, title, _content(frames, tuple(episode.root_causes)))


def replay_of_episode(episode: Episode, key: str) -> Replay:
    """The replay of a stored or recorded episode; the reasons for its actions are unknown."""
    actions = zip(episode.actions, episode.feedback, strict=True)
    frames = [
        Frame(
            observation,
            step={
                "action": str(action).replace(":", " ", 1),
                "by": episode.policy,
                "feedback": feedback,
            },
            target=action.target_service,
        )
        for observation, (action, feedback) in zip(episode.observations, actions, strict=False)
    ]
    frames.append(Frame(episode.observations[-1]))
    score = "no grade" if episode.score is None else f"{episode.score:.2f}"
    roots = episode.labels.root_causes if episode.labels else ()
    return Replay(key, f"{episode.task.name} – {episode.policy}, {score}", _content(frames, roots))


def _decision(step: StepLine) -> dict[str, Any]:
    """What was decided, by whom and why; empty fields are left out to keep pages small."""
    fields: dict[str, Any] = {
        "action": str(step.action).replace(":", " ", 1),
        "by": step.decided_by,
        "model": step.model,
        "why_not_model": step.why_not_model,
        "reason": step.reason,
        "refusals": [f"{refusal.action}: {refusal.reason}" for refusal in step.refusals],
        "recommended": str(step.recommended) if step.recommended else None,
        "feedback": step.feedback,
        "error": step.error,
        "prompt": list(step.prompt),
        "reply": step.reply,
        "tokens": sum(step.tokens.values()),
    }
    return {name: value for name, value in fields.items() if value}


def _content(frames: Sequence[Frame], roots: tuple[str, ...]) -> dict[str, Any]:
    everybody = sorted({name for frame in frames for name in frame.observation.services})
    names = _drawn(everybody, frames, roots)
    calls: dict[str, set[str]] = {}
    for frame in frames:
        for caller, callees in frame.observation.call_graph.items():
            calls.setdefault(caller, set()).update(callees)
    call_graph = {caller: sorted(callees) for caller, callees in calls.items()}
    layout = layered(names, call_graph)
    index = {name: i for i, name in enumerate(names)}
    probabilities = [c.probability for f in frames if f.ranking for c in f.ranking.candidates]
    claims = any(probability is not None for probability in probabilities)
    return {
        "services": names,
        "left_out": f"{count(len(names), 'service')} of {len(everybody):,} drawn: suspects, "
        "the unhealthy and whatever was acted on come first."
        if len(names) < len(everybody)
        else "",
        "corners": [layout.corners[name] for name in names],
        "size": [layout.width, layout.height],
        "box": BOX,
        "calls": [[index[caller], index[callee]] for caller, callee in calls_among(names, call_graph)],
        "roots": [index[name] for name in roots if name in index],
        "metrics": _metrics(names, frames),
        "suspicion": {
            "name": "probability of being the root cause" if claims else "ranker's score",
            "values": [[_suspicion(frame, name, claims) for frame in frames] for name in names],
        },
        "frames": [_frame(frame, names, index) for frame in frames],
    }


def _drawn(everybody: Sequence[str], frames: Sequence[Frame], roots: tuple[str, ...]) -> list[str]:
    """The most interesting services, as many as fit into the drawing."""
    if len(everybody) <= _MOST_SERVICES:
        return list(everybody)
    acted_on = {frame.target for frame in frames}
    suspects = {c.service for f in frames if f.ranking for c in f.ranking.candidates[:_SUSPECTS]}
    unhealthy = {n for f in frames for n, s in f.observation.services.items() if not s.is_healthy}
    wanted = ({*roots}, acted_on, suspects, unhealthy)
    by_interest = sorted(everybody, key=lambda name: ([name not in group for group in wanted], name))
    return sorted(by_interest[:_MOST_SERVICES])


def _metrics(names: Sequence[str], frames: Sequence[Frame]) -> dict[str, list[list[float | None]]]:
    """Every numeric metric: values by service and frame, None where unknown."""
    found = {
        metric
        for frame in frames
        for name in names
        if name in frame.observation.services
        for metric, value in frame.observation.services[name].metrics.items()
        if isinstance(value, (int, float))
    }
    ordered = [m for m in _FIRST_METRICS if m in found] + sorted(found - set(_FIRST_METRICS))
    return {metric: [[_value(f, name, metric) for f in frames] for name in names] for metric in ordered}


def _value(frame: Frame, name: str, metric: str) -> float | None:
    service = frame.observation.services.get(name)
    value = service.number(metric) if service else None
    return None if value is None else float(f"{value:.4g}")


def _suspicion(frame: Frame, name: str, claims: bool) -> float | None:
    for candidate in frame.ranking.candidates if frame.ranking else ():
        if candidate.service == name:
            value = candidate.probability if claims else candidate.score
            return None if value is None else round(value, 4)
    return None


def _frame(frame: Frame, names: Sequence[str], index: Mapping[str, int]) -> dict[str, Any]:
    seen = frame.observation
    services = [seen.services.get(name) for name in names]
    return {
        "tick": seen.sim_tick,
        "facts": _facts(seen),
        "status": [service.status if service else "unseen" for service in services],
        "notes": [" · ".join(health_figures(s)) or "not measured" if s else "not seen" for s in services],
        "alerts": [
            f"{a.severity}: {a.service_name} {a.alertname} – {a.description}" for a in seen.active_alerts
        ],
        "logs": {name: list(s.recent_logs) for name, s in seen.services.items() if s.recent_logs},
        "suspects": [
            {
                "service": c.service,
                "index": index.get(c.service),
                "value": c.probability if c.probability is not None else None,
                "shown": f"{c.probability:.0%}" if c.probability is not None else f"{c.score:.3g}",
                "evidence": list(c.evidence),
            }
            for c in (frame.ranking.candidates[:_SUSPECTS] if frame.ranking else ())
        ],
        "unsure": bool(frame.ranking and frame.ranking.unsure),
        "target": index.get(frame.target) if frame.target else None,
        "step": frame.step,
    }


def _facts(seen: Observation) -> str:
    affected = "users are affected" if seen.user_impact_active else "users are not affected"
    budget = f"SLO budget {seen.slo_budget_remaining_pct:.1f} %"
    burn = f"burning {seen.current_slo_burn_rate:.2g} per tick"
    return f"{affected} · {budget}, {burn} · {seen.bad_customer_minutes:.1f} bad customer minutes"
