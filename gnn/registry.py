"""All rankers by name, as on the command line."""

from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

from data.channels import ChannelMap, default_channel_map
from data.errors import SettingsError
from data.extras import needs
from data.incident import Incident
from gnn.ranker import Ranker, Ranking

RANKERS = (
    "gnn",
    "heuristic",
    "untrained",
    "mlp",
    "random",
    "pagerank",
    "zscore",
    "zscore-sum",
    "baro",
    "traversal",
    "none",
)


class NoRanker:
    """Suggests nothing: the control without hints."""

    name = "none"

    def rank(self, incident: Incident) -> Ranking:
        """An empty ranking."""
        return Ranking((), self.name, "nobody")


def shipped(name: str) -> Path:
    """The folder of a checkpoint that comes with the package: "ranker" or "mlp"."""
    return Path(str(resources.files("checkpoints"))) / name


def known_folder(checkpoint: Path) -> Path:
    """The folder of a checkpoint; "ranker" and "mlp" mean those that come with the package."""
    is_shipped = str(checkpoint) in ("ranker", "mlp") and not checkpoint.exists()
    return shipped(str(checkpoint)) if is_shipped else checkpoint


def weights_folder(ranker: str, checkpoint: Path | None) -> Path | None:
    """The folder of the weights that a ranker uses, if it uses any."""
    if ranker == "mlp":
        return shipped("mlp")
    return (checkpoint or shipped("ranker")) if ranker in ("gnn", "untrained") else None


def make_ranker(
    name: str, checkpoint: Path | None = None, seed: int = 0, channel_map: ChannelMap | None = None
) -> Ranker:
    """Builds the ranker called `name`.

    Args:
        name: one of `RANKERS`.
        checkpoint: for "gnn" and "untrained" (its shape); None for the shipped one.
        seed: for "random" and "untrained".
        channel_map: how metric names are read; when None, networks use the rules of their training, the
            others the default rules.

    Raises:
        SettingsError: an unknown name.
        CheckpointError: the checkpoint cannot be used.
        AlertFrequenciesError: the alert frequencies cannot be read.
        TreesError: the trees cannot be used.
    """
    if name not in RANKERS:
        raise SettingsError(f"ranker '{name}' is unknown – choose from {', '.join(RANKERS)}")
    makers: dict[str, Callable[[], Ranker]] = {
        "gnn": lambda: _graph(checkpoint or shipped("ranker"), "gnn", channel_map),
        "mlp": lambda: _graph(shipped("mlp"), "mlp", channel_map),
        "untrained": lambda: _untrained(checkpoint or shipped("ranker"), seed, channel_map),
        "none": NoRanker,
    }
    return makers[name]() if name in makers else _baseline(name, seed, channel_map)


def _graph(folder: Path, name: str, channel_map: ChannelMap | None) -> Ranker:
    """The graph network, or "mlp": the same without message passing and graph columns.

    The control shows what the graph is worth: Errica et al., "A Fair Comparison of Graph Neural Networks for
    Graph Classification", ICLR 2020; for faults in microservices Gao et al. (DiagMLP), ICWS 2025.
    """
    from gnn.graph_ranker import load_ranker

    return load_ranker(folder, name, channel_map)


def _untrained(folder: Path, seed: int, channel_map: ChannelMap | None) -> Ranker:
    """The network with random weights, which may already tell nodes apart: Kipf and Welling, 2017."""
    from data.observation import parse
    from gnn.checkpoint import CARD, kept_channel_map, read_card

    with needs("train"):
        from gnn.graph_ranker import untrained_ranker
        from gnn.network.model import ModelConfig
    card = read_card(folder)
    config = parse(ModelConfig, card.model, str(folder / CARD))
    return untrained_ranker(config, seed, channel_map or kept_channel_map(folder, card))


def _baseline(name: str, seed: int, channel_map: ChannelMap | None) -> Ranker:
    if name == "heuristic":
        from gnn.baselines.heuristic import HeuristicRanker

        return HeuristicRanker(channel_map)
    from gnn.baselines.baro import baro_scores
    from gnn.baselines.pagerank import pagerank_scores
    from gnn.baselines.random import random_scores
    from gnn.baselines.scoring import Scores, ScoringRanker
    from gnn.baselines.traversal import traversal_scores
    from gnn.baselines.zscore import largest_zscores, summed_zscores

    scores: dict[str, Scores] = {
        "random": partial(random_scores, seed),
        "pagerank": pagerank_scores,
        "zscore": largest_zscores,
        "zscore-sum": summed_zscores,
        "baro": baro_scores,
        "traversal": traversal_scores,
    }
    return ScoringRanker(name, scores[name], channel_map or default_channel_map())
