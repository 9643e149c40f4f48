"""The graph network as a ranker: features in, calibrated and explained suspects out, by ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data.channels import ChannelMap, default_channel_map
from data.incident import Incident
from gnn.card import Card
from gnn.checkpoint import kept_channel_map, kept_file, read_card
from gnn.explain.sentences import explain
from gnn.explain.verdict import is_measured, judged, told_down, verdict_on
from gnn.exported_network import Floats, Heads, Network, exported_network
from gnn.features.featurize import Features, Graph, features_of
from gnn.features.isolated_services import bystanders, rejoined, without_services
from gnn.network.softmax import Doubt, log_softmax, tempered
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import FILES, SystemEnsemble, load_ensemble
from gnn.ranker import Candidate, Ranking

if TYPE_CHECKING:
    from gnn.network.model import ModelConfig

_EXPLAINED = 5  # candidates that get evidence
# Nineteen of twenty windows that networks learn from are incidents; whoever asks may not think so beforehand.
_LEARNT_ODDS = float(np.log(0.95 / 0.05))


class GraphRanker:
    """Ranks with a trained network.

    Args:
        network: the scoring function.
        card: the checkpoint's card, for temperatures and families.
        name: how results are reported.
        channel_map: how metric names are read; the default rules when None.
        ensemble: what is known of one system beside the network.
    """

    def __init__(
        self,
        network: Network,
        card: Card,
        name: str = "gnn",
        channel_map: ChannelMap | None = None,
        ensemble: SystemEnsemble | None = None,
    ) -> None:
        self._network, self._card, self._name = network, card, name
        self._channel_map = channel_map or default_channel_map()
        self._ensemble = ensemble
        self._families = card.shape.families
        self._doubt = Doubt(card.temperature, card.alert_doubt, card.trouble_doubt)

    @property
    def name(self) -> str:
        """As reported."""
        return self._name

    @property
    def card(self) -> Card:
        """Where the weights came from."""
        return self._card

    @property
    def channel_map(self) -> ChannelMap:
        """How metric names are read."""
        return self._channel_map

    def scores(self, incident: Incident) -> Floats:
        """The score of each service, in the incident's order, and nothing else: (S,)."""
        if not incident.services:
            return np.zeros(0, np.float32)
        features, (root, _, _) = self._seen(incident)
        return self._scores(root, self._logits(root, incident, features.graph))

    def frequencies_for(self, incident: Incident) -> AlertFrequencies | None:
        """The alert frequencies of the incident's system, if they are known and count."""
        return self._ensemble.frequencies_for(incident) if self._ensemble else None

    def rank(self, incident: Incident) -> Ranking:
        """Ranks all services, best first; ties keep the incident's order."""
        if not incident.services:
            return Ranking((), self._name, "nobody")
        features, (root, family, is_incident) = self._seen(incident)
        graph = features.graph
        logits = self._logits(root, incident, graph)
        scores = self._scores(root, logits)
        order = np.argsort(-scores, kind="stable")
        is_told = bool(is_measured(graph).any())  # else only the graph speaks
        probability = np.exp(log_softmax(logits)) if is_told else np.full(len(logits), 1.0 / len(logits))
        chance = _at_even_odds(float(is_incident[0])) if is_told else None
        names = [incident.services[i] for i in order.tolist()]
        usual = self.frequencies_for(incident)
        evidence = explain(
            incident, names[:_EXPLAINED], self._channel_map, frequencies=usual, features=features
        )
        best_first = probability[order].tolist()
        verdict, reason = verdict_on(graph, chance, int(order[0]), best_first, self._card.unsure_below)
        likely = np.exp(log_softmax(family[order[0]])).tolist() if self._families else ()
        return Ranking(
            tuple(
                Candidate(name, score, chance_of, evidence.get(name, ()))
                for name, score, chance_of in zip(names, scores[order].tolist(), best_first, strict=True)
            ),
            self._name,
            verdict,
            reason,
            unsure_below=self._card.unsure_below,
            incident_probability=chance,
            families=dict(zip(self._families, likely, strict=True)),
        )

    def _seen(self, incident: Incident) -> tuple[Features, Heads]:
        """The incident as arrays, and what the network says; of bystanders it hears last."""
        features = features_of(incident, self._channel_map)
        root, family, is_incident = self._heard(features.graph, incident)
        gone = bystanders(features.graph)
        if gone.any():
            others = without_services(incident, gone)
            graph = features_of(others, self._channel_map, features.calls).graph
            apart, family[~gone], is_incident = self._heard(graph, others)
            root = rejoined(root, apart, gone)
        if incident.alerts:
            down = told_down(incident, self._channel_map)
            root, is_incident = root + down, is_incident + down.max()
        return features, (root, family, is_incident)

    def _heard(self, graph: Graph, incident: Incident) -> Heads:
        root, family, is_incident = self._network(graph)
        return judged(root, graph, incident), family, is_incident

    def _logits(self, root: Floats, incident: Incident, graph: Graph) -> npt.NDArray[np.floating]:
        """Calibrated: their softmax means what it says; with an ensemble, of all opinions pooled."""
        logits = tempered(root, graph, self._doubt)
        return self._ensemble.blend(logits, incident, graph) if self._ensemble else logits

    def _scores(self, root: Floats, logits: npt.NDArray[np.floating]) -> Floats:
        """What the order is by: an ensemble's opinion counts where there is one."""
        return logits.astype(np.float32) if self._ensemble else root


def _at_even_odds(logit: float) -> float:
    """The chance that this is an incident, if half of all windows were incidents."""
    return float(1.0 / (1.0 + np.exp(_LEARNT_ODDS - logit)))


def load_ranker(folder: Path, name: str = "gnn", channel_map: ChannelMap | None = None) -> GraphRanker:
    """Opens a checkpoint folder.

    Args:
        folder: as `gnn.checkpoint.save` wrote it.
        name: how results are reported.
        channel_map: how metric names are read; as in training when None.

    Raises:
        CheckpointError: the folder holds no usable checkpoint.
        AlertFrequenciesError: what is usual in one system cannot be read.
        TreesError: what it learnt from the labels of one system cannot be used.
    """
    card = read_card(folder)
    network = exported_network(folder, card)
    for file in card.files.keys() & set(FILES):
        kept_file(folder, card, file)
    ensemble = load_ensemble(folder, card.pool) if card.pool else None
    return GraphRanker(network, card, name, channel_map or kept_channel_map(folder, card), ensemble)


def untrained_ranker(config: "ModelConfig", seed: int, channel_map: ChannelMap | None = None) -> GraphRanker:
    """The network with fresh weights: what the architecture alone is worth (Kipf and Welling, ICLR 2017)."""
    import torch

    from gnn.checkpoint import card_for
    from gnn.network.model import RootCauseNet

    torch.manual_seed(seed)
    net = RootCauseNet(config).eval()

    def network(graph: Graph) -> Heads:
        with torch.no_grad():
            scores = net(
                torch.from_numpy(graph.x),
                torch.tensor([graph.mode]),
                torch.from_numpy(graph.edge_index),
                torch.from_numpy(graph.edge_attr),
                None,
                1,
            )
        return scores.root.numpy(), scores.family.numpy(), scores.incident.numpy()

    return GraphRanker(network, card_for(config), "untrained", channel_map)
