"""Summarises a run in words, from its episode records."""

from collections import Counter
from collections.abc import Sequence

from agent.records.lines import EpisodeLine
from data.words import count

HEADINGS = ("task", "outcome", "score", "steps", "root cause", "ranked first", "remedied", "mitigated")


def summary_row(episode: EpisodeLine) -> tuple[str, ...]:
    """One episode as a table row under `HEADINGS`."""
    score = episode.score
    return (
        episode.task,
        outcome(episode),
        "–" if score is None else f"{score:.2f}",
        str(episode.steps),
        ", ".join(episode.root_causes) or "unknown",
        _at("step", episode.ranked_first_at_step),
        _at("step", episode.remedied_at_step),
        _at("tick", episode.mitigated_at_tick),
    )


def outcome(episode: EpisodeLine) -> str:
    """How an episode ended; with the reason if it failed."""
    if episode.error is not None:
        return f"failed: {episode.error}"
    return "solved" if episode.success else "not solved"


def headline(episodes: Sequence[EpisodeLine]) -> str:
    """The run in one sentence."""
    graded = [episode.score for episode in episodes if episode.score is not None]
    failed = sum(episode.error is not None for episode in episodes)
    sentence = f"{sum(episode.success for episode in episodes)} of {count(len(episodes), 'task')} solved"
    if graded:
        sentence += f", mean score {sum(graded) / len(graded):.2f}"
    if failed:
        sentence += f", {failed} without a grade"
    decisions: Counter[str] = Counter()
    for episode in episodes:
        decisions.update(episode.decisions)
    if decisions:
        who = ", ".join(f"{source} {steps}" for source, steps in sorted(decisions.items()))
        sentence += f"; decisions: {who}"
    tokens = sum(episode.tokens["prompt"] + episode.tokens["completion"] for episode in episodes)
    cost = sum(episode.cost_usd for episode in episodes)
    if tokens:
        sentence += f"; {tokens} tokens" + (f", ${cost:.4f}" if cost else "")
    return sentence + "."


def _at(unit: str, number: int | None) -> str:
    return "–" if number is None else f"{unit} {number}"
