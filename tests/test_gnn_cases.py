"""Small incidents that were ranked wrongly before, each with its right answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.incident import Incident
from data.sources.files.reading import read_incidents
from gnn.registry import make_ranker

# Cases that the shipped network still gets wrong.
WRONG = {"noisy-service-outranks"}  # what is usual there, no past tells


def case(shared: Path, name: str) -> Incident:
    file = shared / "cases" / f"{name}.json"
    if not file.exists():
        pytest.skip("the cases are not here")
    return read_incidents(file)[0]


@pytest.mark.parametrize(
    "name",
    [
        "02-oom-loop",
        "04-bad-deploy",
        "04b-bad-deploy-age-without-baseline",
        "04c-bad-deploy-no-age",
        "07-healthy",
        "08-dns",
        "11-pool-config",
        "flat-past-memory",
        "fold-swallows-root",
        "routine-logs-outrank",
        "trace-without-code-read-as-failed",
        "unexplained-entry-service",
        "13-alerts-only",
        "down-alert-InstanceDown",
        "down-alert-KubeDeploymentReplicasMismatch",
        "down-alert-RedisDown",
        "down-alert-TargetDown",
        "mrt-sr-rr-unread",
        "no-evidence",
        *(pytest.param(name, marks=pytest.mark.xfail(strict=True)) for name in sorted(WRONG)),
    ],
)
def test_a_case_is_answered_rightly(shared: Path, name: str) -> None:
    incident = case(shared, name)
    ranking = make_ranker("gnn").rank(replace(incident, root_causes=(), fault=""))
    if incident.root_causes:
        assert ranking.services[0] in incident.root_causes
        assert ranking.verdict != "nobody"
    else:
        assert ranking.verdict == ("unsure" if name == "no-evidence" else "nobody")


def test_the_decisive_fact_of_a_crash_loop_is_told_first(shared: Path) -> None:
    first = make_ranker("gnn").rank(case(shared, "02-oom-loop")).candidates[0]
    assert first.evidence[0].text.startswith("kube_pod_container_status_restarts_total rose from 0 to 3")
