"""What one evaluation is asked to score."""

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
