"""A post-mortem for each played task, in Markdown: timeline, evidence, root cause, what helped."""

from pathlib import Path

from agent.play.episode import EpisodeResult, StepRecord
from data.actions import is_remedy
from data.observation import Observation, Task

_AFTER = 3  # steps after a remedy in which its effect is looked for
_SHOWN_SUSPECTS = 3


class PostMortems:
    """Listens to a run and writes a file for every task that was played to its grade.

    Args:
        folder: where the files go, each named after its task.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def task_started(self, task: Task) -> None:
        """Nothing to tell yet."""

    def step_played(self, step: StepRecord) -> None:
        """Told with its task."""

    def task_ended(self, result: EpisodeResult) -> None:
        """Writes the task's file."""
        if result.error is None and not result.interrupted:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = "".join(c if c.isalnum() or c in "-_." else "_" for c in result.task.name)
            (self._folder / f"{name}.md").write_text(post_mortem(result), encoding="utf-8")


def post_mortem(result: EpisodeResult) -> str:
    """The whole document for a task that was played to its grade."""
    sections = (
        f"# Post-mortem: {_text(result.task.name)}",
        _summary(result),
        "## Root cause",
        _root_cause(result),
        "## Timeline",
        _timeline(result),
        "## What helped",
        _what_helped(result),
    )
    return "\n\n".join(sections) + "\n"


def _summary(result: EpisodeResult) -> str:
    ending = "Solved" if result.success else "Not solved"
    tick = result.mitigated_at_tick
    mitigated = f"users were relieved at tick {tick}" if tick is not None else "users were never relieved"
    wrong = f", {result.wrong_actions} of them on a healthy service" if result.wrong_actions else ""
    remedies = sum(is_remedy(step.action) for step in result.steps)
    score = "no score" if result.score is None else f"score {result.score:.2f}"
    return (
        f"{ending} with {score} in {_count(len(result.steps), 'step')}; {mitigated}. "
        f"{_count(remedies, 'remedy', 'remedies')} sent{wrong}."
    )


def _root_cause(result: EpisodeResult) -> str:
    told = ", ".join(_code(name) for name in result.root_causes)
    lines = [f"By the environment: {told}." if told else "The environment does not tell."]
    first = result.steps[0].ranking
    if first and first.candidates:
        lines.append(f"\nSuspects of {first.ranker} at the first observation:\n")
        for candidate in first.top(_SHOWN_SUSPECTS):
            chance = "" if candidate.probability is None else f", {candidate.probability:.0%}"
            evidence = "; ".join(_text(one.text) for one in candidate.evidence)
            lines.append(f"- {_code(candidate.service)}{chance}{': ' + evidence if evidence else ''}")
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
            _code(str(step.action)),
            step.decision.source,
            _text(step.decision.reason),
            _text(step.error or step.feedback),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _what_helped(result: EpisodeResult) -> str:
    """Each remedy beside its target's state before it and a few steps later."""
    lines = []
    for index, step in enumerate(result.steps):
        if not is_remedy(step.action) or step.result is None:
            continue
        target = str(step.action.target_service)
        later = next(s.result for s in reversed(result.steps[index : index + _AFTER + 1]) if s.result)
        before, after = (_state(o, target) for o in (step.observation, later.observation))
        lines.append(f"- Step {step.number}, {_code(str(step.action))}: {before} before, {after} afterwards.")
    return "\n".join(lines) or "No remedy was sent."


def _state(observation: Observation, name: str) -> str:
    service = observation.services.get(name)
    if service is None:
        return "not seen"
    return f"{service.error_rate:.0%} errors and p99 {service.latency_p99_s:.2f} s"


def _worst(observation: Observation) -> str:
    if not observation.services:
        return "–"
    name, service = max(
        observation.services.items(), key=lambda item: (item[1].error_rate, item[1].latency_p99_s)
    )
    return f"{_code(name)} {service.error_rate:.0%}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


def _text(text: str) -> str:
    """Text from outside on one line, with everything that Markdown or HTML would read made harmless."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*[]<>|" else c for c in line)


def _code(text: str) -> str:
    """A name as code; neither the code span nor a table's cell can be left from within."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', '¦')}`"
