"""Every environment obeys the contract, and for each rule one breaks only that rule."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from data.clients.discovery import Endpoint
from data.contract.behaviour import PLAY_RULES, check_environment
from data.contract.rule import RuleResult
from data.contract.trace_rules import TRACE_RULES
from data.environment import Environment
from data.errors import Unreachable
from data.observation import Action, Alert, Observation, Outcome, Service, Step, Task
from data.simulator.server.serving import RunningServer
from data.simulator.world.environment import EmbeddedEnvironment

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


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_environment_fails_its_rule_and_no_other(rule: str) -> None:
    results = asyncio.run(check_environment(BROKEN[rule]()))
    assert failed(results) == {rule}
    assert all(result.passed or result.why for result in results)
