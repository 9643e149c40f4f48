"""Alerts posted over real sockets become diagnoses once each, and neither a crash nor a refusal loses one."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from telemetry_server import telemetry_server
from test_agent_cli_diagnose import sick

from agent.auth import authorizations
from agent.cli import answer
from agent.listening.alertmanager import PostedAlert
from agent.listening.app import LIMITS, listening_app
from agent.listening.counters import Counters
from agent.listening.notify import Notifier, message_body
from agent.listening.options import ListenOptions
from agent.listening.spool import QueueRefusal, Spool
from agent.listening.worker import Worker
from agent.live_diagnosis import Diagnosis, LiveOptions, diagnose
from data.channels import default_channel_map
from data.errors import TelemetryFault
from data.files.jsonl import read
from data.simulator.server.serving import RunningServer
from data.sources.files.reading import read_incidents
from gnn.registry import NoRanker

REPO = Path(__file__).resolve().parents[1]
TOKEN, HOOK = "swordfish-17", "T0/B0/hook-secret-99"
JSON = {"Content-Type": "application/json"}
START = datetime(2026, 5, 1, 10, tzinfo=UTC)


def alert(
    name: str = "HighErrorRate", minute: int = 0, status: str = "firing", **labels: str
) -> dict[str, Any]:
    started = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2 + minute)
    return {
        "status": status, "labels": {"alertname": name, "service": "b", **labels},
        "annotations": {"summary": "many errors"}, "startsAt": started.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "1f",
    }  # fmt: skip


def webhook(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "firewatch", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://am", "alerts": list(alerts),
    }  # fmt: skip


class Listening(NamedTuple):
    """A listener in a process of its own."""

    process: subprocess.Popen[str]
    http: httpx.Client  # that knows the token
    out: Path

    def post(self, *alerts: dict[str, Any]) -> dict[str, Any]:
        return self.http.post("/alerts", json=webhook(*alerts)).raise_for_status().json()

    def diagnoses(self, count: int) -> list[dict[str, Any]]:
        """As soon as there are so many."""
        return until(lambda: len(found := kept(self.out)) >= count and found)


def kept(out: Path) -> list[dict[str, Any]]:
    file = out / "diagnoses.jsonl"
    return [record for _, record in read(file)] if file.exists() else []


def until(seen: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := seen()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@contextmanager
def listening(out: Path, prometheus: str, *options: str, **variables: str) -> Iterator[Listening]:
    command = [sys.executable, "-m", "agent", "listen", "--prometheus", prometheus, "--out", str(out)]
    command += ["--port", "0", "--json", str(out) + ".url", *options]
    env = {**os.environ, "PYTHONPATH": str(REPO), "FIREWATCH_LISTEN_TOKEN": TOKEN, **variables}
    url = Path(f"{out}.url")
    url.unlink(missing_ok=True)
    with Path(f"{out}.err").open("a") as errors:
        process = subprocess.Popen(command, env=env, stderr=errors, text=True, cwd=out.parent)
    try:
        until(url.exists)
        with httpx.Client(
            base_url=json.loads(url.read_text())["url"], headers={"Authorization": f"Bearer {TOKEN}"}
        ) as http:
            yield Listening(process, http, out)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def hook(statuses: list[int], bodies: list[Any]) -> Iterator[str]:
    """A webhook that answers with these statuses in turn, then 200; gives its address."""

    async def take(request: Request) -> Response:
        bodies.append(await request.json())
        return Response(status_code=statuses.pop(0) if statuses else 200)

    with RunningServer(Starlette(routes=[Route(f"/services/{HOOK}", take, methods=["POST"])])) as server:
        yield f"{server.url}/services/{HOOK}"


def test_alerts_that_come_together_are_one_diagnosis_which_is_kept_and_sent(tmp_path: Path) -> None:
    bodies: list[Any] = []
    with telemetry_server(sick) as prometheus, hook([503], bodies) as url:
        options = ["--gather", "1s", "--every", "1s", "--notify", "slack"]
        with listening(tmp_path / "out", prometheus, *options, NOTIFY_URL=url) as one:
            assert one.post(alert(), alert("TargetDown")) == {"accepted": 2, "repeated": 0, "resolved": 0}
            assert one.post(alert(pod="b-1"), alert())["repeated"] == 1
            [record] = one.diagnoses(1)
            assert record["verdict"] == "culprit" and record["candidates"][0]["service"] == "b"
            assert record["alerts_in_all"] == 3 and record["from_firing_s"] > 120
            assert one.post(alert(status="resolved"))["resolved"] == 1
            until(lambda: len(bodies) == 2)
            counted = until(lambda: "sent" in (told := one.http.get("/metrics").text) and told)
            # Nothing more comes of what was only repeated; the same alert fires anew with another start.
            assert one.post(alert(minute=-1))["accepted"] == 1
            assert len(one.diagnoses(2)) == 2
            until(lambda: one.http.get("/healthz").json() == {"status": "ok", "waiting": 0})
            one.process.terminate()
            assert one.process.wait(20) == 130
        said = (tmp_path / "out.err").read_text()
    assert "HighErrorRate (2), TargetDown: b is the most likely" in said and "Traceback" not in said
    assert 'firewatch_alerts_total{outcome="accepted"} 3.0' in counted
    assert 'firewatch_diagnoses_total{verdict="culprit"} 1.0' in counted
    assert "b is the most likely root cause" in bodies[1]["text"].split("\n")[0]
    [page, _] = sorted((one.out / "reports").iterdir())
    [incident, _] = sorted((one.out / "incidents").iterdir())
    assert "most likely root cause" in page.read_text() and page.stat().st_size < 100_000
    assert read_incidents(incident)[0].incident_id == record["incident"]
    files = "".join(p.read_text(errors="replace") for p in one.out.rglob("*") if p.is_file())
    assert not any(secret in files + said + counted for secret in (TOKEN, HOOK))


def test_a_killed_listener_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    first = alert()
    with telemetry_server(sick) as prometheus:
        with listening(tmp_path / "out", prometheus, "--gather", "1h") as one:
            one.post(first, alert("TargetDown"))
            one.process.kill()
        with listening(tmp_path / "out", prometheus, "--gather", "0s") as two:
            [record] = two.diagnoses(1)
            assert {told["alertname"] for told in record["alerts"]} == {"HighErrorRate", "TargetDown"}
            assert two.post(first)["repeated"] == 1


def test_who_may_post_and_what(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue", most=2)
    accepted = authorizations("IN", {"IN_TOKEN": TOKEN, "IN_USER": "am", "IN_PASSWORD": "sésame"})
    with (
        RunningServer(listening_app(spool, Counters(spool), accepted), LIMITS) as server,
        httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        for given in ("", "Bearer wrong", f"Basic {TOKEN}", "Basic YW06"):
            refused = http.post("/alerts", json=webhook(alert()), headers={"Authorization": given})
            assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer, Basic"
        assert (
            http.post("/alerts", json=webhook(alert()), headers={"Host": "evil.example"}).status_code == 403
        )
        for body in (b"{", b"[" * 10**5, b"[]", b"{}", json.dumps({**webhook(), "version": "3"}).encode()):
            refused = http.post("/alerts", content=body, headers=JSON)
            assert refused.status_code == 400 and "body" in refused.text
        assert http.post("/alerts", content=b" " * (LIMITS.body_bytes + 1), headers=JSON).status_code == 413
        assert http.get("/healthz", headers={"Authorization": ""}).json() == {"status": "ok", "waiting": 0}
        three, basic = webhook(*(alert(pod=str(n)) for n in range(3))), httpx.BasicAuth("am", "sésame")
        assert http.post("/alerts", json=three, auth=basic).json()["accepted"] == 3
        full = http.post("/alerts", json=webhook(alert()))
        assert full.status_code == 503 and full.headers["Retry-After"]
        assert http.post("/alerts", json=three).json() == {"accepted": 0, "repeated": 3, "resolved": 0}
    spool.close()


def test_when_telemetry_is_silent_the_alerts_are_reported_with_the_reason(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue", most=9)
    spool.receive([PostedAlert.model_validate(alert())], time.time())
    asked = ListenOptions(prometheus="http://127.0.0.1:1", out=tmp_path, gather="0s", every="0s")

    async def look(about: LiveOptions) -> Diagnosis:
        return await diagnose(about, about.sources({}), NoRanker(), default_channel_map(), lambda _: None)

    async def work() -> None:
        worker = asyncio.create_task(Worker(asked, spool, look, None, Counters(spool), told.append).work())
        while spool.count():
            await asyncio.sleep(0.01)
        worker.cancel()

    told: list[str] = []
    asyncio.run(work())
    spool.close()
    [record] = kept(tmp_path)
    assert "Prometheus cannot be reached" in record["error"] and len(told) == 3
    assert record["alerts"][0]["alertname"] == "HighErrorRate"


@pytest.mark.parametrize(
    ("variables", "options", "told"),
    [
        ({}, [], "FIREWATCH_LISTEN_TOKEN"),
        ({"FIREWATCH_LISTEN_TOKEN_FILE": "/nowhere"}, [], "FIREWATCH_LISTEN_TOKEN_FILE"),
        ({"FIREWATCH_LISTEN_TOKEN": TOKEN}, ["--notify", "slack"], "NOTIFY_URL"),
    ],
)
def test_what_is_missing_is_told(
    variables: dict[str, str], options: list[str], told: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    command = ["listen", "--prometheus", "http://127.0.0.1:1", "--out", str(tmp_path / "out"), *options]
    assert answer(command) == 2
    assert told in capsys.readouterr().err


def posted(name: str, hour: int = 0, status: str = "firing") -> PostedAlert:
    return PostedAlert.model_validate(
        {"status": status, "labels": {"alertname": name}, "startsAt": START + timedelta(hours=hour)}
    )


def test_the_queue_keeps_each_firing_once_and_forgets_in_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "queue", most=2)
    assert spool.receive([posted("a"), posted("a"), posted("b")], 1.0) == (2, 1, 0)
    with pytest.raises(QueueRefusal):
        spool.receive([posted("c"), posted("a")], 2.0)
    spool.finish(spool.waiting(), "told")
    spool.close()
    spool = Spool(tmp_path / "queue", most=2)
    assert spool.waiting() == [] and spool.next_message() == (1, "told")
    assert spool.receive([posted("a"), posted("a", hour=1)], 3.0) == (1, 1, 0)
    [waiting] = spool.waiting()
    assert spool.firing_since(0.0) == START.timestamp()
    assert spool.receive([posted("a", status="resolved"), posted("b", status="resolved")], 4.0) == (0, 0, 2)
    assert spool.firing_since(0.0) == waiting.started_s
    # A late repetition of what was resolved is nothing new; after more than a week it is forgotten.
    assert spool.receive([posted("b")], 5.0) == (0, 1, 0)
    assert spool.receive([], 8 * 86400.0) == (0, 0, 0)
    assert spool.waiting() == [waiting] and spool.receive([posted("b")], 8 * 86400.0) == (1, 0, 0)
    spool.close()


def test_a_message_that_is_refused_is_given_up_without_telling_the_address() -> None:
    async def send(url: str) -> None:
        notifier = Notifier({"NOTIFY_URL": url}, wait_s=0.01)
        try:
            await notifier.send("{}")
        finally:
            await notifier.close()

    bodies: list[Any] = []
    with hook([429, 500, 503, 404], bodies) as url:
        with pytest.raises(TelemetryFault, match="answered 404") as refused:
            asyncio.run(send(url))
        assert len(bodies) == 4
        with pytest.raises(TelemetryFault) as unreachable:
            asyncio.run(send(f"http://127.0.0.1:1/services/{HOOK}"))
    assert HOOK not in str(refused.value) + str(unreachable.value)


def test_a_message_mentions_nobody_and_stays_in_its_code_block() -> None:
    text = json.loads(message_body("slack", {}, "title <!channel>\nmore ``` & <@U1>\n" + "x" * 5000))["text"]
    assert "<" not in text and text.count("```") == 2 and len(text) < 3100
