"""What kubectl tells: owners, rollouts, crashes and warnings, from a file and from the cluster."""

import asyncio
import json
from pathlib import Path

import pytest
from fake_kubectl import FakeKubectl, bad_rollout, kubectl

from data.errors import TelemetryFault
from data.incident import AlertEvent
from data.sources.cluster import Cluster
from data.sources.files.reading import read_evidence
from data.sources.live.kubectl import Kubectl
from data.sources.samples import Samples

__all__ = ["kubectl"]
AT_S = 1_780_000_000.0


def cluster() -> Cluster:
    found = Cluster(Samples().workload)
    found.take(bad_rollout("cart", AT_S), "test")
    return found


def test_pods_belong_to_their_deployments() -> None:
    assert cluster().workload("cart-7d9f8b6c5-x2x4z") == cluster().workload("cart-7d9f8b6c5") == "cart"
    assert cluster().workload("unknown") == "unknown"


def test_what_happened_is_told_the_latest_first() -> None:
    told = [one.text for one in cluster().of("cart")]
    assert (
        "warning BackOff" in told[0] and "restarted 4 times, last after OOMKilled (exit code 137)" in told[1]
    )
    assert any("revision 7, image shop/cart:1.1.0 instead of shop/cart:1.0.0" in text for text in told)
    assert any("waiting: CrashLoopBackOff" in text for text in told)
    assert not any("node" in one.text.lower() for one in cluster().happened)
    assert [one.text for one in cluster().of("cart-7d9f8b6c5-x2x4z")] == told


def test_only_warnings_of_the_window_are_alerts() -> None:
    recent = {event for event, _ in cluster().alerts(AT_S - 900)}
    assert AlertEvent("cart", "metric", "OOMKilled") in recent
    assert {event.service for event in recent} == {"cart"}
    assert {event.service for event, _ in cluster().alerts()} == {"cart", "web"}


def test_a_saved_answer_is_read_like_any_telemetry(tmp_path: Path) -> None:
    objects, table = tmp_path / "objects.json", tmp_path / "t.csv"
    objects.write_text(json.dumps({"kind": "List", "items": bad_rollout("cart", AT_S)}))
    rows = [f"{AT_S - 1800 + 15 * i},{name},cpu_usage,0.2" for i in range(120) for name in ("cart", "web")]
    table.write_text("\n".join(["time,service,metric,value", *rows]))
    [incident] = read_evidence([objects, table]).incidents
    assert AlertEvent("cart", "metric", "BackOff") in incident.alerts
    assert "deploy_age_s" in incident.telemetry["cart"] and "deploy_age_s" not in incident.telemetry["web"]


def ask(**changes: float) -> Cluster:
    return asyncio.run(Kubectl("current", "shop", changes.get("timeout_s", 5.0), 900).read())


def test_a_cluster_is_asked_once_and_only_read(kubectl: FakeKubectl) -> None:
    kubectl.objects(bad_rollout("cart", AT_S))
    assert ask().workload("cart-7d9f8b6c5-x2x4z") == "cart"
    [asked] = kubectl.asked
    assert asked.startswith("get ") and " -n shop " in asked and not kubectl.acted


def test_a_remedy_is_for_the_workload_and_a_look_for_the_pod(kubectl: FakeKubectl) -> None:
    stateful = {"kind": "StatefulSet", "metadata": {"name": "db-2"}, "spec": {"replicas": 3}}
    kubectl.objects([stateful, *bad_rollout("cart", AT_S)])
    reached = Kubectl("current", "", 5.0, 900)
    assert reached.workload("cart") == reached.target("cart") == "deployment/cart"
    asyncio.run(reached.read())
    pod = "cart-7d9f8b6c5-x2x4z"
    assert (reached.target(pod), reached.workload(pod)) == (f"pod/{pod}", "deployment/cart")
    assert (reached.replicas(pod), reached.replicas("db-2"), reached.replicas("users")) == (2, 3, None)
    assert reached.workload("db-2") == reached.target("db-2") == "statefulset/db-2"


def test_what_kubectl_cannot_tell_is_one_plain_line(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kubectl.folder / "objects.json").write_text("not json")
    with pytest.raises(TelemetryFault, match="did not answer with JSON"):
        ask()
    (kubectl.folder / "objects.json").write_text('{"items": [{"kind": "Pod", "metadata": {"name": 7}}]}')
    with pytest.raises(TelemetryFault, match="kubectl get: field"):
        ask()
    kubectl.sleep()
    with pytest.raises(TelemetryFault, match=r"did not answer within 0\.1 s"):
        ask(timeout_s=0.1)
    kubectl.fail("error: You must be logged in to the server (Unauthorized)\n")
    with pytest.raises(TelemetryFault, match="Unauthorized"):
        ask()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TelemetryFault, match="cannot be run: No such file"):
        ask()
