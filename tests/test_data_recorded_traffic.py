"""Recorded FirewatchEnv traffic, replayed by a real HTTP server, is read or refused with a reason."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data.clients.http_client import HttpEnvironment
from data.contract.trace_rules import Moment, check_traces
from data.errors import ActionRefused, EnvironmentFault, EpisodeLost, ProtocolError, TaskRefused
from data.observation import Action, Observation, Step, Task, parse

Exchange = dict[str, Any]


def read_recording(path: Path) -> tuple[dict[str, Any], list[Exchange]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        header, *exchanges = [json.loads(line) for line in lines]
    return header["meta"], exchanges


@dataclass
class Replay:
    """Answers every POST with the next recorded exchange, and `/state` with the step count so far."""

    exchanges: list[Exchange]
    sent: list[tuple[str, Any]] = field(default_factory=list)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            status, answer = self._answer(head.split()[1].decode(), body)
            payload = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 %d Recorded\r\nContent-Length: %d\r\n\r\n" % (status, len(payload)))
            writer.write(payload)

    def _answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/state":
            steps = sum(sent_path == "/step" for sent_path, _ in self.sent)
            return 200, {"episode_id": "recorded", "step_count": steps}
        exchange = self.exchanges[len(self.sent)]
        self.sent.append((path, json.loads(body)))
        return exchange["status"], exchange["response"]


async def replay_episode(raw_server: Any, meta: dict[str, Any], exchanges: list[Exchange]) -> list[Moment]:
    """Plays a recording through the client, which has to send exactly what was sent then."""
    task = Task.model_validate({name: meta[name] for name in ("task_id", "difficulty", "seed", "max_ticks")})
    replay = Replay(exchanges)
    async with raw_server(replay.converse) as port:
        environment = HttpEnvironment(f"http://127.0.0.1:{port}")
        trace = [Moment(None, await environment.reset(task))]
        for exchange in exchanges[1:]:
            action = parse(Action, exchange["request"]["action"], "recording")
            trace.append(Moment(action, await environment.step(action)))
        await environment.aclose()
    assert replay.sent == [(exchange["path"], exchange["request"]) for exchange in exchanges]
    return trace


def test_every_recorded_episode_comes_through_and_keeps_the_contract(shared: Path, raw_server: Any) -> None:
    files = sorted((shared / "firewatch/traffic").glob("*.jsonl.gz"))
    traces = []
    for path in files:
        if path.name == "errors.jsonl.gz":
            continue
        meta, exchanges = read_recording(path)
        trace = asyncio.run(replay_episode(raw_server, meta, exchanges))
        for moment, exchange in zip(trace, exchanges, strict=True):
            response = exchange["response"]
            step = moment.step
            # Parsing drops nothing but hidden and unused fields.
            assert parse(Observation, step.observation.to_wire(), "again") == step.observation
            kept = step.observation.to_wire()["services"]
            assert kept == response["observation"]["services"], path.name
            assert step.done is response["done"] and step.outcome.reward == response["reward"]
            assert step.outcome.score == response["observation"]["episode_score"]
        traces.append(trace)
    assert len(traces) == len(files) - 1 > 100
    assert [(r.rule, r.why) for r in check_traces(traces) if not r.passed] == []


BEGUN = {"observation": {"services": {"auth-service": {}}, "sim_tick": 1}, "reward": None, "done": False}

# The expected outcome of each recorded error, by its index in the file.
OUTCOMES: dict[int, tuple[type[EnvironmentFault], str] | Callable[[Step], bool]] = {
    1: (TaskRefused, "reset error: Unknown task_id: no_such_task"),
    2: (TaskRefused, "references unregistered service: user-profile-service"),
    3: (EpisodeLost, r"Episode already completed. Call reset\(\)"),
    4: (TaskRefused, "reset error: Unknown difficulty: nightmare"),
    5: (ProtocolError, "carries no observation.*"),
    6: lambda step: len(step.observation.services) == 3,
    7: lambda step: "auth-service" in step.observation.services,
    8: (ActionRefused, r"action_type: Input should be .* \(sent: no_such_action\)"),
    9: (ProtocolError, "Invalid request.*"),
    10: (ProtocolError, "Invalid request.*"),
    11: lambda step: "requires a target_service" in (step.error or ""),
    12: lambda step: "'ghost' is not an active service" in (step.error or ""),
    13: lambda step: step.error is None and "Escalation initiated" in step.feedback,
    14: lambda step: step.error is None and step.outcome.reward == -1.0,
    15: (ActionRefused, r"parameters: Input should be a valid dictionary \(sent: oops\)"),
    16: lambda step: step.done and step.outcome.score == 0.19,
    17: (EpisodeLost, "Episode already completed"),
}


@pytest.mark.parametrize("index", OUTCOMES)
def test_every_recorded_error_is_refused_with_its_reason(index: int, shared: Path, raw_server: Any) -> None:
    _, exchanges = read_recording(shared / "firewatch/traffic/errors.jsonl.gz")
    assert OUTCOMES.keys() == set(range(1, len(exchanges) + 1))
    exchange = exchanges[index - 1]
    task = Task(difficulty="easy", seed=1, max_ticks=20)

    async def play() -> Step:
        of_reset = exchange["path"] == "/reset"
        begun = {"status": 200, "response": BEGUN}
        if not of_reset and exchange["response"].get("observation"):
            # Resets the same episode, so that only the exchange itself can be refused.
            names = exchange["response"]["observation"]["services"] or {"auth-service": {}}
            begun["response"] = {**BEGUN, "observation": {"services": names, "sim_tick": 1}}
        replay = Replay([exchange] if of_reset else [begun, exchange])
        async with raw_server(replay.converse) as port:
            environment = HttpEnvironment(f"http://127.0.0.1:{port}")
            try:
                step = await environment.reset(task)
                if not of_reset:
                    step = await environment.step(Action(action_type="escalate"))
            finally:
                await environment.aclose()
        return step

    expected = OUTCOMES[index]
    if isinstance(expected, tuple):
        kind, reason = expected
        with pytest.raises(kind, match=reason) as refused:
            asyncio.run(play())
        assert type(refused.value) is kind and "\n" not in str(refused.value)
    else:
        assert expected(asyncio.run(play()))
