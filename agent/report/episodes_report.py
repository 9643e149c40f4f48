"""The report on stored or recorded episodes, with replays."""

from collections.abc import Sequence
from statistics import fmean

from agent.report.document import Report, Section, Table, number, text
from agent.report.replay import replay_of_episode
from data.episodes import Episode
from data.errors import SettingsError
from data.words import count


def episodes_report(title: str, episodes: Sequence[Episode]) -> Report:
    """The report on `episodes`.

    Raises:
        SettingsError: there are none.
    """
    if not episodes:
        raise SettingsError(f"{title}: there are no episodes to report on")
    graded = [episode.score for episode in episodes if episode.score is not None]
    labelled = sum(episode.labels is not None for episode in episodes)
    mean = f", mean score {fmean(graded):.2f} of {len(graded)} graded" if graded else ", none graded"
    keys = [f"{index}" for index in range(len(episodes))]
    headings = (
        ("task", ""),
        ("played by", ""),
        ("score", "the environment's grade, 0 to 1"),
        ("steps", ""),
        ("services", ""),
        ("root cause", ""),
        ("known from", "where the root cause comes from"),
    )
    rows = tuple(
        (
            text(episode.task.name, key),
            text(episode.policy),
            number(episode.score),
            number(len(episode.actions), 0),
            number(len(episode.observations[0].services), 0),
            text(", ".join(episode.labels.root_causes) if episode.labels else "not known"),
            text(episode.labels.origin if episode.labels else "–"),
        )
        for key, episode in zip(keys, episodes, strict=True)
    )
    return Report(
        title=title,
        kind="Episodes",
        lead=f"{count(len(episodes), 'episode')}{mean}; the root cause of {labelled} is known.",
        sections=(Section("Episodes", table=Table(headings, rows)),),
        replays=tuple(replay_of_episode(episode, key) for key, episode in zip(keys, episodes, strict=True)),
    )
