"""The options of `evaluate`."""

from typing import Literal

from data.options import Cases, Common, WorkerOptions, option
from gnn.options import Weights
from gnn.registry import RANKERS


class EvaluateOptions(Common, WorkerOptions, Weights, Cases):
    """The rankers, and what to score them on."""

    rankers: tuple[str, ...] = option(
        ("gnn",),
        f"One or more of {', '.join(RANKERS)}.",
        name="--ranker",
        metavar="NAME[,NAME…]",
        separated=True,
    )
    protocol: Literal["firewatch", "rcaeval"] = option(
        "firewatch", "rcaeval: AC@k and Avg@5 as RCAEval counts them, for comparison with its figures."
    )
