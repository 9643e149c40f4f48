"""The network: an inductive encoder over services, messages along their calls, and two controls.

Shapes: B graphs, S services, E calls, F service features, A call features, H hidden width.
"""

from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, global_add_pool, global_max_pool

from gnn.features.call_evidence import CALL_FEATURES
from gnn.features.featurize import (
    BYSTANDER,
    DEGREE_FEATURES,
    GRAPH_FEATURES,
    MODES,
    SERVICE_FEATURES,
)

Convolution = Literal["edge", "none", "degree"]

_NEVER = 1e4  # below all that a hidden unit says


class ModelConfig(BaseModel):
    """Everything that decides the network's shape."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    convolution: Convolution = Field(
        "edge",
        description="message passing; 'none' is the graph-free control, 'degree' adds only degrees to it",
    )
    hidden: int = Field(64, gt=0, description="hidden width")
    layers: int = Field(3, ge=0, description="rounds of message passing")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout while training")
    families: tuple[str, ...] = Field((), description="fault families that the family head tells apart")


class Scores(NamedTuple):
    """What the network says about a batch."""

    root: Tensor  # (S,) higher is more suspect
    family: Tensor  # (S, families) logits, as if the service were the root
    incident: Tensor  # (B,) logit that something is wrong at all


class RootCauseNet(nn.Module):
    """Scores every service of every graph in a batch; knows no service by name and no graph by size."""

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
        # One encoder a mode: a lone snapshot and a baselined series are different inputs.
        self.encode = nn.Linear(features * len(MODES), hidden)
        self.mode = nn.Embedding(len(MODES), hidden)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(hidden)
        self.root = _head(2 * hidden, 1)
        self.family = _head(hidden, max(len(config.families), 1))
        self.incident = _head(2 * hidden, 1)

    def adjust_to(self, x: Tensor) -> None:
        """Sets the scale of every column from the services to learn from, (S, F)."""
        self.scale.copy_(_scale_of(x))

    def forward(
        self,
        x: Tensor,
        mode: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
        batch: Tensor | None,
        graphs: int,
    ) -> Scores:
        """Scores a batch.

        Args:
            x: (S, F). mode: (B,) index into MODES. edge_index: (2, E) caller, callee. edge_attr: (E, A).
            batch: (S,) the graph of each service; None: all are of the only one. graphs: B.
        """
        h = self._encoded(x, mode, batch)
        part = 1.0 - x[:, BYSTANDER, None]  # (S, 1) 1 for who takes part: bystanders are told, not heard
        for layer in self.layers:
            h = layer(h, edge_index, edge_attr, part, batch, graphs)
        h = self.norm(h)
        peers = _mean(h, part, batch, graphs)  # (B, H)
        loudest = global_max_pool(h - _NEVER * (1.0 - part), batch, graphs)  # (B, H)
        root = self.root(torch.cat([h, h - _each(peers, batch, h)], dim=1)).squeeze(1)  # (S,)
        incident = self.incident(torch.cat([peers, loudest], dim=1)).squeeze(1)  # (B,)
        return Scores(root, self.family(h), incident)

    def _encoded(self, x: Tensor, mode: Tensor, batch: Tensor | None) -> Tensor:
        """(S, F) → (S, H), each service through the slot of its graph's mode."""
        seen = self.visible * self.scale
        if batch is None:  # the other slots of a single graph are zero: they are never made
            weight = self.encode.weight.view(-1, len(MODES), x.shape[1])[:, mode[0]] * seen  # (H, F)
            own: Tensor = nn.functional.linear(x, weight, self.encode.bias) + self.mode(mode)
            return own
        own_mode = mode[batch]  # (S,)
        encoded: Tensor = self.encode.bias + self.mode(own_mode)
        for number, weight in enumerate(
            (self.encode.weight.view(-1, len(MODES), x.shape[1]) * seen).unbind(1)
        ):
            rows = (own_mode == number).nonzero().squeeze(1)
            encoded = encoded.index_add(0, rows, nn.functional.linear(x[rows], weight).to(encoded.dtype))
        return encoded


class _Layer(nn.Module):
    """One residual round: what callers say, what callees say, what the whole graph looks like."""

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
        self,
        h: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor,
        part: Tensor,
        batch: Tensor | None,
        graphs: int,
    ) -> Tensor:
        n = self.norm(h)
        parts = [n, _each(_mean(n, part, batch, graphs), batch, n)]
        if self.from_callees is not None and self.from_callers is not None:
            parts.append(self.from_callees(n, edge_index.flip(0), edge_attr))
            parts.append(self.from_callers(n, edge_index, edge_attr))
        updated: Tensor = self.update(torch.cat(parts, dim=1))
        return h + updated


class _EdgeConv(MessagePassing):  # type: ignore[misc]
    """Messages made of both ends and the call itself; their mean and maximum arrive."""

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


def _convolution(config: ModelConfig) -> nn.Module | None:
    return _EdgeConv(config.hidden) if config.convolution == "edge" else None


def _mean(h: Tensor, part: Tensor, batch: Tensor | None, graphs: int) -> Tensor:
    """(S, H) → (B, H), the mean over who takes part."""
    total = global_add_pool(torch.cat([h * part, part], dim=1), batch, graphs)
    mean: Tensor = total[:, :-1] / total[:, -1:].clamp(min=1.0)
    return mean


def _each(pooled: Tensor, batch: Tensor | None, like: Tensor) -> Tensor:
    """What is known of each graph, (B, H), told to each of its services, (S, H)."""
    return pooled.expand_as(like) if batch is None else pooled[batch]


def _scale_of(columns: Tensor) -> Tensor:
    """What brings each column of (N, F) to a root mean square of 1 where it is measured: (F,)."""
    known = columns != 0
    spread = torch.sqrt((columns**2).sum(0) / known.sum(0).clamp(min=1))
    return 1.0 / spread.clamp(min=0.05)


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, out))
