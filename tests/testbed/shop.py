"""The shop: which processes there are, who calls whom, how they are started, scraped and stopped."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from testbed.debian import program

TESTS = Path(__file__).resolve().parents[1]
NAMESPACE = "shop"

# pod: (service, kind, work_ms, ((service called, by what, share of requests, connections), …))
PODS: dict[str, tuple[str, str, float, tuple[tuple[str, str, float, int], ...]]] = {
    "gateway": (
        "gateway", "http", 10,
        (("catalog", "http", 0.6, 50), ("users", "http", 0.5, 50), ("orders", "http", 0.5, 50)),
    ),
    "catalog": ("catalog", "http", 20, (("cache", "http", 0.9, 20), ("db", "db", 0.3, 8))),
    "users": ("users", "http", 25, (("db", "db", 1.0, 8),)),
    "orders-0": (
        "orders", "http", 30,
        (("payment", "http", 1, 20), ("inventory", "http", 1, 20), ("queue", "http", 1, 8)),
    ),
    "orders-1": (
        "orders", "http", 30,
        (("payment", "http", 1, 20), ("inventory", "http", 1, 20), ("queue", "http", 1, 8)),
    ),
    "payment": ("payment", "http", 20, (("bank", "http", 1, 20),)),
    "inventory": ("inventory", "http", 25, (("db", "db", 1, 8),)),
    "shipping": ("shipping", "http", 30, ()),
    "worker": ("worker", "worker", 10, (("queue", "http", 1, 4), ("shipping", "http", 1, 4))),
    "db": ("db", "pg", 15, ()),
    "cache": ("cache", "redis", 5, ()),
    "queue": ("queue", "rabbitmq", 5, ()),
    "bank": ("bank", "third-party", 80, ()),
}  # fmt: skip
UNSEEN = ("bank",)  # of others: nobody scrapes it
LOAD_PER_S = 12.0
_START_S = 90.0  # until everything listens

RULES = """
groups:
- name: shop
  interval: 2s
  rules:
  - alert: HighErrorRate
    expr: >-
      sum by (job, pod, namespace)
      (rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[5s]))
      / sum by (job, pod, namespace) (rate(http_server_request_duration_seconds_count[5s])) > 0.1
    for: 4s
  - alert: TargetDown
    expr: up == 0
    for: 4s
  - alert: ManyOpenFiles
    expr: process_open_fds > 12
"""


QUICK_RULES = RULES.replace("interval: 2s", "interval: 1s").replace("for: 4s", "for: 1s")
ALERTMANAGER = """
route: {receiver: firewatch, group_by: [alertname], group_wait: 1s, group_interval: 1s}
receivers:
- name: firewatch
  webhook_configs:
  - url: %s
    http_config: {authorization: {credentials: %s}}
"""


class Shop:
    """A running shop. Ports are picked by the operating system.

    Args:
        folder: where processes write to.
        seed: of the load and the faults.
        is_watched: whether Prometheus judges each second and tells the Alertmanager, once it is started.
    """

    def __init__(self, folder: Path, seed: int, is_watched: bool = False) -> None:
        self.folder, self.seed, self.is_watched = folder, seed, is_watched
        names = [*PODS, *(f"{pod}-proxy" for pod in PODS), "proxies", "load", "prometheus", "alertmanager"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.versions = dict.fromkeys(PODS, "1.0.0")
        self.http = httpx.Client(timeout=5)

    @property
    def prometheus(self) -> str:
        return f"http://127.0.0.1:{self.ports['prometheus']}"

    def start(self) -> Self:
        """Starts everything and waits for Prometheus's first scrape."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start_prometheus()
        proxies = {pod: (self.ports[f"{pod}-proxy"], self.ports[pod]) for pod in PODS}
        self._start(
            "proxies", "testbed.proxy", "proxies", {"proxies": proxies, "port": self.ports["proxies"]}
        )
        for pod in PODS:
            self.start_pod(pod)
        self._wait_for(*PODS, "proxies")
        paths = ["/cart", "/home", "/account"]
        target = {"target": self.ports["gateway"], "paths": paths, "per_s": LOAD_PER_S}
        self._start(
            "load", "testbed.proxy", "load", {**target, "port": self.ports["load"], "seed": self.seed}
        )
        self._wait_for("load", "prometheus")
        return self

    def _wait_for(self, *names: str) -> None:
        """Until all of these listen.

        Raises:
            ProcessLookupError: one has ended instead.
            TimeoutError: one does not listen.
        """
        end = time.monotonic() + _START_S
        while not all(_open(self.ports[name]) for name in names):
            if any(process.poll() is not None for process in self.processes.values()):
                raise ProcessLookupError(f"a process of the testbed has ended: see the logs in {self.folder}")
            if time.monotonic() > end:
                raise TimeoutError(f"the testbed did not start: see the logs in {self.folder}")
            time.sleep(0.1)

    def start_pod(self, pod: str, **changes: object) -> None:
        """Starts one process, with the changes of a deployment if any."""
        service, kind, work_ms, calls = PODS[pod]
        config = {
            "name": service, "pod": pod, "kind": kind, "work_ms": work_ms, "port": self.ports[pod],
            "seed": self.seed, "version": self.versions[pod],
            "spans": str(self.folder / f"spans-{pod}.jsonl"),
            "calls": [self._call(callee, *how) for callee, *how in calls], **changes,
        }  # fmt: skip
        self._start(pod, "testbed.service", config)

    def _call(self, callee: str, via: str, share: float, pool: int) -> dict[str, Any]:
        pods = [pod for pod, (service, *_) in PODS.items() if service == callee]
        addresses = [(pod, self.ports[f"{pod}-proxy"]) for pod in pods]
        path = {"queue": "/take" if share == 1 and pool == 4 else "/put"}.get(callee, f"/{callee}")
        return {"addresses": addresses, "via": via, "share": share, "pool": pool, "path": path}

    def _start(self, name: str, module: str, *arguments: object) -> None:
        words = [one if isinstance(one, str) else json.dumps(one) for one in arguments]
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=TESTS, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )  # fmt: skip
        log.close()

    def _start_prometheus(self) -> None:
        rules, config = self.folder / "rules.yml", self.folder / "prometheus.yml"
        rules.write_text(QUICK_RULES if self.is_watched else RULES)
        jobs = "\n".join(
            f"- job_name: {service}\n  static_configs:\n" + "\n".join(
                f"  - targets: ['127.0.0.1:{self.ports[pod]}']\n"
                f"    labels: {{namespace: {NAMESPACE}, pod: {pod}}}"
                for pod, (owner, *_) in PODS.items() if owner == service
            )
            for service in dict.fromkeys(service for pod, (service, *_) in PODS.items() if pod not in UNSEEN)
        )  # fmt: skip
        told = f"127.0.0.1:{self.ports['alertmanager']}"
        alerting = f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{told}']}}]}}]}}\n"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 2s}\n"
            f"{alerting if self.is_watched else ''}rule_files: [{rules}]\nscrape_configs:\n{jobs}\n"
        )
        self.processes["prometheus"] = start_prometheus(
            self.folder / "data", self.ports["prometheus"], config, self.folder / "prometheus.log"
        )

    def start_alertmanager(self, webhook: str, token: str) -> None:
        """Starts a real Alertmanager that posts to `webhook`."""
        config = self.folder / "alertmanager.yml"
        config.write_text(ALERTMANAGER % (webhook, token))
        with (self.folder / "alertmanager.log").open("ab") as log:
            self.processes["alertmanager"] = subprocess.Popen(
                [
                    program("prometheus-alertmanager", "prometheus-alertmanager"), f"--config.file={config}",
                    f"--storage.path={self.folder}", "--cluster.listen-address=",
                    f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        self._wait_for("alertmanager")

    def fault(self, pod: str, **what: object) -> None:
        """Injects a fault into a service."""
        self.http.get(f"http://127.0.0.1:{self.ports[pod]}/fault", params=what)  # type: ignore[arg-type]

    def network(self, pod: str, **what: object) -> None:
        """Injects a fault into the network in front of a service."""
        self.http.get(f"http://127.0.0.1:{self.ports['proxies']}/fault", params={"pod": pod, **what})  # type: ignore[dict-item]

    def load(self, per_s: float) -> None:
        self.http.get(f"http://127.0.0.1:{self.ports['load']}/rate", params={"per_s": per_s})

    def signal(self, pod: str, number: signal.Signals) -> None:
        self.processes[pod].send_signal(number)

    def restart(self, pod: str, **changes: object) -> None:
        """Kills a process and starts it again."""
        self.processes[pod].kill()
        self.processes[pod].wait()
        self.start_pod(pod, **changes)

    def memory_bytes(self, pod: str) -> int:
        pages = Path(f"/proc/{self.processes[pod].pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes.values():
            process.wait()
        self.http.close()


def start_prometheus(data: Path, port: int, config: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts a real Prometheus on this data folder."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [
                program("prometheus", "prometheus"), f"--config.file={config}", f"--storage.tsdb.path={data}",
                f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=50y",
                "--log.level=error",
            ],
            stdout=file, stderr=file,
        )  # fmt: skip


@contextmanager
def running(folder: Path, seed: int, is_watched: bool = False) -> Iterator[Shop]:
    """Starts a shop and always stops it."""
    for last in (False, False, True):
        shop = Shop(folder, seed, is_watched)
        try:
            shop.start()
            break
        except ProcessLookupError:  # somebody else took one of the ports that were free
            shop.stop()
            if last:
                raise
    try:
        yield shop
    finally:
        shop.stop()


def free_ports(count: int) -> Sequence[int]:
    """Ports without a listener."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def chosen(seed: int, scenario: str, among: Sequence[str]) -> str:
    """The service that a fault affects; it depends on the seed."""
    return random.Random(f"{seed} {scenario}").choice(among)
