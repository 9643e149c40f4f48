"""RCAEval's cases are read and counted as RCAEval does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agent.cli import answer
from data.sources.files.rcaeval import metrics_of, prepared
from data.sources.files.reading import read_evidence
from gnn.baselines.rcaeval import their_method, their_ranker
from gnn.evaluation.rcaeval import score_as_rcaeval
from gnn.ranker import Candidate, Ranking
from gnn.registry import make_ranker

INJECTED = 1_700_000_600
SERVICES = ("cart", "checkout", "orders-db", "ts-auth-service", "frontend")
METRICS = ("cpu", "mem", "diskio", "socket", "workload", "error", "latency-50", "latency-90")


def frame(root: str, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    columns = {"time": np.arange(INJECTED - 700, INJECTED + 700)}
    for service in SERVICES:
        for metric in METRICS:
            values = random.gamma(4.0, 1.0, size=1400)
            if service == root:
                values[700:] *= 1.5 + random.random()
            columns[f"{service}_{metric}"] = values
    columns["cart_error"] = np.zeros(1400)  # constant: it is left out
    columns["cart_cpu"][3] = np.inf
    return pd.DataFrame(columns)


def case(folder: Path, root: str = "checkout", seed: int = 0, form: str = "data.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inject_time.txt").write_text(f"{INJECTED}\n")
    table = frame(root, seed)
    if form.endswith(".csv"):
        table.to_csv(folder / form, index=False)
    elif form.endswith(".parquet"):
        table.to_parquet(folder / form)
    else:
        pairs = {name: [[t, v] for t, v in zip(table["time"].tolist(), table[name].tolist(), strict=True)]
                 for name in table.columns[1:]}  # fmt: skip
        (folder / form).write_text(json.dumps(pairs))
    return folder


@pytest.mark.parametrize(
    "form", ["data.csv", "simple_metrics.csv", "metrics.csv", "metrics.json", "metrics.parquet"]
)
def test_every_edition_of_a_case_is_the_same_incident(form, tmp_path):
    case(tmp_path / "RE2/RE2-OB/checkout_cpu/1", form=form)
    [incident] = read_evidence([tmp_path]).incidents
    assert (incident.root_causes, incident.fault, incident.system) == (("checkout",), "cpu", "RE2-OB")
    assert incident.incident_id == "RE2/RE2-OB/checkout_cpu/1" and incident.start_s == INJECTED
    assert set(incident.services) == {"cart", "checkout", "orders-db", "ts-auth-service", "frontend"}
    series = incident.telemetry["checkout"]["cpu"]
    assert (len(series.baseline), len(series.incident)) == (600, 600)
    assert (
        not {"latency-50"} & set(incident.telemetry["checkout"]) and "error" not in incident.telemetry["cart"]
    )


def test_a_doubled_time_is_read_once_and_a_case_that_is_a_mess_refused(tmp_path):
    folder = case(tmp_path / "cart_mem/1")
    text = (folder / "data.csv").read_text().splitlines()
    (folder / "data.csv").write_text("\n".join(f"{line},{line.partition(',')[0]}" for line in text) + "\n")
    table = metrics_of(folder)
    assert "time.1" in table and "time.1" not in prepared(table, INJECTED)


def logs_and_traces(folder: Path) -> None:
    """frontend calls checkout, which slows down, fails and logs it."""
    random = np.random.default_rng(0)
    spans, lines = [], []
    for number, start in enumerate(range(INJECTED - 590, INJECTED + 590)):
        slow = 400_000 if start >= INJECTED else 0
        both = (("frontend", "", "a", 30_000), ("checkout", f"{number}a", "b", 20_000))
        for service, parent, one, usual in both:
            took = int(usual * random.uniform(0.9, 1.1)) + slow
            code = 13 if slow and service == "checkout" and number % 3 == 0 else 0
            at = start * 1_000_000
            spans.append((f"t{number}", f"{number}{one}", parent, service, "op", at, took, code))
        text = "payment failed: timeout" if slow else "all is well"
        lines.append((start * 10**9, "checkout", text, "error" if slow else "info"))
    columns = [
        "traceID", "spanID", "parentSpanID", "serviceName", "operationName", "startTime", "duration",
        "statusCode",
    ]  # fmt: skip
    pd.DataFrame(spans, columns=columns).to_csv(folder / "traces.csv", index=False)
    columns = ["timestamp", "container_name", "message", "level"]
    pd.DataFrame(lines, columns=columns).to_csv(folder / "logs.csv", index=False)


def test_logs_and_traces_are_evidence(tmp_path):
    logs_and_traces(case(tmp_path / "RE2-OB/checkout_delay/1", form="simple_metrics.csv"))
    [incident] = read_evidence([tmp_path]).incidents
    assert incident.call_graph["frontend"] == ("checkout",)
    told = incident.telemetry["checkout"]
    assert (
        np.nanmax(told["latency_p50_s"].baseline) < 0.03 and np.nanmin(told["latency_p50_s"].incident) > 0.4
    )
    assert np.nanmax(told["log_err_count"].baseline) == 0 < np.nanmin(told["log_err_count"].incident)
    assert np.nanmedian(told["error_rate"].incident) == pytest.approx(1 / 3, abs=0.05)
    assert make_ranker("gnn").rank(incident).candidates[0].service == "checkout"


def test_the_series_of_logs_and_traces_stand_in_for_them(tmp_path):
    folder = case(tmp_path / "RE2-OB/checkout_delay/1", form="simple_metrics.csv")
    times = np.arange(INJECTED - 700, INJECTED + 700, 15)
    after = times >= INJECTED
    for name, well, ill in (("logts", 5, 50), ("tracets_err", 0, 3), ("tracets_lat", 20_000, 400_000)):
        columns = {
            "time": times,
            "checkout_a": np.where(after, ill, well),
            "checkout_b": np.full(len(times), well),
        }
        pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)
    [incident] = read_evidence([tmp_path]).incidents
    told = incident.telemetry["checkout"]
    assert np.nanmin(told["log_count"].incident) == 55 and np.nanmax(told["log_count"].baseline) == 10
    assert np.nanmin(told["trace_error_count"].incident) == 3
    assert np.nanmin(told["trace_latency"].incident) == 400_000


def test_what_counts_is_the_entity_in_its_first_place():
    def found(*services: str) -> tuple[float, ...]:
        ranking = Ranking(tuple(Candidate(s, 1.0 / (i + 1), None) for i, s in enumerate(services)), "x")
        return score_as_rcaeval(ranking, len(services), ["orders"]).ac

    assert found("cart_cpu", "orders-db", "cart") == (0, 1, 1, 1, 1)
    assert found("cart", "cart_cpu", "cart-db", "orders") == (0, 1, 1, 1, 1)
    assert found("cart") == (0, 0, 0, 0, 0)


def test_our_baro_ranks_as_theirs_and_all_stand_in_one_table(tmp_path, capfd):
    pytest.importorskip("RCAEval")
    theirs = their_ranker("baro")
    for seed, root in enumerate(SERVICES[:3]):
        folder = case(tmp_path / f"RE1-OB/{root}_cpu/{seed}", root, seed)
        table = prepared(metrics_of(folder), INJECTED)
        columns = their_method("baro")(table.copy(), inject_time=INJECTED, dataset="re1-ob")["ranks"]
        wanted = list(dict.fromkeys(column.split("_")[0] for column in columns))
        [incident] = read_evidence([folder]).incidents
        for ranker in (make_ranker("baro"), theirs):
            assert [one.service for one in ranker.rank(incident).candidates] == wanted
    words = [
        "evaluate",
        "--incidents",
        str(tmp_path),
        "--protocol",
        "rcaeval",
        "--ranker",
        "zscore",
        "--json",
        "-",
    ]
    assert answer(words) == 0
    results = json.loads(capfd.readouterr().out)["results"]
    assert [one["ranker"] for one in results] == ["zscore", "rcaeval-nsigma", "rcaeval-baro"]
    assert results[-1]["ac@1"] == 1.0
