"""Each convention, as a real Prometheus has it, ends in the right culprit."""

import asyncio
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import prometheus_worlds as worlds
import promql_parser
import pytest
from testbed.debian import NotToBeHad, program
from testbed.shop import free_ports, start_prometheus

from agent.live_diagnosis import DiagnoseOptions, Diagnosis, diagnose
from data.channels import default_channel_map
from data.sources.live.queries import Query, There, others, queries, to_ask_about
from data.sources.samples import Grid
from gnn.registry import make_ranker

Diagnose = Callable[..., Diagnosis]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus with one outage in every naming convention."""
    folder = tmp_path_factory.mktemp("prometheus")
    try:
        program("prometheus", "prometheus")
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    worlds.make_blocks(folder)
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    [port] = free_ports(1)
    process = start_prometheus(folder / "data", port, config, folder / "log")
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                if httpx.get(f"{url}/-/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def look(prometheus: str) -> Diagnose:
    ranker, channels = make_ranker("gnn"), default_channel_map()

    def looking(**options: object) -> Diagnosis:
        asked = DiagnoseOptions(
            prometheus=prometheus, at=str(worlds.END_S), window="10m", baseline="38m", **options
        )
        return asyncio.run(diagnose(asked, asked.sources({}), ranker, channels, lambda _: None))

    return looking


def namespace(world: Callable[..., object]) -> str:
    return world.__name__.replace("_", "-")


@pytest.mark.parametrize("world", worlds.WORLDS, ids=namespace)
def test_the_culprit_is_found(look: Diagnose, world: Callable[..., object]) -> None:
    found = look(namespace=namespace(world))
    assert found.ranking.services[0] == "stock"


@pytest.mark.parametrize("world", worlds.WORLDS[:-2], ids=namespace)
def test_who_calls_whom_is_told(look: Diagnose, world: Callable[..., object]) -> None:
    graph = look(namespace=namespace(world)).incident.call_graph
    assert {(caller, callee) for caller in graph for callee in graph[caller]} == set(worlds.CALLS)


@pytest.mark.parametrize("world", worlds.WORLDS[:-2], ids=namespace)
def test_rates_failures_and_durations_are_as_they_were(look: Diagnose, world: Callable[..., object]) -> None:
    incident = look(namespace=namespace(world)).incident
    cart = incident.telemetry["cart"]
    assert np.nanmedian(cart["request_rate"].baseline) == pytest.approx(10, rel=0.1)
    assert np.nanmedian(cart["error_rate"].incident) == pytest.approx(worlds.SICK["cart"][1], rel=0.15)
    middle = cart.get("latency_p50_s") or cart["latency_mean_s"]
    assert np.nanmedian(middle.incident) == pytest.approx(worlds.SICK["cart"][0], rel=0.4)
    assert np.nanmedian(middle.baseline) == pytest.approx(worlds.HEALTHY["cart"][0], rel=0.4)


def test_calls_that_are_refused_get_no_answer(look: Diagnose) -> None:
    found = look(namespace="rpc")
    lost = found.incident.call_telemetry["cart", "stock"]["unmatched_share"]
    assert np.nanmedian(lost.incident) == pytest.approx(worlds.SICK["stock"][1], rel=0.15)
    assert np.nanmax(lost.baseline) < 0.01
    assert (
        found.ranking.candidates[0].evidence[0].text == "28 % of the calls from cart to stock get no answer"
    )


@pytest.mark.parametrize("world", worlds.WORLDS, ids=namespace)
def test_every_query_beside_a_piece_of_evidence_shows_it(
    look: Diagnose, prometheus: str, world: Callable[..., object]
) -> None:
    found = look(namespace=namespace(world))
    shown = [query for one in found.ranking.candidates for e in one.evidence if (query := found.query(e))]
    assert shown
    for query in shown:
        promql_parser.parse(query)
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query, "time": worlds.END_S - 300})
        assert answer.json()["data"]["result"], query


def test_pods_are_told_by_their_workload(look: Diagnose) -> None:
    incident = look(namespace="kubernetes").incident
    assert set(incident.telemetry) == set(worlds.RATE)
    age = incident.telemetry["stock"]["deploy_age_s"].incident
    assert np.nanmin(age) < 120 and "deploy_age_s" not in incident.telemetry["users"]
    assert {"memory_share", "oom_killed"} <= set(incident.telemetry["stock"])
    assert "memory_share" not in incident.telemetry["users"]  # it has no limit


def test_what_is_raised_every_day_is_routine(look: Diagnose) -> None:
    incident = look(namespace="targets", history="40m").incident
    shares = {(event.service, event.name): share for event, share in incident.routine.items()}
    assert shares == {("users", "DiskAlmostFull"): pytest.approx(1.0)}
    assert {alert.name for alert in incident.alerts} == {"DiskAlmostFull", "StockDown"}


def test_virtual_nodes_and_what_was_never_counted_are_missing_not_zero(look: Diagnose) -> None:
    incident = look(namespace="collector").incident
    assert "user" not in incident.services
    assert "error_rate" not in look(namespace="beyla").incident.call_telemetry.get(("cart", "stock"), {})


def test_means_stand_for_percentiles_where_there_are_no_buckets(look: Diagnose) -> None:
    found = look(namespace="micrometer")
    assert "latency_mean_s" in found.incident.telemetry["stock"]
    assert any("no histogram buckets" in note for note in found.notes)


def asked(names: set[str], labels: set[str], by: str = "service") -> list[Query]:
    there = There.named(names)
    more = others(there, default_channel_map())
    wanted = dict.fromkeys((*to_ask_about(there), *more), frozenset(labels))
    return queries(There(there.names, wanted), Grid(0, 3600, 60, 60), by, 'a"b', more)  # type: ignore[arg-type]


def test_native_histograms_have_neither_buckets_nor_le() -> None:
    texts = [
        q.promql() for q in asked({"http_server_request_duration_seconds"}, {"service_name", "namespace"})
    ]
    assert any(text.startswith("histogram_quantile(0.99, sum by (service_name) (rate(") for text in texts)
    assert all("_bucket" not in text and " le" not in text for text in texts)
    for text in texts:
        promql_parser.parse(text)


def test_dotted_names_are_quoted() -> None:
    texts = [
        q.promql({"service.name": "a"})
        for q in asked({"http.server.request.duration_seconds"}, {"service.name"})
    ]
    assert texts
    for text in texts:
        assert '{"http.server.request.duration_seconds"' in text and '"service.name"="a"' in text


@pytest.mark.parametrize("by", ["service", "workload", "pod"])
def test_every_question_is_promql(by: str) -> None:
    worlds_lines = [worlds.Metrics("x") for _ in worlds.WORLDS]
    for world, metrics in zip(worlds.WORLDS, worlds_lines, strict=True):
        world(metrics)
        labels = {
            part.split("=")[0]
            for of in metrics.lines.values()
            for part in of[0].partition("{")[2].partition("}")[0].split(",")
        }
        for query in asked(set(metrics.lines), labels, by):
            promql_parser.parse(query.promql())
            promql_parser.parse(query.promql(dict.fromkeys(query.labels, 'x"\\\n')))
