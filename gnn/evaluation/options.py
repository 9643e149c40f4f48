"""What one evaluation is asked to score."""

from typing import Literal

from data.options import Cases, Common, option
from gnn.options import Weights
from gnn.registry import RANKERS


class EvaluateOptions(Common, Weights, Cases):
    """Rankers, and what they are scored on."""

    rankers: tuple[str, ...] = option(
        ("gnn",),
        f"One or more of {', '.join(RANKERS)}.",
        name="--ranker",
        metavar="NAME[,NAME…]",
        separated=True,
    )
    protocol: Literal["firewatch", "rcaeval"] = option(
        "firewatch", "rcaeval: AC@k and Avg@5 as RCAEval counts them, to stand beside its figures."
    )
