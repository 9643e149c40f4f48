"""Incidents → training examples → batches of tensors."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.channels import ChannelMap
from data.incident import Incident
from data.simulator.batch.generate import topology_key
from gnn.features.featurize import CHANNEL_BLOCK, Graph, featurize


class Example(NamedTuple):
    """One labelled graph."""

    graph: Graph
    is_root: npt.NDArray[np.float32]  # (S,) 1 for a root cause; all 0: known to be healthy
    fault: str  # name of the fault family, "" when unknown
    source: str  # the system or world; each counts the same when temperatures are fitted
    group: str = ""  # a split never divides a group
    taught: npt.NDArray[np.float32] | None = None  # (S,) of sum 1: what teachers say; None: nobody was asked
    incident: Incident | None = None  # of a system's own labels: trees and frequencies also read it

    @property
    def has_root(self) -> bool:
        """Whether a root cause is known; without one the graph is known to be healthy."""
        return bool(self.is_root.any())

    @property
    def target(self) -> npt.NDArray[np.float32]:
        """What the root scores should say, as shares of 1: the teachers' view, else the labels: (S,)."""
        roots = max(float(self.is_root.sum()), 1.0)
        return (self.is_root / roots).astype(np.float32) if self.taught is None else self.taught


class Batch(NamedTuple):
    """Several graphs side by side; B graphs, S services in all."""

    x: Tensor  # (S, F)
    mode: Tensor  # (B,)
    edge_index: Tensor  # (2, E)
    edge_attr: Tensor  # (E, A)
    graph_of: Tensor  # (S,)
    graphs: int
    is_root: Tensor  # (S,)
    target: Tensor  # (S,) of sum 1 in each graph, 0 in a healthy one
    family: Tensor  # (B,) index of the fault family, -1 when unknown

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        moved: dict[str, Any] = {
            name: part.to(device) for name, part in self._asdict().items() if isinstance(part, Tensor)
        }
        return self._replace(**moved)


def examples_of(incidents: Iterable[Incident], channel_map: ChannelMap | None = None) -> Iterator[Example]:
    """Turns labelled incidents into examples.

    An incident whose roots are not among its services cannot be learnt from and is left out; one without any
    root is an example of health.
    """
    for incident in filter(has_example, incidents):
        roots = set(incident.root_causes)
        is_root = np.array([name in roots for name in incident.services], dtype=np.float32)
        graph = featurize(incident, channel_map)
        yield Example(graph, is_root, incident.fault, incident.system, group_of(incident.incident_id))


def has_example(incident: Incident) -> bool:
    """Whether an incident makes an example: it has services, and any root is one of them."""
    roots = set(incident.root_causes)
    return bool(incident.services) and (not roots or not roots.isdisjoint(incident.services))


def group_of(incident_id: str) -> str:
    """The group that a split keeps together: one episode's windows, one topology's simulated incidents."""
    whole = incident_id.split("@")[0]
    return topology_key(whole) or whole


def collate(examples: Sequence[Example], families: Sequence[str] = ()) -> Batch:
    """Puts graphs side by side in one batch; a fault that is not in `families` counts as unknown."""
    family_index = {name: index for index, name in enumerate(families)}
    graphs = [example.graph for example in examples]
    sizes = np.array([len(graph.x) for graph in graphs])
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    shifted = [graph.edge_index + offset for graph, offset in zip(graphs, offsets, strict=True)]
    return Batch(
        x=torch.from_numpy(np.concatenate([graph.x for graph in graphs])),
        mode=torch.tensor([graph.mode for graph in graphs]),
        edge_index=torch.from_numpy(np.concatenate(shifted, axis=1)),
        edge_attr=torch.from_numpy(np.concatenate([graph.edge_attr for graph in graphs])),
        graph_of=torch.from_numpy(np.repeat(np.arange(len(graphs)), sizes)),
        graphs=len(graphs),
        is_root=torch.from_numpy(np.concatenate([example.is_root for example in examples])),
        target=torch.from_numpy(np.concatenate([example.target for example in examples])),
        family=torch.tensor([family_index.get(example.fault, -1) for example in examples]),
    )


def drop_channels(batch: Batch, rate: float, generator: torch.Generator) -> Batch:
    """Hides whole channels of whole graphs, and single channels of single services, with probability `rate`.

    What is measured differs from system to system; a net that leans on one channel would not travel.
    """
    if rate <= 0:
        return batch
    channels, statistics = CHANNEL_BLOCK
    graph_keeps = torch.rand((batch.graphs, channels), generator=generator) >= rate
    service_keeps = torch.rand((len(batch.x), channels), generator=generator) >= rate / 3
    keeps = (graph_keeps.to(batch.x.device)[batch.graph_of] & service_keeps.to(batch.x.device)).float()
    width = channels * statistics
    masked = batch.x[:, :width] * keeps.repeat_interleave(statistics, dim=1)
    return batch._replace(x=torch.cat([masked, batch.x[:, width:]], dim=1))
