"""One service of the testbed as a process: serves, calls others, and is measured as people measure theirs."""

import asyncio
import json
import random
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import Counter, Gauge, Histogram, Info, generate_latest

from testbed.wire import Client, serve

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5)
SAMPLED = 0.2  # share of traces that are kept
TIMEOUT_S = 2.0


class Service:
    """A service's behaviour, its metrics and its injectable faults."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.name, self.pod, self.kind = config["name"], config["pod"], config["kind"]
        self.work_s: float = config["work_ms"] / 1e3
        self.random = random.Random(config["seed"])
        self.calls = [
            {
                **call,
                "clients": [(address, Client(port, call["pool"])) for address, port in call["addresses"]],
                "turn": 0,
            }
            for call in config["calls"]
        ]
        self.spans = Path(config["spans"]) if config["spans"] else None
        self.kept: list[dict[str, object]] = []
        self.error_rate: float = config.get("error_rate", 0.0)
        self.slower_s = 0.0
        self.leak_bytes = 0
        self.leaked: list[bytes] = []
        self.backlog = 0
        Info("target", "Target metadata").info(
            {"service_name": self.name, "service_version": config.get("version", "1.0.0")}
        )
        self._measure()

    def _measure(self) -> None:
        if self.kind == "http":
            self.served = Histogram(
                "http_server_request_duration_seconds", "Duration of HTTP server requests.",
                ("http_request_method", "http_route", "http_response_status_code"), buckets=BUCKETS,
            )  # fmt: skip
        elif self.kind == "pg":
            self.commits = Gauge("pg_stat_database_xact_commit", "Transactions committed", ("datname",))
            self.active = Gauge("pg_stat_activity_count", "Connections by state", ("state",))
        elif self.kind == "redis":
            self.commands = Gauge("redis_commands_processed", "Commands processed")
        elif self.kind == "rabbitmq":
            self.ready = Gauge("rabbitmq_queue_messages_ready", "Messages ready for delivery", ("queue",))
        self.called = Histogram(
            "http_client_request_duration_seconds", "Duration of HTTP client requests.",
            ("http_request_method", "server_address", "server_port", "http_response_status_code",
             "error_type"), buckets=BUCKETS,
        )  # fmt: skip
        self.asked = Histogram(
            "db_client_operation_duration_seconds", "Duration of database client operations.",
            ("db_system_name", "server_address", "error_type"), buckets=BUCKETS,
        )  # fmt: skip
        pools = [call for call in self.calls if call["via"] == "db"]
        if pools:
            count = Gauge("db_client_connection_count", "Connections", ("db_client_connection_state",))
            self.timeouts = Counter(
                "db_client_connection_timeouts", "Requests that got no connection in time"
            )
            waiting = Gauge("db_client_connection_pending_requests", "Requests that wait for a connection")
            clients = [client for call in pools for _, client in call["clients"]]
            count.labels("used").set_function(lambda: sum(client.used for client in clients))
            count.labels("idle").set_function(lambda: sum(client.size - client.used for client in clients))
            waiting.set_function(lambda: sum(client.waiting for client in clients))

    async def handle(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if parts.path == "/metrics":
            if self.kind == "rabbitmq":
                self.ready.labels("orders").set(self.backlog)
            return 200, generate_latest()
        if parts.path == "/fault":
            await self.break_down({name: values[0] for name, values in parse_qs(parts.query).items()})
            return 200, b"ok"
        started, began_ns = time.perf_counter(), time.time_ns()
        trace, parent = _context(headers)
        span = secrets.token_hex(8)
        if self.kind == "pg":
            self.active.labels("active").inc()
        status = await self.work(parts.path, trace, span)
        took_s = time.perf_counter() - started
        if self.kind == "http":
            self.served.labels("GET", parts.path, str(status)).observe(took_s)
        elif self.kind == "pg":
            self.active.labels("active").dec()
            self.commits.labels("shop").inc()
        elif self.kind == "redis":
            self.commands.inc()
        self.keep(trace, span, parent, parts.path, 2, began_ns, took_s, status >= 500)
        return status, b"ok"

    async def work(self, path: str, trace: str, span: str) -> int:
        if self.leak_bytes:
            self.leaked.append(secrets.token_bytes(self.leak_bytes))
        if self.kind == "rabbitmq":
            if path == "/take":
                if not self.backlog:
                    return 204
                self.backlog -= 1
            else:
                self.backlog += 1
        await asyncio.sleep(self.work_s * self.random.lognormvariate(0, 0.3) + self.slower_s)
        if self.random.random() < self.error_rate:
            return 500
        for call in self.calls:
            if self.random.random() < call["share"] and await self.call(call, trace, span) >= 500:
                return 502
        return 200

    async def call(self, call: dict[str, Any], trace: str, parent: str) -> int:
        call["turn"] += 1
        address, client = call["clients"][call["turn"] % len(call["clients"])]
        span = secrets.token_hex(8)
        if call["via"] == "db":  # what is measured begins once there is a connection
            try:
                await client.wait(TIMEOUT_S)
            except TimeoutError:
                self.timeouts.inc()
                return 599
        started, began_ns, error = time.perf_counter(), time.time_ns(), ""
        try:
            if call["via"] != "db":
                await client.wait(TIMEOUT_S)
            status = await client.get(call["path"], {"traceparent": f"00-{trace}-{span}-01"}, TIMEOUT_S)
        except OSError as failure:
            status, error = 599, type(failure).__name__
        took_s = time.perf_counter() - started
        if call["via"] == "db":
            self.asked.labels("postgresql", address, error).observe(took_s)
        else:
            code = "" if error else str(status)
            error = error or (code if status >= 500 else "")
            self.called.labels("GET", address, "80", code, error).observe(took_s)
        self.keep(trace, span, parent, call["path"], 3, began_ns, took_s, status >= 500)
        return status

    def keep(
        self,
        trace: str,
        span: str,
        parent: str,
        name: str,
        kind: int,
        began_ns: int,
        took_s: float,
        bad: bool,
    ) -> None:
        """Stores a span as OTLP JSON, if its trace is sampled."""
        if self.spans is None or int(trace[:4], 16) > SAMPLED * 0xFFFF or self.kind not in ("http", "worker"):
            return
        self.kept.append(
            {
                "traceId": trace, "spanId": span, "parentSpanId": parent, "name": f"GET {name}", "kind": kind,
                "startTimeUnixNano": str(began_ns), "endTimeUnixNano": str(began_ns + int(took_s * 1e9)),
                "status": {"code": 2} if bad else {},
            }
        )  # fmt: skip

    async def write_spans(self) -> None:
        """One line a second into the service's own file."""
        attributes = {"service.name": self.name, "k8s.pod.name": self.pod}
        resource = {
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
        }
        while self.spans:
            await asyncio.sleep(1)
            spans, self.kept = self.kept, []
            line = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
            with self.spans.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    async def consume(self) -> None:
        """A worker without callers: takes one message after the other."""
        while True:
            trace = secrets.token_hex(16)
            taken, *after = self.calls
            if await self.call(taken, trace, "") == 200:
                await asyncio.sleep(self.work_s)
                for call in after:
                    await self.call(call, trace, "")
            else:
                await asyncio.sleep(0.05)

    async def break_down(self, fault: Mapping[str, str]) -> None:
        """Sets a fault off, or mends it with a value of 0."""
        if "burn" in fault:
            for _ in range(int(fault["burn"])):
                threading.Thread(target=_burn, args=(float(fault["for_s"]),), daemon=True).start()
        self.leak_bytes = int(fault.get("leak_bytes", self.leak_bytes))
        self.slower_s = float(fault.get("slower_s", self.slower_s))
        for _ in range(int(fault.get("hold", 0))):
            task = asyncio.ensure_future(self.calls[-1]["clients"][0][1].take())
            _HELD.add(task)


_HELD: set[asyncio.Future[None]] = set()


def _burn(for_s: float) -> None:
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        sum(range(10_000))


def _context(headers: Mapping[str, str]) -> tuple[str, str]:
    parts = headers.get("traceparent", "").split("-")
    return (parts[1], parts[2]) if len(parts) == 4 else (secrets.token_hex(16), "")


async def main(config: Mapping[str, Any]) -> None:
    service = Service(config)
    await serve(config["port"], service.handle)
    tasks = [service.write_spans(), *([service.consume()] if service.kind == "worker" else [])]
    await asyncio.gather(*tasks, asyncio.Event().wait())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
