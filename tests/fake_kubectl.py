"""A small executable `kubectl` that answers as recorded, and notes what it was asked."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = """#!/bin/sh
echo "$*" >> "{folder}/asked.txt"
[ -f "{folder}/fails.txt" ] && {{ cat "{folder}/fails.txt" >&2; exit 1; }}
[ -f "{folder}/sleeps" ] && sleep 30
case " $* " in
  *" get "*) cat "{folder}/objects.json" ;;
  *" logs "*) cat "{folder}/logs.txt" ;;
  *) echo "$*" >> "{folder}/acted.txt"; echo done ;;
esac
"""


class FakeKubectl:
    """A scripted kubectl that records its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects([])
        self.logs("")

    def objects(self, objects: list[dict[str, Any]]) -> None:
        (self.folder / "objects.json").write_text(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def logs(self, text: str) -> None:
        (self.folder / "logs.txt").write_text(text)

    def fail(self, reason: str) -> None:
        (self.folder / "fails.txt").write_text(reason)

    def sleep(self) -> None:
        (self.folder / "sleeps").write_text("")

    @property
    def asked(self) -> list[str]:
        file = self.folder / "asked.txt"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def acted(self) -> list[str]:
        file = self.folder / "acted.txt"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    folder = tmp_path / "kubectl"
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(_SCRIPT.format(folder=folder))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return FakeKubectl(folder)


def time_text(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"replicas": replicas}}  # fmt: skip


def replica_set(name: str, owner: str, revision: int, created_s: float, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": "shop", "creationTimestamp": time_text(created_s),
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": owner}],
        },
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
    }  # fmt: skip


def pod(name: str, owner: str, restarts: int = 0, ended_s: float = 0) -> dict[str, Any]:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": time_text(ended_s)}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}} if restarts else {"running": {}}
    status = {"restartCount": restarts, "state": waiting, "lastState": ended if restarts else {}}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "ownerReferences": [{"kind": "ReplicaSet", "name": owner}],
        },
        "spec": {"containers": [{"name": "app"}]}, "status": {"containerStatuses": [status]},
    }  # fmt: skip


def event(
    kind: str, name: str, reason: str, message: str, at_s: float, type_: str = "Warning"
) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.17a", "namespace": "shop"},
        "involvedObject": {"kind": kind, "name": name, "namespace": "shop"}, "reason": reason,
        "message": message, "type": type_,
        "firstTimestamp": time_text(at_s), "lastTimestamp": time_text(at_s),
    }  # fmt: skip


def bad_rollout(service: str, at_s: float) -> list[dict[str, Any]]:
    """A cluster in which `service` crashes since a recent rollout; `web` is healthy."""
    old, new = f"{service}-5d4f8b6c7", f"{service}-7d9f8b6c5"
    sick = f"{new}-x2x4z"
    return [
        deployment(service), deployment("web"),
        replica_set(old, service, 6, at_s - 86_400, f"shop/{service}:1.0.0"),
        replica_set(new, service, 7, at_s - 400, f"shop/{service}:1.1.0"),
        replica_set("web-6c7d8e9f0", "web", 1, at_s - 86_400, "shop/web:1.0.0"),
        pod(sick, new, 4, at_s - 60), pod("web-6c7d8e9f0-abcde", "web-6c7d8e9f0"),
        event("Pod", sick, "BackOff", "Back-off restarting failed container app", at_s - 50),
        event("Pod", "web-6c7d8e9f0-abcde", "Unhealthy", "Readiness probe failed", at_s - 80_000),
        event("Deployment", service, "ScalingReplicaSet", f"{new} to 1 from 0", at_s - 400, "Normal"),
        event("Node", "node-1", "NodeNotReady", "Node is not ready", at_s - 50),
    ]  # fmt: skip
