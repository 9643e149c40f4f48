"""The options that choose a ranker's weights."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from data.options import Options, option
from gnn.registry import known_folder

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
