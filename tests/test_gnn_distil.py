"""Learning from several rankers: the targets are their combined scores."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.incident import Incident
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.network.batch import Example, collate, examples_of
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.training.distil import with_teacher_scores
from gnn.training.losses import listwise_loss
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig, score_examples, train
from gnn.training.training_job import TrainingError, TrainingJob

SMALL = SimulationConfig(most_services=8)
TINY = ModelConfig(hidden=16, layers=1)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(examples_of(simulate(120, seed=21, config=SMALL)))


@pytest.fixture(scope="module")
def teachers(examples: list[Example]) -> list[RootCauseNet]:
    return [train(TrainConfig(model=TINY, epochs=3, seed=seed), examples) for seed in (1, 2)]


def shares(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum())


def distance(net: RootCauseNet, examples: list[Example]) -> float:
    """The mean total variation between the network's output and its targets."""
    said = [shares(scores) for scores in score_examples(net, examples)]
    return float(np.mean([np.abs(s - e.target).sum() / 2 for s, e in zip(said, examples, strict=True)]))


def test_the_target_is_the_mean_of_the_teachers(
    examples: list[Example], teachers: list[RootCauseNet]
) -> None:
    both = [score_examples(teacher, examples) for teacher in teachers]
    for example, one, other in zip(with_teacher_scores(examples, teachers), *both, strict=True):
        if example.is_root.any():
            mean = (shares(one) + shares(other)) / 2
            assert example.target.sum() == pytest.approx(1.0, abs=1e-5)
            assert np.abs(example.target - mean).max() < 0.05


def test_labels_stay_labels(examples: list[Example], teachers: list[RootCauseNet]) -> None:
    for before, after in zip(examples, with_teacher_scores(examples, teachers), strict=True):
        assert np.array_equal(before.is_root, after.is_root)
        if not before.is_root.any():
            assert after.taught is None
            assert not after.target.any()


def test_the_loss_is_least_where_the_scores_say_what_the_teachers_say(
    examples: list[Example], teachers: list[RootCauseNet]
) -> None:
    batch = collate([e for e in with_teacher_scores(examples, teachers) if e.is_root.any()][:8])
    agreeing = torch.log(batch.target.clamp(min=1e-6))
    sure = torch.where(batch.is_root > 0, 50.0, 0.0)
    assert listwise_loss(agreeing, batch) < listwise_loss(sure, batch)
    assert listwise_loss(agreeing, batch) < listwise_loss(torch.zeros_like(agreeing), batch)


def test_who_suspects_everybody_a_little_teaches_that_and_no_nonsense() -> None:
    names = tuple(f"s{n}" for n in range(450))
    large = Incident("large", names, {name: [] for name in names}, root_causes=names[:1])
    (lesson,) = with_teacher_scores(list(examples_of([large])), [RootCauseNet(TINY)])
    assert lesson.target == pytest.approx(np.full(450, 1 / 450), abs=1e-4)


def test_teachers_teach_from_fresh_weights_and_no_labels_of_a_system(tmp_path: Path) -> None:
    incidents = list(simulate(12, seed=1, config=SMALL))
    job = TrainingJob(TrainConfig(model=TINY), tmp_path, incidents=incidents, teachers=(tmp_path,))
    with pytest.raises(TrainingError, match="episodes and simulated worlds"):
        train_checkpoint(job)


def test_a_pupil_says_what_its_teachers_say(examples: list[Example], teachers: list[RootCauseNet]) -> None:
    lessons = [example for example in with_teacher_scores(examples, teachers) if example.is_root.any()]
    config = TrainConfig(model=TINY, epochs=6, seed=3)
    pupil = train(config, lessons)
    stranger = train(config, [example._replace(taught=None) for example in lessons])
    assert distance(pupil, lessons) < distance(stranger, lessons)
