"""The options that choose a ranker's weights, and the ranker with these weights."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from data.channels import ChannelMap
from data.options import Options, option
from gnn.ranker import Ranker
from gnn.registry import known_folder, make_ranker

Checkpoint = Annotated[Path, AfterValidator(known_folder)]


class Weights(Options):
    """Which weights to use, and how to read metric names."""

    checkpoint: Checkpoint | None = option(
        None,
        "A trained ranker's folder, or the name of a shipped one: ranker (the default), mlp.",
        metavar="DIR",
    )
    rules: Path | None = option(
        None,
        "Your rules for what metric names mean. Default: those of the checkpoint.",
        metavar="FILE",
    )

    def open_ranker(self, name: str = "gnn", seed: int = 0) -> tuple[Ranker, ChannelMap]:
        """The ranker of this name with these weights, and how metric names are read.

        Raises:
            FirewatchError: the weights or rules cannot be used.
        """
        from gnn.checkpoint import channel_map_for

        channels = channel_map_for(self.rules, [self.checkpoint] if self.checkpoint else ())
        return make_ranker(name, self.checkpoint, seed, channels), channels
