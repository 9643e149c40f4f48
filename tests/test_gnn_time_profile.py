"""Laws of the courses of channels over time and of the network that follows them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.checkpoint import load
from gnn.features.featurize import MODES, SERVICE_FEATURES, featurize
from gnn.features.time_profile import COURSE_CHANNELS, COURSE_ROWS, POINTS, shortened
from gnn.graph_ranker import load_ranker, untrained_ranker
from gnn.network.batch import Example, collate, drop_channels, examples_of
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.training.pipeline import fit
from gnn.training.resume import training_fingerprint
from gnn.training.train import TrainConfig, score_examples
from gnn.training.training_job import FitJob

ROOT = Path(__file__).parents[1]
ROW = {str(name): row for row, name in enumerate(COURSE_ROWS)}
SHAPE = ModelConfig(temporal="conv", hidden=16, layers=1, dropout=0.0)
CALM = 0.1 + 0.001 * np.array([-1, 0, 1, 0, -1, 1, 0, 1, -1, 0])


@pytest.fixture(scope="module")
def worlds() -> list[Incident]:
    """A few of each kind: with a past, without one, and alerts alone."""
    return list(simulate(400, seed=3, config=SimulationConfig(most_services=6)))[::4]


@pytest.fixture(scope="module")
def examples(worlds: list[Incident]) -> list[Example]:
    return list(examples_of(worlds, course=True))


@pytest.fixture(scope="module")
def net() -> RootCauseNet:
    torch.manual_seed(0)
    return RootCauseNet(SHAPE).eval()


def course_of(*series: Series, metric: str = "latency_avg", page: Page | None = None) -> np.ndarray:
    """(S, R, P) of services a, b, … that call nobody and show one metric each."""
    telemetry = {name: {metric: one} for name, one in zip("abcdef", series, strict=False)}
    course = featurize(Incident("x", tuple(telemetry), {}, telemetry, page=page), course=True).course
    assert course is not None
    return course


def seen(found: np.ndarray, *rows: str) -> Sequence[int]:
    """How many points of each row are there for the first service."""
    return [int((found[0, ROW[row]] != 0).sum()) for row in rows]


def test_without_being_asked_for_there_is_none_and_the_columns_stay(worlds: list[Incident]) -> None:
    for incident in worlds:
        plain, followed = featurize(incident), featurize(incident, course=True)
        assert plain.course is None and followed.course is not None
        assert followed.course.shape == (len(incident.services), len(COURSE_ROWS), POINTS)
        assert np.isfinite(followed.course).all()
        assert all(np.array_equal(one, other) for one, other in zip(plain[:4], followed[:4], strict=True))


def test_reordering_the_services_reorders_the_courses(worlds: list[Incident]) -> None:
    rng = np.random.default_rng(0)
    for incident in worlds:
        order = rng.permutation(len(incident.services))
        names = tuple(incident.services[i] for i in order)
        shuffled = featurize(Incident(**{**vars(incident), "services": names}), course=True).course
        plain = featurize(incident, course=True).course
        assert shuffled is not None and plain is not None
        assert np.allclose(shuffled, plain[order], atol=1e-4)


def test_a_course_says_when_and_against_what() -> None:
    late = Series(np.array([0.1, 0.1, 0.5]), CALM)
    course = course_of(late, Series(np.full(3, 0.1), CALM), page=Page("a", "latency"))
    assert seen(course, "against_past", "against_first") == [3, 0]
    assert course[0, ROW["latency_mid"]].argmax() == 2 and course[0, ROW["latency_mid"], :2].max() < 1.0
    assert np.allclose(course[:, ROW["rhythm"], :4], [0, 0, 3, 0], atol=0.05)
    assert np.abs(course[1, ROW["latency_mid"]]).max() < 1.0

    course = course_of(Series(np.array([0.1, np.nan, 0.4])), Series(np.full(3, 0.1)))
    assert seen(course, "against_past", "against_first", "rhythm", "latency_mid") == [0, 3, 0, 1]
    assert course[0, ROW["latency_mid"], 2] > 1.0


@pytest.mark.parametrize(
    "incident",
    [
        Incident("empty", (), {}),
        Incident("silent", ("a", "b"), {"a": ["b"]}),
        Incident("alerts", ("a",), {}, alerts=(AlertEvent("a", "metric", "cpu", "up"),)),
        Incident("no points", ("a",), {}, {"a": {"cpu": Series(np.empty(0), np.ones(5))}}),
        Incident(
            "unknown metric and alerts",
            ("a",),
            {},
            {"a": {"colour": Series(np.ones(3))}},
            alerts=(AlertEvent("a", "metric", "cpu", "up"),),
        ),
    ],
    ids=lambda incident: incident.incident_id,
)
def test_who_has_no_points_has_zeros(incident: Incident) -> None:
    course = featurize(incident, course=True).course
    assert course is not None and course.shape == (len(incident.services), len(COURSE_ROWS), POINTS)
    assert not course.any()


def test_missing_points_deviate_from_nothing() -> None:
    for past in (np.empty(0), np.full(5, np.nan), CALM):
        course = course_of(Series(np.full(3, np.nan), past), Series(np.array([np.nan, 0.1, 0.1]), past))
        assert np.isfinite(course).all() and not course[0, : ROW["rhythm"]].any()


@pytest.mark.parametrize("ticks", [1, 7, POINTS, POINTS + 1, 19, 400])
def test_long_courses_are_shortened_evenly(ticks: int) -> None:
    points = np.arange(2.0 * ticks).reshape(2, ticks)
    short = shortened(points)
    assert short.shape == (2, min(ticks, POINTS))
    assert (np.diff(short) > 0).all()
    assert np.allclose(shortened(np.ones((2, ticks))), 1.0)
    if ticks <= POINTS:
        assert np.array_equal(short, points)
    elif ticks % POINTS == 0:
        assert np.allclose(short.mean(axis=1), points.mean(axis=1))


def test_a_hidden_channel_has_no_course(examples: list[Example]) -> None:
    batch = collate(examples)
    hidden = drop_channels(batch, 0.5, torch.Generator().manual_seed(0))
    assert batch.course is not None and hidden.course is not None
    has, row = SERVICE_FEATURES.index("latency_tail.has"), ROW["latency_tail"]
    kept, gone = hidden.x[:, has] > 0, batch.x[:, has] > hidden.x[:, has]
    assert kept.any() and gone.any()
    assert not hidden.course[gone, row].any() and batch.course[gone, row].any()
    assert torch.equal(hidden.course[kept, row], batch.course[kept, row])
    rest = len(COURSE_CHANNELS)
    assert torch.equal(hidden.course[:, rest:], batch.course[:, rest:])


def test_the_scores_follow_the_services_and_no_graph_hears_of_another(
    net: RootCauseNet, worlds: list[Incident], examples: list[Example]
) -> None:
    rng = np.random.default_rng(0)
    together = score_examples(net, examples)
    for incident, example, expected in zip(worlds, examples, together, strict=True):
        assert np.allclose(score_examples(net, [example])[0], expected, atol=1e-4)
        order = rng.permutation(len(incident.services))
        shuffled = Incident(**{**vars(incident), "services": tuple(incident.services[i] for i in order)})
        (found,) = score_examples(net, list(examples_of([shuffled], course=True)))
        assert np.allclose(found, expected[order], atol=1e-4)


def test_the_course_is_read_and_is_missed(net: RootCauseNet, examples: list[Example]) -> None:
    measured = next(e for e in examples if e.graph.course is not None and e.graph.course.any())
    graph = measured.graph
    still = measured._replace(graph=graph._replace(course=np.zeros_like(graph.course)))
    blind = measured._replace(graph=graph._replace(course=None))
    assert not np.allclose(*score_examples(net, [measured, still]))
    with pytest.raises(ValueError, match="course=True"):
        score_examples(net, [blind])
    assert len({training_fingerprint([e], (), None) for e in (measured, still, blind)}) == 3


def test_a_network_without_is_as_it_would_be_if_there_were_none(examples: list[Example]) -> None:
    torch.manual_seed(4)
    without = RootCauseNet(SHAPE.model_copy(update={"temporal": "none"})).eval()
    torch.manual_seed(4)
    own = RootCauseNet(SHAPE).state_dict()
    shared = without.state_dict()
    assert {name.split(".")[0] for name in own.keys() - shared.keys()} == {"follow"}
    assert all(torch.equal(own[name], value) for name, value in shared.items())
    blind = [example._replace(graph=example.graph._replace(course=None)) for example in examples[:8]]
    for one, other in zip(*(score_examples(without, e) for e in (blind, examples[:8])), strict=True):
        assert np.array_equal(one, other)
    kept, card = load(ROOT / "checkpoints" / "ranker")
    assert card.model.get("temporal", "none") == kept.config.temporal


def test_a_checkpoint_that_follows_time_ranks_as_its_network(tmp_path: Path, worlds: list[Incident]) -> None:
    config = TrainConfig(model=SHAPE, epochs=1, device="cpu")
    card, net = fit(FitJob(config, tmp_path, incidents=worlds[:60]))
    assert card.model["temporal"] == "conv"
    again, _ = load(tmp_path)
    ranker = load_ranker(tmp_path)
    modes = set()
    for incident in worlds:
        graph = featurize(incident, course=True)
        modes.add(graph.mode)
        example = Example(graph, np.zeros(len(incident.services), np.float32), "", "")
        for one in (net, again):
            apart = np.abs(ranker.scores(incident) - score_examples(one, [example])[0])
            # The ranker itself judges some unmeasured services; all others have the network's scores.
            assert np.median(apart) < 1e-4
    assert modes == set(range(len(MODES)))
    assert untrained_ranker(SHAPE, 0).rank(worlds[-1]).candidates
