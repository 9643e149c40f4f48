"""The catalogue: the official tasks in order, playable scenarios, random tasks, task files."""

import json
from pathlib import Path

import pytest

from data.errors import SchemaError, SettingsError
from data.faults.families import fault_families
from data.simulator import catalogue
from data.simulator.config import CONFIGS


def test_the_tasks_are_the_official_ones_in_order(shared: Path) -> None:
    official = json.loads((shared / "firewatch/tasks.json").read_bytes())
    assert [task.model_dump() for task in catalogue.catalogue()] == [
        {name: entry[name] for name in ("task_id", "difficulty", "seed", "max_ticks")} for entry in official
    ]


def test_scenarios_are_consistent() -> None:
    scenarios = catalogue.scenarios()
    assert len(scenarios) == 60
    for scenario in scenarios.values():
        assert set(scenario.faults) <= set(scenario.services)
        assert set(scenario.faults.values()) <= set(fault_families())
        assert scenario.about.endswith(".")
        fewest, most = CONFIGS[scenario.difficulty].services
        assert fewest <= len(scenario.services) <= most
    assert len({family for scenario in scenarios.values() for family in scenario.faults.values()}) >= 16


def test_smoke_tasks() -> None:
    assert [(task.seed, task.max_ticks) for task in catalogue.smoke_tasks()] == [
        (42, 20),
        (295, 30),
        (2560, 40),
    ]


def test_random_tasks_are_drawn_from_the_seed() -> None:
    tasks = catalogue.random_tasks(9, "all", 1)
    assert tasks == catalogue.random_tasks(9, "all", 1) != catalogue.random_tasks(9, "all", 2)
    assert [task.difficulty for task in tasks[:3]] == ["easy", "medium", "hard"]
    assert catalogue.random_tasks(0, "easy", 1) == ()
    with pytest.raises(SettingsError, match="nightmare"):
        catalogue.random_tasks(1, "nightmare", 1)


def test_unknown_task_is_refused() -> None:
    with pytest.raises(SettingsError, match="no_such_task"):
        catalogue.task("no_such_task")


def test_task_files(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    entry = {"task_id": "task_easy_cert_expiry", "difficulty": "easy", "seed": 924, "max_ticks": 20}
    path.write_text(json.dumps([entry]))
    assert catalogue.read_tasks(path) == (catalogue.task("task_easy_cert_expiry"),)
    path.write_text(json.dumps([{**entry, "difficulty": "nightmare"}]))
    with pytest.raises(SchemaError, match=r"0\.difficulty"):
        catalogue.read_tasks(path)
    path.write_text("{")
    with pytest.raises(SchemaError, match="JSON list"):
        catalogue.read_tasks(path)
