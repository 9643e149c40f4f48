"""The stdout lines for an automatic evaluator, kept together and in order for each task."""

from collections.abc import Sequence
from typing import TextIO

from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import Listener
from agent.terminal_text import printable
from data.observation import Task

_FALLBACK_LENGTH = 120


def start_line(task: Task, model: str) -> str:
    """The line for the start of a task."""
    return f"[START] task={_word(task.name)} env=firewatch-env model={_word(model)}"


def step_line(step: StepRecord, report_rewards: bool) -> str:
    """The line for one action, with any error."""
    reward = f" reward={_reward(step):.2f}" if report_rewards else ""
    done = "true" if step.done else "false"
    return (
        f"[STEP] step={step.number} action={_word(str(step.action))}{reward} done={done} error={_error(step)}"
    )


def end_line(result: EpisodeResult, report_rewards: bool) -> str:
    """The line for the end of a task."""
    line = f"[END] success={'true' if result.success else 'false'} steps={len(result.steps)}"
    if report_rewards:
        rewards = ",".join(f"{_reward(step):.2f}" for step in result.steps)
        line += f" score={result.score or 0.0:.2f} rewards={rewards}"
    return line


class EvaluatorOutput(Listener):
    """Writes the lines, without mixing those of parallel tasks.

    Args:
        tasks: all tasks of the run, in the order of their output.
    """

    def __init__(self, stream: TextIO, tasks: Sequence[Task], model: str, report_rewards: bool) -> None:
        self._stream = stream
        self._model = model
        self._report_rewards = report_rewards
        self._waiting: dict[Task, list[str]] = {task: [] for task in tasks}
        self._ended: set[Task] = set()

    def task_started(self, task: Task) -> None:
        self._say(task, start_line(task, self._model))

    def step_played(self, step: StepRecord) -> None:
        self._say(step.task, step_line(step, self._report_rewards))

    def task_ended(self, result: EpisodeResult) -> None:
        self._ended.add(result.task)
        self._say(result.task, end_line(result, self._report_rewards))

    def _say(self, task: Task, line: str) -> None:
        self._waiting[task].append(line)
        while self._waiting:
            head = next(iter(self._waiting))
            for ready in self._waiting[head]:
                self._stream.write(ready + "\n")
            self._waiting[head].clear()
            if head not in self._ended:
                break
            del self._waiting[head]
        self._stream.flush()


def _reward(step: StepRecord) -> float:
    return (step.result.outcome.reward if step.result else None) or 0.0


def _error(step: StepRecord) -> str:
    if step.error:
        return printable(step.error)
    if step.decision.fallback:
        return printable(f"llm_fallback:{step.decision.fallback}")[:_FALLBACK_LENGTH]
    return "null"


def _word(text: str) -> str:
    """Text as one word, because blanks and line breaks separate fields."""
    return "".join(c if c.isprintable() and not c.isspace() else "_" for c in text)
