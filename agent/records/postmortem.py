"""Writes a Markdown post-mortem for each task: root cause, evidence, timeline, and what helped."""

import hashlib
from pathlib import Path

from agent.play.episode import EpisodeResult
from agent.play.run import Listener
from agent.situation.service_trends import number_text
from agent.terminal_text import markdown_code, markdown_text
from data.actions import is_remedy
from data.files.whole_file import write_whole
from data.observation import Observation, Service
from data.words import count

_AFTER = 3  # steps after a remedy until its effect is measured
_SHOWN_SUSPECTS = 3
_LONGEST_NAME = 60
_NOISE = 0.01  # error rate or seconds; together with a tenth of the old value, the smallest change


class PostMortems(Listener):
    """Listens to a run and writes a file for every completed task."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def task_ended(self, result: EpisodeResult) -> None:
        """Writes the task's file."""
        if result.error is None and not result.interrupted:
            write_whole(self._folder / f"{file_name(result.task.name)}.md", post_mortem(result))


def file_name(name: str) -> str:
    """`name` as a unique file name; with a hash if characters had to be replaced or cut."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:_LONGEST_NAME]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def post_mortem(result: EpisodeResult) -> str:
    """The document for a completed task."""
    sections = (
        f"# Post-mortem: {markdown_text(result.task.name)}",
        _summary(result),
        "## Root cause",
        _root_cause(result),
        "## Timeline",
        _timeline(result),
        "## Remedies",
        _remedies(result),
    )
    return "\n\n".join(sections) + "\n"


def _summary(result: EpisodeResult) -> str:
    ending = "Solved" if result.success else "Not solved"
    tick = result.mitigated_at_tick
    mitigated = "users stayed affected" if tick is None else f"users were no longer affected at tick {tick}"
    wrong = f", {result.wrong_actions} of them on a healthy service" if result.wrong_actions else ""
    remedies = sum(is_remedy(step.action) for step in result.steps)
    score = "no score" if result.score is None else f"score {result.score:.2f}"
    return (
        f"{ending} with {score} in {count(len(result.steps), 'step')}; {mitigated}. "
        f"{count(remedies, 'remedy', 'remedies')} sent{wrong}."
    )


def _root_cause(result: EpisodeResult) -> str:
    told = ", ".join(markdown_code(name) for name in result.root_causes)
    lines = [f"According to the environment: {told}." if told else "The environment does not say."]
    first = result.steps[0].ranking
    if first and first.candidates:
        lines.append(f"\nSuspects by {first.ranker} at the first observation:\n")
        for candidate in first.top(_SHOWN_SUSPECTS):
            chance = "" if candidate.probability is None else f", {candidate.probability:.0%}"
            evidence = "; ".join(markdown_text(one.text) for one in candidate.evidence)
            lines.append(f"- {markdown_code(candidate.service)}{chance}{': ' + evidence if evidence else ''}")
    return "\n".join(lines)


def _timeline(result: EpisodeResult) -> str:
    rows = [
        "| step | tick | worst service | action | decided by | why | answer |",
        "|---|---|---|---|---|---|---|",
    ]
    for step in result.steps:
        cells = (
            str(step.number),
            str(step.observation.sim_tick),
            _worst(step.observation),
            markdown_code(str(step.action)),
            step.decision.source,
            markdown_text(step.decision.reason),
            markdown_text(step.error or step.feedback),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _remedies(result: EpisodeResult) -> str:
    """Each remedy, with its target's state before and a few steps later."""
    lines = []
    for index, step in enumerate(result.steps):
        if not is_remedy(step.action) or step.result is None:
            continue
        target = str(step.action.target_service)
        later = next(s.result for s in reversed(result.steps[index : index + _AFTER + 1]) if s.result)
        seen = [o.services.get(target) for o in (step.observation, later.observation)]
        before, after = map(_state, seen)
        lines.append(
            f"- Step {step.number}, {markdown_code(str(step.action))}: {before} → {after}{_effect(*seen)}."
        )
    return "\n".join(lines) or "No remedy was sent."


_FIGURES = {"http_server_error_rate": "errors", "http_server_request_duration_p99": "p99 s"}


def _state(service: Service | None) -> str:
    known = {words: service.number(name) for name, words in _FIGURES.items()} if service else {}
    return (
        ", ".join(f"{words} {number_text(v, 2)}" for words, v in known.items() if v is not None)
        or "not measured"
    )


def _effect(before: Service | None, after: Service | None) -> str:
    """A remark on a remedy whose target has not visibly improved."""
    known = [(before.number(name), after.number(name)) for name in _FIGURES] if before and after else []
    changes = [(then, now) for then, now in known if then is not None and now is not None]
    if not changes:
        return ": effect unknown"
    return "" if any(now <= 0.9 * then - _NOISE for then, now in changes) else ": it did not help"


def _worst(observation: Observation) -> str:
    if not observation.services:
        return "–"
    name, service = max(
        observation.services.items(), key=lambda item: (item[1].error_rate, item[1].latency_p99_s)
    )
    return f"{markdown_code(name)} {service.error_rate:.0%}"
