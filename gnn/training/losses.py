"""What training minimises: listwise for the root, cross-entropy for the family, logistic for "incident?".

Each loss is a sum over what it is defined for, divided by how many there are in the whole batch: the losses
of several processes with a part of it each add up to that of one process with all of it.
Shapes: S services, B graphs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gnn.network.batch import Batch, Example
from gnn.network.heads import Scores

_WEIGHT = Scores(root=1.0, family=0.1, incident=0.1)  # of each head's loss


class Counts(NamedTuple):
    """How much of a batch each loss is defined for."""

    graphs: int
    rooted: int  # graphs with a root cause
    named: int  # root causes whose fault family is known


def counts_of(examples: Sequence[Example], families: Sequence[str] = ()) -> Counts:
    """The counts for `collate(examples, families)`, however it is shared among processes."""
    known = set(families)
    return Counts(
        graphs=len(examples),
        rooted=sum(bool(example.is_root.any()) for example in examples),
        named=sum(int((example.is_root > 0).sum()) for example in examples if example.fault in known),
    )


def log_softmax_per_graph(score: Tensor, graph_of: Tensor, graphs: int) -> Tensor:
    """Log of the softmax of `score` within each graph: (S,)."""
    highest = torch.full((graphs,), -torch.inf, device=score.device)
    highest = highest.scatter_reduce(0, graph_of, score.detach(), "amax")
    shifted = score - highest[graph_of]
    total = torch.zeros(graphs, device=score.device).index_add(0, graph_of, shifted.exp())
    return shifted - total.log()[graph_of]


def listwise_loss(score: Tensor, batch: Batch, rooted: int | None = None) -> Tensor:
    """ListNet's top-one cross-entropy (Cao et al., ICML 2007) per graph; healthy graphs count 0.

    Args:
        score: (S,).
        batch: the graphs.
        rooted: by how many to divide; default: the graphs of this batch that have a root.
    """
    log_p = log_softmax_per_graph(score, batch.graph_of, batch.graphs)  # (S,)
    divisor = int(_has_root(batch).sum()) if rooted is None else rooted
    return -(batch.target * log_p).sum() / max(divisor, 1)


def _has_root(batch: Batch) -> Tensor:
    """Which graphs have a root cause: (B,)."""
    return torch.zeros(batch.graphs, device=batch.x.device).index_add(0, batch.graph_of, batch.is_root) > 0


def total_loss(scores: Scores[Tensor], batch: Batch, counts: Counts) -> Tensor:
    """The weighted sum of the three heads' losses.

    Args:
        scores: of `batch`, in full precision.
        batch: this process's part of the whole batch.
        counts: of the whole batch.
    """
    incident = F.binary_cross_entropy_with_logits(scores.incident, _has_root(batch).float(), reduction="sum")
    # Computed even without a named root: every process must contribute to every gradient.
    at_root = (batch.is_root > 0) & (batch.family[batch.graph_of] >= 0)
    family = F.cross_entropy(scores.family[at_root], batch.family[batch.graph_of][at_root], reduction="sum")
    return (
        listwise_loss(scores.root, batch, counts.rooted)
        + _WEIGHT.incident * incident / max(counts.graphs, 1)
        + _WEIGHT.family * family / max(counts.named, 1)
    )
