"""How a policy used its hints: whether its first remedy followed the ranker's first suspect."""

from collections import Counter
from collections.abc import Sequence

from agent.play.episode import EpisodeResult
from agent.records.lines import EpisodeLine, Line
from data.actions import is_remedy
from gnn.evaluation.metrics import CaseScore

# Number of suspects that count as hints; a prompt shows as many.
DEPTH = 5


class FirstRemedy(Line):
    """The first remedy of an episode, and the suspects at that moment."""

    step: int
    target: str | None
    hints: tuple[str, ...]


class ArmEpisode(EpisodeLine):
    """One line of an ablation's episodes.jsonl: the run folder's line, and figures from its steps."""

    arm: str
    fault: str
    services: int
    topology: str
    slo_budget_left: float | None
    fallbacks: int
    first_remedy: FirstRemedy | None
    first_ranking: CaseScore | None


def first_remedy(result: EpisodeResult) -> FirstRemedy | None:
    """The first remedy of an episode, if any."""
    step = next((step for step in result.steps if is_remedy(step.action)), None)
    if step is None:
        return None
    hints = [candidate.service for candidate in step.ranking.top(DEPTH)] if step.ranking else []
    return FirstRemedy(step=step.number, target=step.action.target_service, hints=tuple(hints))


def hint_use(episodes: Sequence[ArmEpisode], without: Sequence[ArmEpisode] = ()) -> dict[str, int]:
    """Counts over the episodes whose root cause is known.

    Args:
        episodes: of an arm.
        without: of the same policy without hints, if played.

    Returns:
        - labelled: episodes whose root cause is known; remedied: those with a remedy; hinted: those with a
          hint at that moment.
        - followed, overrode: the first remedy was, or was not, for the first suspect; and each of them by
          whether that suspect was a root cause (`_right`) or not (`_wrong`).
        - in_top_1, in_top_3, in_top_5 (retrieval): a root cause was among the first suspects.
        - picked (reranking): the first remedy was for a root cause; picked_in_top_5: and a root cause was
          among the first five suspects.
        - paired: hinted episodes that the same policy also played without hints. Of these, rescued: the
          first remedy was for a root cause, but not without hints; misled: it followed a wrong hint, but was
          for a root cause without hints.
    """
    counts = Counter[str]()
    unaided = {e.key: _picks(e) for e in without if e.root_causes}
    for episode in episodes:
        if episode.root_causes:
            counts["labelled"] += 1
            counts.update(_use(episode, unaided.get(episode.key)))
    return {name: counts[name] for name in _COUNTS}


_COUNTS = (
    "labelled", "remedied", "hinted", "followed", "followed_right", "followed_wrong",
    "overrode", "overrode_right", "overrode_wrong", "in_top_1", "in_top_3", "in_top_5", "picked",
    "picked_in_top_5", "paired", "rescued", "misled",
)  # fmt: skip


def _use(episode: ArmEpisode, picked_unaided: bool | None) -> list[str]:
    """The counts that an episode increases."""
    remedy = episode.first_remedy
    if remedy is None:
        return []
    hints, roots, picked = remedy.hints, set(episode.root_causes), _picks(episode)
    if not hints:
        return ["remedied"] + ["picked"] * picked
    followed = remedy.target == hints[0]
    taken = "followed" if followed else "overrode"
    used = ["remedied", "hinted", taken, f"{taken}_{'right' if hints[0] in roots else 'wrong'}"]
    used += [f"in_top_{k}" for k in (1, 3, 5) if roots & set(hints[:k])]
    if picked:
        used += ["picked"] + ["picked_in_top_5"] * bool(roots & set(hints))
    if picked_unaided is not None:
        used.append("paired")
    if picked and picked_unaided is False:
        used.append("rescued")
    if followed and not picked and picked_unaided is True:
        used.append("misled")
    return used


def _picks(episode: ArmEpisode) -> bool:
    """Whether the first remedy is for a root cause."""
    remedy = episode.first_remedy
    return remedy is not None and remedy.target in episode.root_causes
