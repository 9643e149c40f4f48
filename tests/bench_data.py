"""Speed of the embedded world: in process, through a server, and in batches; prints JSON lines."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from bench_machine import machine
from websockets.asyncio.client import ClientConnection, connect

from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.environment import Environment
from data.observation import Action, Task
from data.simulator.active_faults import drives, hidden_shares
from data.simulator.batch.generate import SimulationConfig, simulate
from data.simulator.config import Script
from data.simulator.physics import Physics
from data.simulator.world.environment import EmbeddedEnvironment, World
from data.simulator.world.scenario import set_up
from data.simulator.world.world import RunningEpisode

LOOK = Action(action_type="escalate")
SERVER = (
    "from data.simulator.server.serving import serve\n"
    "serve(port=0, on_ready=lambda url: print(url, flush=True))"
)
SESSIONS, ROUNDS = 256, 20


@contextmanager
def server_process() -> Iterator[str]:
    """Runs a server in its own process; yields its URL."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def spread_ms(seconds: list[float]) -> dict[str, object]:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(1000 * s for s in seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    return {"steps": len(ordered), "p50_ms": round(statistics.median(ordered), 3), "p99_ms": round(p99, 3)}


def seeds_of(services: int) -> list[int]:
    """The first hard seeds whose world has this many services."""
    return [seed for seed in range(300) if len(set_up("hard", seed).topology.names) == services][:40]


def generation() -> dict[str, object]:
    """Labelled windows with all metric names; a service-tick is one service at one reading."""
    count = sum(1 for _ in simulate(64, seed=1))  # warm
    ticks, started = 0, time.perf_counter()
    for incident in simulate(20 * count, seed=2, config=SimulationConfig(alerts=0.0)):
        every = (series for metrics in incident.telemetry.values() for series in metrics.values())
        first = next(every, None)
        if first is not None:
            ticks += len(incident.services) * (len(first.baseline) + len(first.incident))
    rate = ticks / (time.perf_counter() - started)
    return {"what": "batch generation, one core", "service_ticks_per_s": round(rate), "aim": "≥ 50000"}


def step_in_process() -> dict[str, object]:
    """`World.step` with 10 services: the complete answer, before it becomes JSON."""
    world, took = World(), list[float]()
    for seed in seeds_of(10):
        world.reset("hard", seed)
        while world.episode is not None and not world.episode.done:
            started = time.perf_counter()
            world.step(LOOK)
            took.append(time.perf_counter() - started)
    return {"what": "step in process, 10 services", **spread_ms(took), "aim": "p50 < 0.3"}


async def played(environment: Environment) -> list[float]:
    """What each step takes through a client, validated observations included."""
    took = []
    for seed in seeds_of(10):
        step = await environment.reset(Task(difficulty="hard", seed=seed, max_ticks=40))
        while not step.done:
            started = time.perf_counter()
            step = await environment.step(LOOK)
            took.append(time.perf_counter() - started)
    await environment.aclose()
    return took


def round_trips_http(url: str) -> list[float]:
    """Time of each `/step` from request to decoded body, without validation."""
    took = []
    with httpx.Client(base_url=url, trust_env=False) as client:
        for seed in seeds_of(10):
            answer = client.post("/reset", json={"difficulty": "hard", "seed": seed}).json()
            while not answer["done"]:
                started = time.perf_counter()
                answer = client.post("/step", json={"action": {"action_type": "escalate"}}).json()
                took.append(time.perf_counter() - started)
    return took


async def round_trips_websocket(url: str) -> list[float]:
    """What each step frame takes from sending to the decoded answer, without validation."""
    took = []
    async with session(url) as connection:
        for seed in seeds_of(10):
            data = await ask(connection, "reset", {"difficulty": "hard", "seed": seed})
            while not data["done"]:
                started = time.perf_counter()
                data = await ask(connection, "step", {"action_type": "escalate"})
                took.append(time.perf_counter() - started)
    return took


def session(url: str) -> connect:
    return connect(url.replace("http", "ws", 1) + "/ws", proxy=None, compression=None)


async def ask(connection: ClientConnection, kind: str, data: object) -> dict[str, object]:
    await connection.send(json.dumps({"type": kind, "data": data}))
    answer: dict[str, object] = json.loads(await connection.recv())["data"]
    return answer


def steps_over_the_wire() -> Iterator[dict[str, object]]:
    with server_process() as url:
        round_trips_http(url)  # warm
        http = spread_ms(round_trips_http(url))
        yield {"what": "step over HTTP, 10 services", **http, "aim": "p50 < 2"}
        websocket = spread_ms(asyncio.run(round_trips_websocket(url)))
        yield {"what": "step over WebSocket, 10 services", **websocket, "aim": "p50 < 1"}
        for name, environment in (
            ("embedded", EmbeddedEnvironment()),
            ("HTTP", HttpEnvironment(url)),
            ("WebSocket", WebSocketEnvironment(url)),
        ):
            through = spread_ms(asyncio.run(played(environment)))
            yield {"what": f"the same through the {name} client, observation validated", **through}


def large_world(services: int = 5000) -> Iterator[dict[str, object]]:
    """Time of one tick of the world, and of the complete answer with telemetry, alerts and grade."""
    script = Script(dials={"services": (services, services)})
    setup = set_up("hard", 1, None, script)
    physics, size = Physics(setup.topology, setup.fleet), len(setup.topology.names)
    hidden = hidden_shares(setup.faults, size)
    ticks = []
    for _ in range(100):
        started = time.perf_counter()
        for fault in setup.faults:
            fault.advance(0.5)
        physics.step(drives(setup.faults, size), hidden, 0.5)
        ticks.append(time.perf_counter() - started)
    yield {"what": f"tick of a {services}-service world", **spread_ms(ticks), "aim": "p50 < 20"}
    episode, answers = RunningEpisode(set_up("hard", 1, None, script)), list[float]()
    while not episode.done:
        started = time.perf_counter()
        episode.step(LOOK)
        answers.append(time.perf_counter() - started)
    yield {"what": "the same with the whole answer, every service measured", **spread_ms(answers)}


async def sessions_together(url: str) -> dict[str, object]:
    """All sessions send a step at the same moment, round after round."""
    together, took = asyncio.Barrier(SESSIONS), list[float]()

    async def one(seed: int) -> int:
        answered = 0
        async with session(url) as connection:
            await ask(connection, "reset", {"difficulty": "hard", "seed": seed})
            for _ in range(ROUNDS):
                await together.wait()
                started = time.perf_counter()
                answered += "observation" in await ask(connection, "step", {"action_type": "escalate"})
                took.append(time.perf_counter() - started)
            await together.wait()
        return answered

    answered = sum(await asyncio.gather(*(one(seed) for seed in range(SESSIONS))))
    return {
        "what": f"{SESSIONS} WebSocket sessions stepping together",
        **spread_ms(took),
        "lost": SESSIONS * ROUNDS - answered,
    }


def main() -> None:
    print(json.dumps({"machine": machine(), "command": "python tests/bench_data.py"}))
    print(json.dumps(generation(), ensure_ascii=False))
    print(json.dumps(step_in_process()))
    for line in steps_over_the_wire():
        print(json.dumps(line))
    for line in large_world():
        print(json.dumps(line))
    with server_process() as url:
        print(json.dumps(asyncio.run(sessions_together(url))))


if __name__ == "__main__":
    main()
