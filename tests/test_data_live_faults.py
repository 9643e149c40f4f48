"""Sources that are down, slow, wrong or want credentials: one plain line each, and no secret in any."""

import asyncio
import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_server import Answer, Slow, telemetry_server

from data.channels import default_channel_map
from data.errors import SettingsError, TelemetryFault
from data.sources.live.access import access
from data.sources.live.gather import Question, ask_prometheus
from data.sources.live.http import Http
from data.sources.live.names import Names
from data.sources.live.prometheus import Prometheus, Rows
from data.sources.recording import Recording
from data.sources.samples import Grid

NAMES = [
    "http_server_request_duration_seconds_count", "http_server_request_duration_seconds_sum",
    "http_server_request_duration_seconds_bucket", "process_resident_memory_bytes",
]  # fmt: skip


def prometheus_answer(path: str, parameters: Mapping[str, list[str]], value: str = "5") -> object:
    """A Prometheus that has the same two services in every answer."""
    if path.endswith("/values"):
        return {"status": "success", "data": NAMES}
    if path.endswith("/labels"):
        return {"status": "success", "data": ["__name__", "service_name", "http_response_status_code"]}
    if path.endswith("/query"):
        return {"status": "success", "data": {"resultType": "vector", "result": []}}
    start, end, step = (float(parameters[name][0]) for name in ("start", "end", "step"))
    times = np.arange(start, end + step / 2, step)
    result = [
        {"metric": {"service_name": name}, "values": [[float(t), value] for t in times]}
        for name in ("a", "b")
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def healthy(_: str, path: str, parameters: Mapping[str, list[str]], __: Mapping[str, str]) -> object:
    return prometheus_answer(path, parameters)


def gathered(url: str, timeout_s: float = 5, largest: int = 10**8, **variables: str) -> Recording:
    recording = Recording()

    async def ask() -> None:
        async with Http(access("Prometheus", url, variables), timeout_s, largest) as http:
            question = Question(2_000_000_000, 600, 1800)
            names = Names("service")
            await ask_prometheus(http, question, recording, names, default_channel_map(), lambda _: None)

    asyncio.run(ask())
    return recording


def refusal(answer: Answer, **settings: object) -> str:
    with telemetry_server(answer) as url, pytest.raises(TelemetryFault) as caught:
        gathered(url, **settings)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_healthy_source_tells_everything() -> None:
    with telemetry_server(healthy) as url:
        recording = gathered(url)
    assert set(recording.services) == {"a", "b"}
    assert {"request_rate", "memory_bytes", "latency_p99_s"} <= set(recording.services["a"])
    assert not [note for note in recording.notes if "did not answer" in note]


def test_nobody_there() -> None:
    with pytest.raises(TelemetryFault, match=r"Prometheus cannot be reached at http://127.0.0.1:1: "):
        gathered("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (401, "answered 401: wrong or missing credentials"),
        (403, "answered 403: not allowed"),
        (404, "answered 404: no such path"),
        (500, "answered 500"),
        (302, "answered 302"),
        (b"<html>welcome</html>", "did not answer with JSON"),
        (b"", "did not answer with JSON"),
        (b'{"status": "success", "da', "did not answer with JSON"),
        ([1, 2], "in another form"),
        ({"status": "error", "error": "no"}, "in another form"),
    ],
)
def test_what_is_no_answer_is_one_plain_line(answer: object, told: str) -> None:
    message = refusal(lambda *_: answer)
    assert told in message and message.startswith("Prometheus") and "\n" not in message


ODD = [{}, [], None, 5, "x", [None], {"result": None}, {"result": [5]}, {"result": [{}]},
       {"result": [{"metric": [], "value": [1]}]}, {"result": [{"metric": {}, "values": [[1, 2, 3]]}]},
       {"result": [{"metric": {}, "value": [1, 10**400], "values": [["x", None]]}]}]  # fmt: skip


@pytest.mark.parametrize("path", ["/query", "/query_range"])
@pytest.mark.parametrize("data", ODD, ids=str)
def test_an_answer_of_another_shape_is_one_plain_line_or_nothing(path: str, data: object) -> None:
    def answer(*asked: Any) -> object:
        return {"status": "success", "data": data} if asked[1].endswith(path) else healthy(*asked)

    with telemetry_server(answer) as url:
        try:
            gathered(url)
        except TelemetryFault as fault:
            assert "\n" not in str(fault)


def test_a_slow_source_is_not_waited_for() -> None:
    assert "did not answer within 0.2 s" in refusal(lambda *_: Slow(1.0, {}), timeout_s=0.2)


def test_an_endless_answer_is_left() -> None:
    message = refusal(lambda *_: b'"' + b"x" * 3_000_000, largest=1_000_000)
    assert "more than 1 MB" in message and "--namespace" in message


def test_what_one_question_lacks_is_told_and_the_rest_counts() -> None:
    def partly(_: str, path: str, parameters: Mapping[str, list[str]], __: Mapping[str, str]) -> object:
        if "_bucket" in parameters.get("query", [""])[0]:
            return Slow(3.0, {})
        return 422 if "memory" in parameters.get("query", [""])[0] else prometheus_answer(path, parameters)

    with telemetry_server(partly) as url:
        recording = gathered(url, timeout_s=1.5)
    assert "request_rate" in recording.services["a"] and "memory_bytes" not in recording.services["a"]
    told = " ".join(recording.notes)
    assert "latency_p50_s, latency_p99_s. Prometheus did not answer within 1.5 s" in told
    assert "memory_bytes. Prometheus answered 422" in told


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_no_number_is_missing_not_zero(value: str) -> None:
    with telemetry_server(lambda _, path, parameters, __: prometheus_answer(path, parameters, value)) as url:
        recording = gathered(url)
    assert not any(np.isfinite(v).any() for pieces in recording.all_pieces() for _, v in pieces)


def ranged(values: object, grid: Grid) -> Rows:
    """What is read from an answer with these series."""
    result = (
        [{"metric": {"service_name": "a"}, "values": one} for one in values]
        if isinstance(values, list)
        else values
    )
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}

    async def ask(url: str) -> Rows:
        async with Http(access("Prometheus", url, {}), 5) as http:
            return await Prometheus(http, 0, 60).range("x", grid)

    with telemetry_server(lambda *_: json.dumps(answer, separators=(",", ":")).encode()) as url:
        return asyncio.run(ask(url))


@pytest.mark.parametrize(
    "values",
    [
        [[[0, "five"]]], [[[0, "5"], [60]]], [[[0]]], ["text"], [[[[0, "5"]]]], [[["x", "5"]]],
        [[[0, "9" * 400]]], [[[0, "5"], [1, {"a": 1}]]], [5], [None], "text", None,
    ],
)  # fmt: skip
def test_values_that_are_no_numbers_are_refused(values: object) -> None:
    with pytest.raises(TelemetryFault, match=r"not numbers|another form|not answer with JSON"):
        ranged(values, Grid(0.0, 60.0, 60.0, 60.0))


@given(
    st.lists(
        st.dictionaries(st.integers(-2, 7), st.floats() | st.integers(-(10**20), 10**20), max_size=6),
        max_size=4,
    )
)
@settings(deadline=None, max_examples=12)
def test_each_value_is_at_its_series_and_time(series: list[dict[int, float]]) -> None:
    text = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
    values = [
        [[t * 15, text.get(repr(one), repr(one))] for t, one in sorted(each.items())] for each in series
    ]
    rows = ranged(values, Grid(0.0, 75.0, 15.0, 60.0))
    wanted = np.full((len(series), 6), np.nan)
    for row, each in enumerate(series):
        for t, one in each.items():
            if 0 <= t < 6 and math.isfinite(one):
                wanted[row, t] = one
    np.testing.assert_array_equal(rows.values, wanted)


def test_a_proxy_that_allows_no_post_is_asked_with_get() -> None:
    def only_get(method: str, path: str, parameters: Mapping[str, list[str]], _: Mapping[str, str]) -> object:
        return 405 if method == "POST" else prometheus_answer(path, parameters)

    with telemetry_server(only_get) as url:
        assert set(gathered(url).services) == {"a", "b"}


def test_every_question_says_from_when_to_when() -> None:
    asked: list[tuple[str, Mapping[str, list[str]]]] = []

    def noted(_: str, path: str, parameters: Mapping[str, list[str]], __: Mapping[str, str]) -> object:
        asked.append((path, parameters))
        return prometheus_answer(path, parameters)

    with telemetry_server(noted) as url:
        gathered(url)
    for path, parameters in asked:
        assert "time" in parameters if path.endswith("/query") else {"start", "end"} <= set(parameters)
        if path.endswith("query_range"):
            span = float(parameters["end"][0]) - float(parameters["start"][0])
            assert span / float(parameters["step"][0]) <= 11_000


SECRET = "k3y-of-nobody"


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({"PROMETHEUS_TOKEN": SECRET}, ("Authorization", f"Bearer {SECRET}")),
        (
            {"PROMETHEUS_USER": "me", "PROMETHEUS_PASSWORD": SECRET},
            ("Authorization", "Basic " + b64encode(f"me:{SECRET}".encode()).decode()),
        ),
        ({"PROMETHEUS_HEADERS": f"X-Scope-OrgID: shop; X-Key: {SECRET}"}, ("X-Key", SECRET)),
    ],
)
def test_credentials_are_sent_and_never_told(variables: dict[str, str], sent: tuple[str, str]) -> None:
    seen: list[Mapping[str, str]] = []

    def repeating(
        _: str, path: str, parameters: Mapping[str, list[str]], headers: Mapping[str, str]
    ) -> object:
        seen.append({name.lower(): value for name, value in headers.items()})
        return {"status": "error", "error": f"what is {SECRET}?"}

    message = refusal(repeating, **variables)
    assert seen[0][sent[0].lower()] == sent[1]
    assert SECRET not in message
    assert SECRET not in repr(access("Prometheus", "http://localhost", variables))


def test_a_password_in_the_address_is_used_and_cut_out() -> None:
    with telemetry_server(lambda *_: 401) as url, pytest.raises(TelemetryFault) as caught:
        gathered(url.replace("//", f"//me:{SECRET}@"))
    assert SECRET not in str(caught.value) and "401" in str(caught.value)


def test_a_token_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    made = access("Prometheus", "localhost:9090", {"PROMETHEUS_TOKEN_FILE": str(tmp_path / "token")})
    assert made.headers["Authorization"] == f"Bearer {SECRET}" and made.url == "http://localhost:9090"


@pytest.mark.parametrize(
    ("url", "variables", "told"),
    [
        ("ftp://host", {}, "no usable address"),
        ("http://", {}, "no usable address"),
        ("http://host", {"PROMETHEUS_TOKEN_FILE": "/nowhere"}, "PROMETHEUS_TOKEN_FILE: /nowhere"),
        ("http://host", {"PROMETHEUS_CA_FILE": "/nowhere"}, "PROMETHEUS_CA_FILE: /nowhere"),
        ("http://host", {"PROMETHEUS_HEADERS": SECRET}, "PROMETHEUS_HEADERS: not a header"),
    ],
)
def test_settings_that_cannot_be_used(url: str, variables: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)) as caught:
        access("Prometheus", url, variables)
    assert SECRET not in str(caught.value)
