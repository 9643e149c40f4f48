"""The networks: one inductive encoder over services and calls, two ways to pass messages, and two controls.

Shapes: B graphs, S services, E calls, F service features, A call features, H hidden width.
"""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, SAGEConv, global_max_pool, global_mean_pool

from gnn.features.featurize import CALL_FEATURES, DEGREE_FEATURES, GRAPH_FEATURES, MODES, SERVICE_FEATURES
from gnn.network.heads import Scores

Convolution = Literal["sage", "edge", "none", "degree"]


class ModelConfig(BaseModel):
    """Everything that decides the network's shape; fields that older cards have besides are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    convolution: Convolution = Field(
        "edge",
        description="message passing; 'none' is the graph-free control, 'degree' adds only degrees to it",
    )
    hidden: int = Field(64, gt=0, description="hidden width")
    layers: int = Field(3, ge=0, description="rounds of message passing")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout while training")
    families: tuple[str, ...] = Field((), description="fault families that the family head tells apart")


class RootCauseNet(nn.Module):
    """Scores every service of every graph in a batch; it knows no names and works for graphs of any size."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden, features = config.hidden, len(SERVICE_FEATURES)
        visible = torch.ones(features)
        if config.convolution in ("none", "degree"):
            visible[list(GRAPH_FEATURES)] = 0.0
        if config.convolution == "degree":
            visible[list(DEGREE_FEATURES)] = 1.0
        self.visible: Tensor
        self.register_buffer("visible", visible)
        # Columns come in different units; `adjust_to` brings them to about the same spread.
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(features))
        # One encoder for each mode: a single snapshot and a series with a baseline are different inputs.
        self.encode = nn.Linear(features * len(MODES), hidden)
        self.mode = nn.Embedding(len(MODES), hidden)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(hidden)
        self.root = _head(2 * hidden, 1)
        self.family = _head(hidden, max(len(config.families), 1))
        self.incident = _head(2 * hidden, 1)

    def adjust_to(self, x: Tensor) -> None:
        """Brings each column of (S, F), the services to learn from, to a root mean square of 1."""
        spread = torch.sqrt((x**2).sum(0) / (x != 0).sum(0).clamp(min=1))  # (F,)
        self.scale.copy_(1.0 / spread.clamp(min=0.05))

    def forward(
        self,
        x: Tensor,
        mode: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
        batch: Tensor | None,
        graphs: int,
    ) -> Scores[Tensor]:
        """Scores a batch.

        Args:
            x: (S, F). mode: (B,) index into MODES. edge_index: (2, E) caller, callee. edge_attr: (E, A).
            batch: (S,) the graph of each service; None: all are of the only one. graphs: B.
        """
        h = self._encoded(x, mode, batch)
        for layer in self.layers:
            h = layer(h, edge_index, edge_attr, batch, graphs)
        h = self.norm(h)
        peers = global_mean_pool(h, batch, graphs)  # (B, H)
        loudest = global_max_pool(h, batch, graphs)  # (B, H)
        root = self.root(torch.cat([h, h - _each(peers, batch, h)], dim=1)).squeeze(1)  # (S,)
        incident = self.incident(torch.cat([peers, loudest], dim=1)).squeeze(1)  # (B,)
        return Scores(root, self.family(h), incident)

    def _encoded(self, x: Tensor, mode: Tensor, batch: Tensor | None) -> Tensor:
        """(S, F) → (S, H), each service through the slot of its graph's mode."""
        seen = self.visible * self.scale
        if batch is None:  # for a single graph the other slots would be zero, so they are not built
            weight = self.encode.weight.view(-1, len(MODES), x.shape[1])[:, mode[0]] * seen  # (H, F)
            own: Tensor = nn.functional.linear(x, weight, self.encode.bias) + self.mode(mode)
            return own
        x = x * seen
        own_mode = mode[batch]  # (S,)
        slots = [x * (own_mode == m).unsqueeze(1) for m in range(len(MODES))]
        encoded: Tensor = self.encode(torch.cat(slots, dim=1)) + self.mode(own_mode)
        return encoded


class _Layer(nn.Module):
    """One residual round of messages: from callers, from callees, and from the mean of the whole graph."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.norm = nn.LayerNorm(hidden)
        self.from_callees = _convolution(config)
        self.from_callers = _convolution(config)
        self.update = nn.Sequential(
            nn.Linear((4 if self.from_callees else 2) * hidden, 2 * hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * hidden, hidden),
        )

    def forward(
        self, h: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor | None, graphs: int
    ) -> Tensor:
        n = self.norm(h)
        parts = [n, _each(global_mean_pool(n, batch, graphs), batch, n)]
        if self.from_callees is not None and self.from_callers is not None:
            parts.append(self.from_callees(n, edge_index.flip(0), edge_attr))
            parts.append(self.from_callers(n, edge_index, edge_attr))
        updated: Tensor = self.update(torch.cat(parts, dim=1))
        return h + updated


class _EdgeConv(MessagePassing):  # type: ignore[misc]
    """Builds messages from both ends and the call itself, and sums them up by mean and maximum."""

    def __init__(self, hidden: int) -> None:
        super().__init__(aggr=["mean", "max"])
        # One linear layer over both ends and the call, in parts: there are fewer ends than calls.
        self.of_receiver = nn.Linear(hidden, hidden)
        self.of_sender = nn.Linear(hidden, hidden, bias=False)
        self.of_call = nn.Linear(len(CALL_FEATURES), hidden, bias=False)
        self.out = nn.Linear(2 * hidden, hidden)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        ends = (self.of_sender(h), self.of_receiver(h))
        arrived: Tensor = self.out(self.propagate(edge_index, h=ends, of_call=self.of_call(edge_attr)))
        return arrived

    def message(self, h_i: Tensor, h_j: Tensor, of_call: Tensor) -> Tensor:
        return nn.functional.gelu(h_i + h_j + of_call)


class _SageConv(nn.Module):
    """PyG's GraphSAGE layer with the signature used here; it ignores the features of calls."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv = SAGEConv(hidden, hidden, aggr=["mean", "max"], root_weight=False)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        arrived: Tensor = self.conv(h, edge_index)
        return arrived


def _convolution(config: ModelConfig) -> nn.Module | None:
    kinds: dict[str, Callable[[int], nn.Module]] = {"sage": _SageConv, "edge": _EdgeConv}
    return kinds[config.convolution](config.hidden) if config.convolution in kinds else None


def _each(pooled: Tensor, batch: Tensor | None, like: Tensor) -> Tensor:
    """Repeats the row of each graph, (B, H), for each of its services: (S, H)."""
    return pooled.expand_as(like) if batch is None else pooled[batch]


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, out))
