"""What training minimises: listwise for the root, cross-entropy for the family, logistic for "incident?".

Shapes: S services, B graphs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from gnn.batch import Batch
from gnn.model import Scores


def log_softmax_per_graph(score: Tensor, graph_of: Tensor, graphs: int) -> Tensor:
    """Log of the softmax of `score` within each graph: (S,)."""
    highest = torch.full((graphs,), -torch.inf, device=score.device)
    highest = highest.scatter_reduce(0, graph_of, score.detach(), "amax")
    shifted = score - highest[graph_of]
    total = torch.zeros(graphs, device=score.device).index_add(0, graph_of, shifted.exp())
    return shifted - total.log()[graph_of]


def listwise_loss(score: Tensor, batch: Batch) -> Tensor:
    """ListNet's top-one cross-entropy (Cao et al., ICML 2007); roots share the mass, health counts 0."""
    log_p = log_softmax_per_graph(score, batch.graph_of, batch.graphs)  # (S,)
    roots = torch.zeros(batch.graphs, device=score.device).index_add(0, batch.graph_of, batch.is_root)  # (B,)
    target = batch.is_root / roots.clamp(min=1)[batch.graph_of]
    return -(target * log_p).sum() / (roots > 0).sum().clamp(min=1)


def total_loss(scores: Scores, batch: Batch, family_weight: float, incident_weight: float) -> Tensor:
    """The weighted sum of the three heads' losses."""
    loss = listwise_loss(scores.root, batch)
    has_root = torch.zeros(batch.graphs, device=loss.device).index_add(0, batch.graph_of, batch.is_root) > 0
    loss = loss + incident_weight * F.binary_cross_entropy_with_logits(scores.incident, has_root.float())
    at_root = (batch.is_root > 0) & (batch.family[batch.graph_of] >= 0)
    if family_weight and at_root.any():
        family = batch.family[batch.graph_of][at_root]
        loss = loss + family_weight * F.cross_entropy(scores.family[at_root], family)
    return loss
