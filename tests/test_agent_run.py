"""A whole run over real sockets, with an environment that fails in the middle of an episode."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fault_proxy import Proxy

from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import play_tasks
from agent.policies.registry import make_policy
from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.observation import Task
from data.simulator.server.serving import RunningServer
from gnn.baselines.heuristic import HeuristicRanker

TASKS = tuple(Task(difficulty="easy", seed=seed, max_ticks=20) for seed in (1, 2, 3))
FAILING_STEP = 3


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


class Saboteur:
    """A listener that does its damage once, just before the failing step."""

    def __init__(self, harm: Callable[[], object]) -> None:
        self._harm = harm

    def task_started(self, task: Task) -> None:
        pass

    def step_played(self, step: StepRecord) -> None:
        if step.task == TASKS[0] and step.number == FAILING_STEP - 1:
            self._harm()

    def task_ended(self, result: EpisodeResult) -> None:
        pass


def no_harm() -> None:
    pass


Opened = Callable[[], HttpEnvironment | WebSocketEnvironment]


async def play(open_environment: Opened, harm: Callable[[], object] = no_harm) -> tuple[EpisodeResult, ...]:
    listeners = [Saboteur(harm)]
    return await play_tasks(
        TASKS, open_environment, HeuristicRanker(), lambda _: make_policy("rules"), listeners, 1, 20.0
    )


def through_proxy(
    raw_server: Any, upstream: str, faults: list[str | int], harm: Callable[[Proxy], object] = lambda _: None
) -> tuple[tuple[EpisodeResult, ...], Proxy]:
    async def run() -> tuple[tuple[EpisodeResult, ...], Proxy]:
        proxy = Proxy(upstream, {"POST /step": [*["pass"] * (FAILING_STEP - 1), *faults]})
        timeout_s = 1.5 if {"hang", "hang after"} & set(faults) else 20.0
        async with raw_server(proxy.handle) as port:
            where = f"http://127.0.0.1:{port}"
            results = await play(
                lambda: HttpEnvironment(where, timeout_s=timeout_s, settle_s=0.1), lambda: harm(proxy)
            )
        return results, proxy

    return asyncio.run(run())


def check_no_step_is_doubled(results: tuple[EpisodeResult, ...], proxy: Proxy) -> None:
    """The server received exactly the recorded steps, in order; only a failed step may be missing."""
    arrived = sum(line.startswith("POST /step") for line in proxy.forwarded)
    assert arrived == sum(len([s for s in result.steps if s.fault is None]) for result in results)
    for result in results:
        last = result.steps[-1].result
        if last is not None:
            told = [(a.action_type, a.target_service or None) for a in last.observation.action_history]
            sent = [(s.action.action_type, s.action.target_service) for s in result.steps]
            assert sent[-len(told) :] == told


@pytest.mark.parametrize("fault", ["cut", "cut after", "hang after", "502 after", 500, 502, 503])
def test_a_short_failure_is_survived(server: RunningServer, raw_server: Any, fault: str | int) -> None:
    results, proxy = through_proxy(raw_server, server.url, [fault])
    assert [result.error for result in results] == [None] * 3
    assert all(result.success for result in results)
    check_no_step_is_doubled(results, proxy)


def test_a_grade_that_never_came_is_said(server: RunningServer, raw_server: Any) -> None:
    graded, _ = through_proxy(raw_server, server.url, [])
    last = len(graded[0].steps)
    results, _ = through_proxy(raw_server, server.url, [*["pass"] * (last - FAILING_STEP), "hang after"])
    assert results[0].score is None and results[0].steps[-1].done
    assert results[0].error is not None and "ended without a grade: " in results[0].error
    assert "took hold" in results[0].error
    assert [result.error for result in results[1:]] == [None, None]


@pytest.mark.parametrize("faults", [["hang"], [504], ["cut", "cut"], [500, 500], [503, "cut"]], ids=str)
def test_a_longer_one_ends_that_task_alone(
    server: RunningServer, raw_server: Any, faults: list[str | int]
) -> None:
    results, proxy = through_proxy(raw_server, server.url, faults)
    assert results[0].error is not None and "/step" in results[0].error and results[0].score is None
    assert len(results[0].steps) == FAILING_STEP and results[0].steps[-1].error == results[0].error
    assert [result.success for result in results] == [False, True, True]
    check_no_step_is_doubled(results, proxy)


def test_an_environment_that_fails_for_good_ends_every_task(server: RunningServer, raw_server: Any) -> None:
    results, proxy = through_proxy(raw_server, server.url, [503] * 99)
    assert all(result.error is not None for result in results)
    assert len(proxy.requests) < 30


def test_another_clients_reset_ends_that_task_alone(server: RunningServer, raw_server: Any) -> None:
    other = {"difficulty": "hard", "seed": 9}
    results, _ = through_proxy(
        raw_server,
        server.url,
        [],
        lambda _: httpx.post(f"{server.url}/reset", json=other, trust_env=False),
    )
    assert results[0].error is not None and "another client" in results[0].error
    assert [result.success for result in results] == [False, True, True]


def test_a_server_that_restarts_ends_that_task_alone(server: RunningServer, raw_server: Any) -> None:
    with RunningServer() as anew:

        def restart(proxy: Proxy) -> None:
            proxy.upstream = httpx.URL(anew.url)

        results, _ = through_proxy(raw_server, server.url, [], restart)
    assert results[0].error is not None and results[0].score is None
    assert [result.success for result in results] == [False, True, True]


class Cable:
    """A TCP connection to a server that can be cut once."""

    def __init__(self, upstream: str) -> None:
        self._upstream = httpx.URL(upstream)
        self._writers: list[asyncio.StreamWriter] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._upstream.host, self._upstream.port)
        self._writers += [writer, back]
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    def pull(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
    writer.close()


def test_a_websocket_that_is_cut_ends_that_task_alone(server: RunningServer, raw_server: Any) -> None:
    async def run() -> tuple[EpisodeResult, ...]:
        cable = Cable(server.url)
        async with raw_server(cable.carry) as port:
            return await play(lambda: WebSocketEnvironment(f"http://127.0.0.1:{port}"), cable.pull)

    results = asyncio.run(run())
    assert results[0].error is not None and results[0].score is None
    assert [result.success for result in results] == [False, True, True]
