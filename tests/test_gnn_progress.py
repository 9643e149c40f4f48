"""Progress of trainings: every long stage is reported from start to end."""

from dataclasses import replace
from pathlib import Path

import pytest
from post_mortems import post_mortems

from data.incident import Incident
from data.simulator.batch.generate import SimulationConfig, simulate
from data.sources.own_form import parse_incident
from gnn.network.model import ModelConfig
from gnn.training.pipeline import train_checkpoint
from gnn.training.progress import Meter, Stage, Steps, ignore_stage
from gnn.training.train import Epoch, TrainConfig
from gnn.training.training_job import TrainingJob
from gnn.training.workers import ALONE, Workers

CONFIG = TrainConfig(model=ModelConfig(hidden=8, layers=1), epochs=2, device="cpu")


@pytest.fixture(scope="module")
def labelled() -> list[Incident]:
    return [parse_incident(one, "here") for one in post_mortems(15)]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint trained on simulated worlds."""
    folder = tmp_path_factory.mktemp("start")
    worlds = list(simulate(40, seed=2, config=SimulationConfig(most_services=8)))
    train_checkpoint(TrainingJob(CONFIG, folder, simulated=worlds))
    return folder


def told(job: TrainingJob) -> tuple[dict[str, list[Stage]], list[Epoch]]:
    """The reported progress of a training, by stage."""
    stages: dict[str, list[Stage]] = {}
    epochs: list[Epoch] = []
    heard = replace(
        job,
        on_epoch=epochs.append,
        on_stage=lambda stage: stages.setdefault(stage.name, []).append(stage),
    )
    train_checkpoint(heard)
    return stages, epochs


def totals(stages: dict[str, list[Stage]]) -> dict[str, int]:
    """The total of each stage with a known end; checks that every step up to it was reported."""
    for name, steps in stages.items():
        first = 1 if steps[0].total is None else 0
        assert [stage.done for stage in steps] == [*range(first, first + len(steps))], name
        assert len({stage.total for stage in steps}) == 1
        assert steps[-1].total in (None, steps[-1].done), name
    return {name: steps[-1].total for name, steps in stages.items() if steps[-1].total is not None}


def test_training_on_one_system_is_followed_through_folds_and_trees(
    tmp_path: Path, labelled: list[Incident]
) -> None:
    stages, epochs = told(TrainingJob(CONFIG, tmp_path, incidents=labelled))
    assert totals(stages) == {
        "epochs of cross-validation": 5 * CONFIG.epochs,
        "trees of cross-validation, in parts": 5 * 6,
        "trees, in parts": 6,
        "checkpoint written": 1,
    }
    assert stages["examples read"][-1] == Stage("examples read", len(labelled))
    assert [(epoch.number, epoch.incidents) for epoch in epochs] == [(1, 15), (2, 15)]


def test_the_passes_of_folds_count_where_effort_is_told() -> None:
    meter = Meter(lambda epoch: None, ignore_stage)
    assert meter.effort("cpu", ALONE).incidents_per_s is None
    meter.epoch_done(Epoch(1, 0.5, 0.5, 0.5, 0.1, incidents=30, seconds=2.0))
    passes = Steps("passes", 1, meter.stage_moved)
    passes.step(Epoch(1, 0.5, 0.5, 0.5, 0.1, incidents=20, seconds=3.0))
    meter.stage_moved(Stage("anything else", 1))
    effort = meter.effort("cpu", Workers(1, 2))
    assert (effort.incidents_per_s, effort.device, effort.processes) == (10.0, "cpu", 2)


def test_adapting_is_followed_through_folds(tmp_path: Path, start: Path, labelled: list[Incident]) -> None:
    # A single healthy window goes to validation; nothing is left to train on.
    few = [*labelled[:3], labelled[3].labelled(())]
    stages, _ = told(TrainingJob(CONFIG, tmp_path, incidents=few, init=start))
    assert totals(stages) == {"epochs of cross-validation": 3 * CONFIG.epochs, "checkpoint written": 1}


def test_a_rehearsal_and_teachers_are_followed(tmp_path: Path, start: Path) -> None:
    small = SimulationConfig(most_services=8)
    own = [replace(one, incident_id=f"own-{n}") for n, one in enumerate(simulate(10, seed=1, config=small))]
    others = list(simulate(20, seed=3, config=small))
    stages, _ = told(TrainingJob(CONFIG, tmp_path, overlaid=own, simulated=others, init=start))
    assert totals(stages) == {"steps judged": 5, "checkpoint written": 1}
    worlds = list(simulate(20, seed=1, config=small))
    stages, _ = told(TrainingJob(CONFIG, tmp_path, simulated=worlds, teachers=(start, start)))
    assert totals(stages) == {"teachers heard": 2, "checkpoint written": 1}
