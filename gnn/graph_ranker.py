"""Ranks with the graph network: an incident in, calibrated and explained suspects out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data.channels import ChannelMap, default_channel_map
from data.incident import Incident
from gnn.card import Card
from gnn.checkpoint import kept_channel_map, kept_file, read_card
from gnn.explain.sentences import explain
from gnn.explain.verdict import adjust_unmeasured, down_bonus, is_measured, put_silenced_first, verdict_on
from gnn.exported_network import Floats, Network, exported_network
from gnn.features.featurize import Features, Graph, features_of
from gnn.features.isolated_services import isolated_services, merge_scores, without_services
from gnn.network.heads import Scores
from gnn.network.softmax import log_softmax, tempered
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import FILES, SystemEnsemble, load_ensemble
from gnn.ranker import Candidate, Ranking

if TYPE_CHECKING:
    from gnn.network.model import ModelConfig

_FEW = 0.01  # so small a share of isolated services hardly moves a rank or median; a second pass takes long
_EXPLAINED = 5  # candidates that get evidence
# 95 % of the windows in training are incidents; that prior is taken out again.
_LEARNT_ODDS = float(np.log(0.95 / 0.05))


class GraphRanker:
    """Ranks with a trained network.

    Args:
        network: the scoring function.
        card: the checkpoint's card, for temperatures and families.
        name: under which results are reported.
        channel_map: how metric names are read; None for the default rules.
        ensemble: trees and alert frequencies of one system.
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
        self._doubt = card.doubt

    @property
    def name(self) -> str:
        """The name under which results are reported."""
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
        """The score of each service, in the incident's order: (S,)."""
        if not incident.services:
            return np.zeros(0, np.float32)
        incident = self._with_routine(incident)
        features, said = self._evaluate(incident)
        return self._judged(said, incident, features.graph)[1]

    def frequencies_for(self, incident: Incident) -> AlertFrequencies | None:
        """The alert frequencies of the incident's system, if known and used."""
        return self._ensemble.frequencies_for(incident) if self._ensemble else None

    def rank(self, incident: Incident) -> Ranking:
        """Ranks all services, best first; ties keep the incident's order."""
        if not incident.services:
            return Ranking((), self._name, "unsure", "nothing is known about any service")
        incident = self._with_routine(incident)
        features, said = self._evaluate(incident)
        graph = features.graph
        logits, scores = self._judged(said, incident, graph)
        order = np.argsort(-scores, kind="stable")
        has_evidence = bool(is_measured(graph).any())  # more than a call graph
        probability = np.exp(log_softmax(logits)) if has_evidence else np.full(len(logits), 1.0 / len(logits))
        chance = _at_even_odds(said) if has_evidence else None
        names = [incident.services[i] for i in order.tolist()]
        usual = self.frequencies_for(incident)
        evidence = explain(
            incident, names[:_EXPLAINED], self._channel_map, frequencies=usual, features=features
        )
        best_first = probability[order].tolist()
        verdict, reason = verdict_on(graph, chance, int(order[0]), best_first, self._card.unsure_below)
        likely = np.exp(log_softmax(said.family[order[0]])).tolist() if self._families else ()
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

    def _evaluate(self, incident: Incident) -> tuple[Features, Scores[Floats]]:
        """The features and the network's scores; isolated services don't affect the others' scores."""
        features = features_of(incident, self._channel_map)
        said = self._run_network(features.graph, incident)
        isolated = isolated_services(features.graph)
        if isolated.mean() > _FEW:
            others = without_services(incident, isolated)
            graph = features_of(others, self._channel_map, features.calls).graph
            apart = self._run_network(graph, others)
            said.family[~isolated] = apart.family
            root = merge_scores(said.root, apart.root, isolated)
            said = said._replace(root=root, incident=apart.incident)
        if incident.alerts:
            down = down_bonus(incident, self._channel_map)
            said = said._replace(root=said.root + down, incident=said.incident + down.max())
        return features, said

    def _run_network(self, graph: Graph, incident: Incident) -> Scores[Floats]:
        said = self._network(graph)
        root = adjust_unmeasured(said.root, graph, incident)
        return said._replace(root=put_silenced_first(root, graph, incident))

    def _with_routine(self, incident: Incident) -> Incident:
        return self._ensemble.with_routine(incident) if self._ensemble else incident

    def _ensemble_for(self, incident: Incident) -> SystemEnsemble | None:
        """What is known of its system: by the checkpoint or, on a list of alerts, by the incident itself."""
        if self._ensemble and self._ensemble.applies_to(incident):
            return self._ensemble
        if incident.routine and not incident.telemetry:
            return SystemEnsemble(AlertFrequencies.of_routine(incident))
        return self._ensemble

    def _judged(
        self, said: Scores[Floats], incident: Incident, graph: Graph
    ) -> tuple[npt.NDArray[np.floating], Floats]:
        """Calibrated logits, whose softmax is a probability, and the scores to sort by: (S,) each.

        With an ensemble both are the blended logits.
        """
        logits = tempered(said.root, graph, self._doubt)
        ensemble = self._ensemble_for(incident)
        if ensemble is None:
            return logits, said.root
        blended = ensemble.blend(logits, incident, graph)
        return blended, blended.astype(np.float32)


def _at_even_odds(said: Scores[Floats]) -> float:
    """The chance that this is an incident, with an even prior."""
    return float(1.0 / (1.0 + np.exp(_LEARNT_ODDS - float(said.incident[0]))))


def load_ranker(folder: Path, name: str = "gnn", channel_map: ChannelMap | None = None) -> GraphRanker:
    """Opens a checkpoint folder.

    Args:
        folder: written by `gnn.checkpoint.save`.
        name: under which results are reported.
        channel_map: how metric names are read; None for the rules used in training.

    Raises:
        CheckpointError: the folder holds no usable checkpoint.
        AlertFrequenciesError: the alert frequencies cannot be read.
        TreesError: the trees cannot be used.
    """
    card = read_card(folder)
    network = exported_network(folder, card)
    for file in card.files.keys() & set(FILES):
        kept_file(folder, card, file)
    ensemble = load_ensemble(folder, card.pool) if card.pool else None
    return GraphRanker(network, card, name, channel_map or kept_channel_map(folder, card), ensemble)


def untrained_ranker(config: "ModelConfig", seed: int, channel_map: ChannelMap | None = None) -> GraphRanker:
    """The network with random weights, to show what the architecture alone is worth.

    Kipf and Welling, ICLR 2017.
    """
    import torch

    from gnn.checkpoint import card_for
    from gnn.network.model import RootCauseNet

    torch.manual_seed(seed)
    net = RootCauseNet(config).eval()

    def network(graph: Graph) -> Scores[Floats]:
        with torch.no_grad():
            scores: Scores[torch.Tensor] = net(
                torch.from_numpy(graph.x),
                torch.tensor([graph.mode]),
                torch.from_numpy(graph.edge_index),
                torch.from_numpy(graph.edge_attr),
                None,
                1,
            )
        return Scores(*(part.numpy() for part in scores))

    return GraphRanker(network, card_for(config), "untrained", channel_map)
