"""Warns of unknown metric names, so that nobody takes ignored metrics for healthy ones."""

from collections.abc import Iterable, Sequence
from itertools import chain

from agent.cli.console import note
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.incident import Incident
from data.observation import Observation
from data.words import count, few

_SHOWN = 5  # names
_LONGEST = 60  # characters of a name


def unmapped_in(evidence: Iterable[Incident | Observation], channel_map: ChannelMap) -> list[str]:
    """The metric names in `evidence` that no rule fits, sorted."""
    return channel_map.unmapped(chain.from_iterable(one.metric_names for one in evidence))


def tell_unmapped(names: Sequence[str], quiet: bool) -> None:
    """Warns of metric and alert names without a channel."""
    if not names:
        return
    told = count(len(names), "unknown metric or alert name")
    listed = few((printable(name)[:_LONGEST] for name in names), _SHOWN)
    note(f"{told}, not read: {listed} – give them a meaning with --rules FILE", quiet)
