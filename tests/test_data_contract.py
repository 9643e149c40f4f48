"""All implementations obey the contract, and for each rule one environment breaks only that rule."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.clients.discovery import Endpoint
from data.contract.behaviour import PLAY_RULES, check_environment
from data.contract.rule import RuleResult
from data.contract.server_rules import SERVER_RULES, check_server
from data.contract.trace_rules import TRACE_RULES
from data.environment import Environment
from data.errors import Unreachable
from data.observation import Action, Alert, Observation, Outcome, Service, Step, Task
from data.simulator.server.serving import Limits, RunningServer, create_app
from data.simulator.world.environment import EmbeddedEnvironment
from data.simulator.world.world import World

LOOK = Action(action_type="escalate")


def failed(results: tuple[RuleResult, ...]) -> set[str]:
    return {result.rule for result in results if not result.passed}


async def check_and_close(environment: Environment) -> tuple[RuleResult, ...]:
    try:
        return await check_environment(environment)
    finally:
        await environment.aclose()


@pytest.mark.parametrize("transport", ["embedded", "http", "ws"])
def test_the_embedded_environment_keeps_the_contract_over_every_transport(transport: Any) -> None:
    with RunningServer() as server:
        url = server.url.replace("http", "ws") if transport == "ws" else server.url
        results = asyncio.run(check_and_close(Endpoint(transport, url).open()))
    assert [(r.rule, r.why) for r in results if not r.passed] == []
    assert all(r.sentence.endswith(".") and r.why == "" for r in results)
    assert len({r.rule for r in results}) == len(results) == 1 + len(TRACE_RULES) + len(PLAY_RULES)


class Spoiled(EmbeddedEnvironment):
    """The embedded environment with one defect, given by a subclass or function."""

    def __init__(self, spoil: Callable[[Action | None, Step], Step] | None = None) -> None:
        super().__init__()
        self.spoil = spoil

    async def reset(self, task: Task) -> Step:
        step = await super().reset(task)
        return self.spoil(None, step) if self.spoil else step

    async def step(self, action: Action) -> Step:
        step = await super().step(action)
        return self.spoil(action, step) if self.spoil else step


def seen(**changes: Callable[[Observation], Any]) -> Callable[[], Environment]:
    """An environment that replaces some fields of every observation."""

    def spoil(_action: Action | None, step: Step) -> Step:
        values = {name: change(step.observation) for name, change in changes.items()}
        return replace(step, observation=step.observation.model_copy(update=values))

    return lambda: Spoiled(spoil)


def stepped(change: Callable[[Action, Step], Step]) -> Callable[[], Environment]:
    """An environment that changes every step, but no reset."""
    return lambda: Spoiled(lambda action, step: step if action is None else change(action, step))


def first_service(**metrics: Any) -> Callable[[Observation], dict[str, Service]]:
    def change(observation: Observation) -> dict[str, Service]:
        name, service = next(iter(observation.services.items()))
        return {**observation.services, name: Service.model_validate({**service.metrics, **metrics})}

    return change


def late_newcomer(observation: Observation) -> dict[str, Service]:
    if observation.sim_tick < 5:
        return observation.services
    return {**observation.services, "newcomer": Service(status="healthy")}


class StepsBeforeReset(Spoiled):
    async def step(self, action: Action) -> Step:
        if self._last is None:
            return Step(Observation(services={"a": Service()}), done=False)
        return await super().step(action)


class NeverTheSameScore(Spoiled):
    plays = 0

    async def reset(self, task: Task) -> Step:
        self.plays += 1
        return await super().reset(task)

    async def step(self, action: Action) -> Step:
        step = await super().step(action)
        return replace(step, outcome=Outcome(score=1 / self.plays)) if step.done else step


class AlwaysTheSameSeed(Spoiled):
    async def reset(self, task: Task) -> Step:
        return await super().reset(task.model_copy(update={"seed": 1}))


class AlwaysEasy(Spoiled):
    async def reset(self, task: Task) -> Step:
        return await super().reset(task.model_copy(update={"difficulty": "easy"}))


class StartsAnything(Spoiled):
    async def reset(self, task: Task) -> Step:
        return await super().reset(task.model_copy(update={"task_id": None}))


class TakesAnyAction(Spoiled):
    async def step(self, action: Action) -> Step:
        return await super().step(LOOK if action.action_type == "no_such_action" else action)


class NeverOver(Spoiled):
    async def step(self, action: Action) -> Step:
        if self._last is not None and self._last.done:
            return self._last
        return await super().step(action)


class NoStepLimit(Spoiled):
    async def step(self, action: Action) -> Step:
        step = await super().step(action)
        return step if action.action_type == "declare_resolved" else replace(step, done=False)


class Remembers(Spoiled):
    async def reset(self, task: Task) -> Step:
        unfinished = self._last is not None and not self._last.done
        step = await super().reset(task)
        budget = step.observation.slo_budget_remaining_pct + unfinished
        changed = step.observation.model_copy(update={"slo_budget_remaining_pct": budget})
        return replace(step, observation=changed)


class BreaksDown(Spoiled):
    async def step(self, action: Action) -> Step:
        if (
            action.action_type == "trace_dependencies"
            and self._last
            and len(self._last.observation.services) > 5
        ):
            raise Unreachable("down")
        return await super().step(action)


BROKEN: dict[str, Callable[[], Environment]] = {
    "an-episode-plays-through": BreaksDown,
    "a-reset-starts-at-tick-one": seen(incident_declared=lambda o: o.sim_tick == 1),
    "a-step-is-one-tick": seen(sim_time_elapsed_seconds=lambda o: 60 * o.sim_tick),
    "the-history-holds-the-last-ten-actions": seen(action_history=lambda o: o.action_history[-5:]),
    "every-action-gets-feedback": stepped(lambda _, step: replace(step, feedback="")),
    "services-stay": seen(services=late_newcomer, call_graph=lambda o: {**o.call_graph, "newcomer": ()}),
    "statuses-match-the-thresholds": seen(services=first_service(status="down")),
    "words-are-those-of-the-protocol": seen(
        active_alerts=lambda o: (Alert(service_name=next(iter(o.services)), severity="odd"),)
    ),
    "metrics-stay-in-range": seen(services=first_service(process_memory_utilization=-0.5)),
    "every-service-is-in-the-call-graph": seen(call_graph=lambda o: dict(list(o.call_graph.items())[1:])),
    "alerts-name-services": seen(active_alerts=lambda _: (Alert(service_name="ghost"),)),
    "budgets-only-shrink": seen(bad_customer_minutes=lambda o: 100.0 - o.sim_tick),
    "logs-come-when-fetched": seen(services=first_service(recent_logs=["INFO too early"])),
    "only-the-end-is-graded": stepped(lambda _, step: replace(step, outcome=Outcome(score=0.5))),
    "nothing-happens-before-a-reset": StepsBeforeReset,
    "the-same-seed-is-the-same-episode": NeverTheSameScore,
    "seeds-differ": AlwaysTheSameSeed,
    "difficulties-have-their-sizes": AlwaysEasy,
    "unknown-tasks-are-refused": StartsAnything,
    "a-target-that-is-no-service-spends-a-tick": stepped(lambda _, step: replace(step, error=None)),
    "unknown-actions-are-refused": TakesAnyAction,
    "what-is-over-stays-over": NeverOver,
    "the-step-limit-ends-the-episode": NoStepLimit,
    "a-reset-starts-over": Remembers,
}


def test_every_rule_has_its_broken_environment() -> None:
    names = {rule.name for rule in (*TRACE_RULES, *PLAY_RULES)}
    assert {*names, "an-episode-plays-through"} == BROKEN.keys()
    assert {rule.name for rule in SERVER_RULES} == BROKEN_SERVERS.keys()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_environment_fails_its_rule_and_no_other(rule: str) -> None:
    results = asyncio.run(check_environment(BROKEN[rule]()))
    assert failed(results) == {rule}
    assert all(result.passed or result.why for result in results)


class Spoiling:
    """Middleware that changes a server's output: HTTP status and body, and WebSocket frames."""

    def __init__(
        self,
        app: ASGIApp,
        http: Callable[[str, int, Any], tuple[int, Any]] | None = None,
        frame: Callable[[Any], Any] | None = None,
        sessions: int = 1000,
    ) -> None:
        self.app, self.http, self.frame, self.free = app, http, frame, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.http:
            await self._spoil_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._spoil_websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _spoil_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun: list[Message] = []

        async def change(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            assert self.http is not None
            status, body = self.http(scope["path"], begun[0]["status"], json.loads(message["body"]))
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})

        await self.app(scope, receive, change)

    async def _spoil_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def change(message: Message) -> None:
            if message["type"] == "websocket.send" and self.frame:
                message = {**message, "text": json.dumps(self.frame(json.loads(message["text"])))}
            await send(message)

        if not self.free:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        self.free -= 1
        try:
            await self.app(scope, receive, change)
        finally:
            self.free += 1


def http(change: Callable[[str, int, Any], tuple[int, Any] | None]) -> dict[str, Any]:
    """Changes HTTP answers; None leaves one unchanged."""
    return {"http": lambda path, status, body: change(path, status, body) or (status, body)}


def body_with(path: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    return http(lambda at, status, body: (status, change(body)) if at == path else None)


def reason(body: Any) -> str:
    history = body.get("observation", {}).get("action_history") or [{"feedback_string": ""}]
    return str(history[-1]["feedback_string"])


def no_feedback(body: Any) -> Any:
    body.get("info", {}).pop("action_feedback", None)
    return body


def show_a_service(body: Any) -> Any:
    if reason(body).startswith("reset error"):
        body["observation"]["services"] = {"a": {}}
    return body


def done_again(body: Any) -> Any:
    return {**body, "done": True} if "already completed" in reason(body) else body


def free_of_charge(body: Any) -> Any:
    return {**body, "reward": 0.0} if body.get("reward") == -0.5 else body


def another_world(body: Any) -> Any:
    if "observation" in body:
        body["observation"]["bad_customer_minutes"] = 77.0
    return body


def observe_anything(body: Any) -> Any:
    return {**body, "observation": {"services": {}}} if "metadata" in body else body


def tell_all(frame: Any) -> Any:
    if frame["type"] == "observation":
        frame["data"]["info"] = {}
    return frame


def strange_code(frame: Any) -> Any:
    if frame["type"] == "error":
        frame["data"]["code"] = "OOPS"
    return frame


BROKEN_SERVERS: dict[str, dict[str, Any]] = {
    "health-answers": http(lambda path, _, body: (503, body) if path == "/health" else None),
    "the-server-describes-itself": http(lambda path, _, body: (404, body) if path == "/schema" else None),
    "answers-have-their-parts": body_with("/step", no_feedback),
    "the-state-counts-steps": body_with("/state", lambda body: {**body, "step_count": 0}),
    "what-is-no-action-is-refused-with-422": http(lambda _, s, body: (400, body) if s == 422 else None),
    "what-is-no-request-is-answered-flat": http(lambda _, status, body: (status, observe_anything(body))),
    "unknown-tasks-start-nothing": body_with("/reset", show_a_service),
    "unknown-targets-cost-half-a-point": body_with("/step", free_of_charge),
    "after-the-end-nothing-moves": body_with("/step", done_again),
    "frames-are-like-answers-without-info": {"frame": tell_all},
    "frames-that-are-none-get-an-error": {"frame": strange_code},
    "a-second-session-is-its-own-or-turned-away": {"sessions": 1},
    "both-transports-show-the-same": body_with("/reset", another_world),
    "huge-requests-do-no-harm": http(lambda _, status, body: (500, body) if status == 413 else None),
}


@pytest.mark.parametrize("rule", [None, *BROKEN_SERVERS])
def test_a_broken_server_fails_its_rule_and_no_other(rule: str | None) -> None:
    app: Starlette = create_app()
    if rule is not None:
        app.add_middleware(Spoiling, **BROKEN_SERVERS[rule])
    with RunningServer(app) as server:
        results = asyncio.run(check_server(server.url))
    assert failed(results) == ({rule} if rule else set())
    assert len(results) == len(SERVER_RULES)


def test_a_server_with_one_session_keeps_the_contract() -> None:
    limits = Limits(sessions=1)
    with RunningServer(create_app(limits), limits) as server:
        assert [r for r in asyncio.run(check_server(server.url)) if not r.passed] == []


def test_one_session_and_one_episode_for_both_transports_are_no_failure() -> None:
    """Like the original server, which frees a place only some time after its session ends."""
    world, limits = World(), Limits(sessions=1)
    app = create_app(limits, lambda: world)

    class SlowToForget:
        def __init__(self, app: ASGIApp) -> None:
            self.app, self.taken = app, False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket":
                return await self.app(scope, receive, send)
            if self.taken:
                await receive()
                await send({"type": "websocket.accept"})
                full = {"type": "error", "data": {"code": "CAPACITY_REACHED", "message": "1/1 sessions"}}
                await send({"type": "websocket.send", "text": json.dumps(full)})
                return await send({"type": "websocket.close", "code": 1000})
            self.taken = True
            try:
                await self.app(scope, receive, send)
            finally:
                await asyncio.sleep(0.3)
                world.episode = None  # whoever comes next finds nothing
                self.taken = False

    app.add_middleware(SlowToForget)
    with RunningServer(app, limits) as server:
        results = asyncio.run(check_server(server.url))
        assert [(r.rule, r.why) for r in results if not r.passed or r.why] == []


def test_a_server_without_a_free_session_is_not_accused() -> None:
    limits = Limits(sessions=1)
    with RunningServer(create_app(limits), limits) as server:

        async def play() -> tuple[RuleResult, ...]:
            other = Endpoint("ws", server.url.replace("http", "ws")).open()
            await other.reset(Task(difficulty="easy", seed=1, max_ticks=20))
            try:
                return await check_server(server.url)
            finally:
                await other.aclose()

        results = asyncio.run(play())
        assert failed(results) == set()
        assert sum("no session free" in result.why for result in results) == 5


def test_a_server_that_is_gone_fails_every_rule() -> None:
    with RunningServer() as server:
        pass
    results = asyncio.run(check_server(server.url))
    assert not any(result.passed for result in results) and all(result.why for result in results)
