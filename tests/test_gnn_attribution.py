"""Attributions add up, are repeatable, and name evidence without which the suspect falls."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from studies.deletion_effect import check_deletion, named_groups

from data.channels import default_channel_map
from data.incident import Incident, Series
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.evaluation.metrics import interval
from gnn.explain.attribution import AttributionConfig, attribute, attribute_first, margin_of
from gnn.explain.evidence_items import evidence_items_of, without_items
from gnn.graph_ranker import GraphRanker, load_ranker
from gnn.registry import shipped

MAP = default_channel_map()
QUICK = AttributionConfig(orders=4)
KINDS = [
    simulate(24, 31, SimulationConfig(most_services=12, healthy=0.0, snapshots=snapshots, alerts=alerts))
    for snapshots, alerts in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
]
# Series with a baseline, lone snapshots and alert lists take turns.
WORLDS = [incident for three in zip(*KINDS, strict=True) for incident in three]


@pytest.fixture(scope="module")
def ranker() -> GraphRanker:
    return load_ranker(shipped("ranker"))


def pair() -> Incident:
    """Services a and b with some metrics each."""
    points = Series(np.array([3.0]), np.ones(5))
    metrics = {"latency_p99": points, "cpu": points, "memory": points}
    return Incident("pair", ("a", "b"), {"a": ["b"]}, {"a": metrics, "b": {"cpu": points}})


def weighed(incident: Incident) -> npt.NDArray[np.float32]:
    """A ranker with known weights: at a, latency 2, cpu 1, memory −0.5; at b, 1 per metric."""
    worth = {"latency_p99": 2.0, "cpu": 1.0, "memory": -0.5}
    own, other = (incident.telemetry[name] for name in ("a", "b"))
    return np.array([sum(worth[name] for name in own), float(len(other))], dtype=np.float32)


def test_a_plain_sum_is_divided_into_its_terms() -> None:
    found = attribute(pair(), "a", weighed, MAP)
    assert [part.words for part in found.parts] == [
        "highest latency of a",
        "cpu of a",
        "memory of a",
        "what is seen at its callee b",
    ]
    assert [part.contribution for part in found.parts] == pytest.approx([2.0, 1.0, -0.5, -1.0])
    assert [part.share for part in found.parts] == pytest.approx([2 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert (found.margin, found.bare_margin) == (1.5, 0.0)
    assert [group.words for group in named_groups(found)] == ["highest latency of a", "cpu of a"]


def test_what_acts_only_together_is_shared_alike() -> None:
    def both(incident: Incident) -> npt.NDArray[np.float32]:
        own = incident.telemetry["a"]
        return np.array([float("cpu" in own and "memory" in own), 0.0], dtype=np.float32)

    found = attribute(pair(), "a", both, MAP, config=AttributionConfig(orders=400))
    shares = {part.words: part.contribution for part in found.parts}
    assert shares == pytest.approx({"cpu of a": 0.5, "memory of a": 0.5}, abs=0.1)


def test_contributions_add_up_to_the_margin(ranker: GraphRanker) -> None:
    for incident in WORLDS[:3]:
        for service in ranker.rank(incident).services[:2]:
            found = attribute(incident, service, ranker.scores, ranker.channel_map, config=QUICK)
            assert sum(found.contributions) == pytest.approx(found.margin - found.bare_margin, abs=1e-3)
            row = incident.services.index(service)
            assert found.margin == margin_of(ranker.scores(incident), row)
            every = [piece for group in found.groups for piece in group.pieces]
            assert sorted(every) == sorted(evidence_items_of(incident, ranker.channel_map))


def test_the_same_seed_gives_the_same_shares_whatever_else_draws(ranker: GraphRanker) -> None:
    import torch

    incident = max(WORLDS, key=lambda i: len(i.services))
    service = ranker.rank(incident).services[0]
    one = attribute(incident, service, ranker.scores, ranker.channel_map, 3, QUICK)
    state = torch.random.get_rng_state()
    torch.rand(7)
    torch.random.set_rng_state(state)
    other = attribute(incident, service, ranker.scores, ranker.channel_map, 3, QUICK)
    assert one == other and torch.equal(torch.random.get_rng_state(), state)
    assert one != attribute(incident, service, ranker.scores, ranker.channel_map, 4, QUICK)


def test_labels_change_no_share(ranker: GraphRanker) -> None:
    incident = next(i for i in WORLDS if i.telemetry and not i.observations)
    service = ranker.rank(incident).services[0]
    asked = attribute(incident, service, ranker.scores, ranker.channel_map, config=QUICK)
    hidden = replace(incident, root_causes=(), fault="")
    assert attribute(hidden, service, ranker.scores, ranker.channel_map, config=QUICK) == asked


def test_nothing_to_go_by_and_nobody_to_beat(ranker: GraphRanker) -> None:
    silent = Incident("silent", ("a", "b"), {})
    found = attribute(silent, "a", ranker.scores, ranker.channel_map)
    assert found.parts == () and found.margin == found.bare_margin == 0.0
    alone = Incident("alone", ("a",), {"a": ["a"]}, {"a": {"cpu": Series(np.array([0.9]))}})
    assert np.isfinite(attribute(alone, "a", ranker.scores, ranker.channel_map).margin)
    empty = Incident("empty", (), {})
    assert attribute_first(ranker, empty, ranker.rank(empty), 5)[1] == {}


def test_evidence_follows_what_the_ranker_goes_by(ranker: GraphRanker) -> None:
    changed = 0
    for incident in WORLDS[:3]:
        ranking = ranker.rank(incident)
        told, found = attribute_first(ranker, incident, ranking, 1)
        assert told.services == ranking.services and set(found) == set(ranking.services[:1])
        assert told.candidates[1:] == ranking.candidates[1:]
        changed += told.candidates[0].evidence != ranking.candidates[0].evidence
    assert changed


def test_the_suspect_falls_without_the_named_evidence_more_than_without_other(ranker: GraphRanker) -> None:
    done = [check_deletion(ranker, incident, 0, config=QUICK) for incident in WORLDS[:18]]
    for cuts in ([d.anywhere for d in done], [d.own for d in done]):
        pairs = [cut.margin for cut in cuts if cut is not None]
        assert len(pairs) >= 10
        low, _ = interval([named - at_random for named, at_random in pairs])
        assert low > 0.0


def test_a_cut_takes_away_what_it_names_and_as_much_at_random(ranker: GraphRanker) -> None:
    incident = next(i for i in WORLDS if len(evidence_items_of(i, MAP)) > 20)
    done = check_deletion(ranker, incident, 5, named=1, config=QUICK)
    assert done == check_deletion(ranker, incident, 5, named=1, config=QUICK)
    found = attribute(incident, done.service, ranker.scores, ranker.channel_map, 5, QUICK)
    first, cut = named_groups(found)[0], done.anywhere
    assert cut is not None and cut.pieces == len(first.pieces)
    row = incident.services.index(done.service)
    left = ranker.scores(without_items(incident, first.pieces, ranker.channel_map))
    assert cut.margin[0] == pytest.approx(found.margin - margin_of(left, row), abs=1e-5)
