"""Simulated incidents: labels, shapes, metric names, determinism, and solvability."""

import numpy as np
import pytest
from studies import families

from data.channels import default_channel_map
from data.faults.families import fault_families
from data.incident import Incident
from data.simulator.batch.generate import SimulationConfig, simulate
from data.simulator.batch.metric_naming import metric_namings


@pytest.fixture(scope="module")
def incidents() -> list[Incident]:
    return list(simulate(400, seed=3))


def _digest(incident: Incident) -> tuple[object, ...]:
    values = [
        (service, metric, series.baseline.tobytes(), series.incident.tobytes())
        for service, metrics in incident.telemetry.items()
        for metric, series in metrics.items()
    ]
    return (incident.services, incident.root_causes, incident.fault, incident.alerts, incident.page, values)


def test_same_seed_same_incidents() -> None:
    first = [_digest(i) for i in simulate(70, seed=5)]
    assert first == [_digest(i) for i in simulate(70, seed=5)]
    assert first != [_digest(i) for i in simulate(70, seed=6)]


def test_labels_are_services_and_families(incidents: list[Incident]) -> None:
    assert len(incidents) == len({i.incident_id for i in incidents}) == 400
    for incident in incidents:
        assert set(incident.root_causes) <= set(incident.services)
        assert bool(incident.root_causes) == bool(incident.fault)
        assert all(name in fault_families() for name in incident.fault.split("+") if name)
    healthy = sum(not incident.root_causes for incident in incidents)
    assert 0 < healthy < 80
    assert any(len(incident.root_causes) == 2 for incident in incidents)


def test_every_situation_occurs(incidents: list[Incident]) -> None:
    kinds = {incident.system.rsplit("-", 1)[1] for incident in incidents}
    assert kinds == {"snapshot", "series", "alerts"}
    assert any(incident.page for incident in incidents)
    assert any(incident.call_telemetry for incident in incidents)
    measured = [incident for incident in incidents if incident.telemetry]
    assert any(not incident.telemetry[root] for incident in measured for root in incident.root_causes)
    for incident in incidents:
        kind = incident.system.rsplit("-", 1)[1]
        assert bool(incident.telemetry) == (kind != "alerts")
        for metrics in incident.telemetry.values():
            for series in metrics.values():
                assert (len(series.baseline) == 0) == (kind == "snapshot")
                assert len(series.incident) > 0
        for alert in incident.alerts:
            assert alert.service in incident.services
            assert alert.caller is None or alert.caller in incident.services


@pytest.mark.parametrize("naming", metric_namings().values(), ids=lambda naming: naming.name)
def test_metric_names_are_understood(naming: object) -> None:
    meanings = {metric.name: default_channel_map()(metric.name) for metric in naming.metrics}  # type: ignore[attr-defined]
    wholes = {meaning.per for meaning in meanings.values() if meaning}
    assert all(meaning or name in wholes for name, meaning in meanings.items()), meanings


def test_large_graphs() -> None:
    config = SimulationConfig(most_services=5000, worlds_at_once=4)
    assert max(len(incident.services) for incident in simulate(24, 1, config)) > 300


def test_a_culprit_without_metrics_has_callers() -> None:
    config = SimulationConfig(blind_root=1.0, snapshots=1.0, alerts=0.0, healthy=0.0)
    for incident in simulate(100, 2, config):
        for root in incident.root_causes:
            if not incident.telemetry[root]:
                assert any(root in callees for callees in incident.call_graph.values())


def _largest_change(incident: Incident) -> str:
    """The service whose mean changed most, relative to the spread of its baseline."""
    moved = dict.fromkeys(incident.services, 0.0)
    for service, metrics in incident.telemetry.items():
        for series in metrics.values():
            calm, now = (
                series.baseline[~np.isnan(series.baseline)],
                series.incident[~np.isnan(series.incident)],
            )
            if len(calm) > 1 and len(now):
                spread = calm.std() + 0.05 * abs(calm.mean()) + 1e-6
                moved[service] += float(np.arcsinh(abs(now.mean() - calm.mean()) / spread))
    return max(moved, key=lambda service: moved[service])


def test_a_simple_scorer_finds_some_culprits_but_by_far_not_all() -> None:
    config = SimulationConfig(snapshots=0.0, alerts=0.0, healthy=0.0)
    hits = [_largest_change(i) in i.root_causes for i in simulate(300, 4, config)]
    assert 0.3 < np.mean(hits) < 0.8


def test_families_document_is_up_to_date() -> None:
    remake = "make families"
    assert families.FILE.read_text(encoding="utf-8") == families.document(), remake
    assert {path.stem for path in families.PLOTS.iterdir()} == set(fault_families())
    for family in fault_families():
        drawn = (families.PLOTS / f"{family}.svg").read_text(encoding="utf-8")
        assert f"<!-- {families.plot_fingerprint(families.chart(family))} -->" in drawn, (family, remake)
        assert f"](plots/{family}.svg)" in families.describe(family)
