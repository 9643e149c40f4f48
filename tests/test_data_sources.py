"""Telemetry in every form names the culprit, and what is no telemetry is refused in one line."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shop_telemetry as shop
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telemetry_forms import ALERTS, EDGES, FORMS, SINCE

from data.errors import FirewatchError, SchemaError
from data.incident import AlertEvent
from data.sources.files.reading import read_evidence
from data.sources.own_form import parse_incident, to_json
from gnn.registry import make_ranker


def written(folder: Path, files: dict[str, str]) -> list[Path]:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [folder] if any("/" in name for name in files) else [folder / name for name in files]


@pytest.fixture(scope="module")
def ranker():
    return make_ranker("gnn")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_culprit(form, tmp_path, ranker):
    [incident] = read_evidence(written(tmp_path, FORMS[form])).incidents
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT
    if form == "RCAEval":
        assert (incident.root_causes, incident.fault, incident.system) == (("payment",), "delay", "RE1-OB")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_files_are_read_as_they_come(pack, tmp_path):
    packed = tmp_path / "traces"
    packed.write_bytes(pack(shop.jaeger().encode()))
    plain = written(tmp_path, FORMS["Jaeger"])
    assert to_json(read_evidence([packed]).incidents[0]) == to_json(read_evidence(plain).incidents[0])
    packed.write_bytes(packed.read_bytes()[:-400])
    with pytest.raises(SchemaError):
        read_evidence([packed])


@pytest.mark.parametrize("form", [shop.wide, shop.long, shop.tidy])
def test_tables_say_the_same_with_pandas_own_texts(form, tmp_path):
    """They are what an installation without pyarrow has."""
    paths = written(tmp_path, {"t.csv": shop.table(form)})
    with pd.option_context("mode.string_storage", "python"):
        [incident] = read_evidence(paths).incidents
    assert set(incident.services) == set(shop.SERVICES)
    assert incident.metric_names == {"latency_p99_s", "error_rate"}


@pytest.mark.parametrize("form", [shop.wide, shop.long, shop.tidy])
def test_tables_in_parquet_name_the_culprit(form, tmp_path, ranker):
    pd.read_csv(io.StringIO(shop.table(form))).to_parquet(tmp_path / "t")
    [incident] = read_evidence([tmp_path / "t", *written(tmp_path, EDGES)]).incidents
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT


def test_log_lines_alone_tell_when_it_began(tmp_path):
    [incident] = read_evidence(written(tmp_path, FORMS["logs in JSON"])).incidents
    assert abs(incident.start_s - shop.times[shop.BAD_FROM]) <= 2 * shop.STEP


def test_times_that_may_not_agree_are_told(tmp_path):
    later = "time,service,load\n" + "".join(
        f"2023-11-14 {23 + h:02}:{m:02}:00,web,1\n" for h in (-1, 0) for m in range(60)
    )
    found = read_evidence(written(tmp_path, {**FORMS["query_range"], "later.csv": later}))
    assert any("later.csv: its times name no time zone" in note for note in found.notes)
    assert any("do their times agree?" in note for note in found.notes)
    assert not any(
        "do their" in note for note in read_evidence(written(tmp_path, FORMS["query_range"])).notes
    )


def test_the_first_alert_that_pages_is_the_page(tmp_path):
    pages = [
        {**shop.alert(service, name), "startsAt": since, "status": {"state": "active"}}
        for service, name, since in (
            ("bank", "Slow", "2023-11-14T22:31:00Z"),
            ("web", "HighErrorRate", SINCE),
        )
    ]
    for one in pages:
        one["labels"]["severity"] = "page"
    told = [{**one, "startsAt": "2023-11-14T22:01:00Z", "status": {}} for one in ALERTS]
    paths = written(tmp_path, {"alerts.json": json.dumps(pages + told)})
    [incident] = read_evidence(paths).incidents
    assert incident.page is not None and incident.page.service == "web"


def test_metrics_traces_and_alerts_together_are_one_incident(tmp_path, ranker):
    files = {**FORMS["query_range"], **FORMS["Jaeger"], **FORMS["Alertmanager"]}
    [incident] = read_evidence(written(tmp_path, files)).incidents
    assert set(incident.services) == set(shop.SERVICES)
    assert AlertEvent("payment", "metric", "PaymentServiceDown") in incident.alerts
    assert {"own_latency_s", "latency_p99_s"} <= set(incident.telemetry["payment"])
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT


@pytest.mark.parametrize("form", ["query_range", "Jaeger", "Zipkin", "OTLP traces, lines"])
def test_calls_are_told_as_both_sides_see_them(form, tmp_path):
    [incident] = read_evidence(written(tmp_path, FORMS[form])).incidents
    metrics = incident.call_telemetry["web", "payment"]
    assert {"request_rate", "error_rate", "latency_caller_s", "latency_callee_s", "latency_gap_s"} <= set(
        metrics
    )
    assert np.nanmedian(metrics["latency_callee_s"].incident) == pytest.approx(1.0, rel=0.15)
    assert np.nanmedian(metrics["latency_callee_s"].baseline) == pytest.approx(0.05, rel=0.15)


def test_a_call_that_nobody_answers_is_unmatched(tmp_path):
    """From the incident on no call of web reaches payment, and web says so only by its own spans."""
    gone = [
        batch
        for batch, span in zip(shop.otlp_batches(), shop.spans(), strict=True)
        if span["start"] < shop.times[60] or span["service"] not in ("payment", "bank")
    ]
    paths = written(tmp_path, {"t.json": json.dumps({"resourceSpans": gone})})
    [incident] = read_evidence(paths, at=float(shop.times[60])).incidents
    lost = incident.call_telemetry["web", "payment"]["unmatched_share"]
    assert np.nanmax(lost.baseline[:-1]) == 0.0 and np.nanmin(lost.incident[1:]) == 1.0


def test_at_and_limit_are_kept_to(tmp_path):
    paths = written(tmp_path, FORMS["Jaeger"])
    assert read_evidence(paths, at=float(shop.times[50])).incidents[0].start_s == shop.times[50]
    few, all_ = (read_evidence(paths, limit=n).incidents[0] for n in (20, None))
    rate = few.telemetry["web"]["request_rate"]
    assert len(rate.incident) + len(rate.baseline) < len(all_.telemetry["web"]["request_rate"].baseline)


def test_an_incident_written_is_read_as_it_was(tmp_path):
    [incident] = read_evidence(written(tmp_path, FORMS["query_range"])).incidents
    again = parse_incident(json.loads(json.dumps(to_json(incident))), "again")
    assert to_json(again) == to_json(incident)
    assert again.start_s == incident.start_s and again.step_s == incident.step_s


def test_what_is_misspelt_or_unknown_is_told(shared):
    found = read_evidence([shared / "cases" / "typo-telemetry.json"])
    assert any("'telemtry'" in note and "'telemetry'" in note for note in found.notes)
    assert any("'wbe'" in note and "'web'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\x03\x04....", "zip"),
        (b"digraph { a -> b }", "caller,callee"),
        (b"<!DOCTYPE html><html></html>", "query_range"),
        (b'{"a": 1}', "fields a"),
        (b'[{"a": 1}]', "fields a"),
        (b'{"data":{"resultType":"matrix","result":[{"metric":{"__name__":"m_seconds","srv":"a"},"values":'
         b'[[1700000000,"1"],[1700000060,"2"]]}]}}', "its labels are srv; call"),
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "error message from a server"),
        (b"x,y,z\n1,2,3\n", "columns x, y, z"),
        (b"x,y\r1,2\r", "columns x, y"),  # as the first Macs ended lines
        (b"nonsense", "known forms"),
        (b'{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,', "ends in the middle"),
        (b'{"data":{"resultType":"matrix","result":[{"values":[[1,"2"]]}]}}', "metric"),
        (b'{"data":{"resultType":"matrix","result":[]}}', "no service"),
        (b"[" * 200_000, "nested"),
        (b'{"resourceSpans":' + b"[" * 200_000, "nested"),
        (b"time,a_cpu\nyesterday,1\n", "ISO dates"),
        (b"time,p99\n1700000000,1\n", "left out: p99"),
        (b"PAR1" + b"\0" * 100, "Parquet"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_would_help(content, said, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(FirewatchError, match=said) as refused:
        read_evidence([path])
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999"])
def test_numbers_beyond_all_floats_are_missing_or_refused(number, tmp_path):
    texts = {
        "table.csv": f"time,web_cpu\n{number},1\n{number},2\n",
        "scrape.prom": f'web_cpu_usage{{service="web"}} {number} {number}\n# EOF\n',
        "traces.json": json.dumps(json.loads(shop.jaeger())).replace("1000", number),
    }
    for path in written(tmp_path, texts):
        try:
            read_evidence([path])
        except FirewatchError as refused:
            assert "\n" not in str(refused)


TEXTS = [content for files in FORMS.values() for name, content in files.items() if "/" not in name]
SHORT = sorted(
    {text[:3000] for text in TEXTS} | {text[: len(text) // 2] for text in TEXTS if len(text) < 20_000}
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_in_one_line_or_read(data, tmp_path):
    raw = bytearray(data.draw(st.sampled_from(SHORT)).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.sampled_from([b"", b"\x00", b"9e999", b'"', b"null", b"-1", b"[", b"\xff"]))
        raw[at : at + data.draw(st.integers(0, 8))] = change
    path = tmp_path / "damaged"
    path.write_bytes(bytes(raw))
    try:
        read_evidence([path])
    except FirewatchError as refused:
        assert "\n" not in str(refused)
