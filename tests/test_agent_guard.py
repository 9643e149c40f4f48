"""The guard refuses what cannot help or could do harm, for every policy."""

import asyncio
from typing import Any

import pytest
from situations import observation, service, situation

from agent.cli.approval import question
from agent.policies.guard import Guard
from agent.policies.registry import make_policy
from agent.situation.decision import PastStep, Situation
from data.actions import DEEP_INVESTIGATIONS, REMEDIES
from data.observation import Action, Alert, Service

SICK = service(error_rate=0.6)
HURT = situation(observation(api_gateway=SICK, db=SICK, cache=service()))
CALM = situation(observation(api_gateway=service(), db=SICK), calls={"api-gateway": ("db",)})


def act(kind: str, target: str | None = None) -> Action:
    return Action(action_type=kind, target_service=target)


def refusal(action: Action, where: Situation = HURT) -> str | None:
    return Guard().refusal(action, where)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_healthy_service_is_left_alone(remedy: str) -> None:
    assert "healthy" in str(refusal(act(remedy, "cache")))
    assert refusal(act(remedy, "db")) is None


@pytest.mark.parametrize(
    ("error_rate", "p99", "refused"), [(0.049, 0.49, True), (0.05, 0.1, False), (0.0, 0.5, False)]
)
def test_healthy_is_the_graders_word_not_the_status(error_rate: float, p99: float, refused: bool) -> None:
    here = situation(observation(db=service(error_rate=error_rate, p99=p99, status="healthy")))
    assert (refusal(act("restart_service", "db"), here) is not None) is refused


@pytest.mark.parametrize(
    "action",
    [
        act("drop_database", "db"),
        act("restart_service", "nonsense"),
        act("restart_service"),
        act("escalate", "db"),
    ],
)
def test_menu_and_target_must_be_valid(action: Action) -> None:
    assert refusal(action) is not None


@pytest.mark.parametrize("kind", DEEP_INVESTIGATIONS)
def test_deep_investigations_need_logs_first(kind: str) -> None:
    assert refusal(act(kind, "db")) is not None
    read = situation(observation(db=SICK), steps=(PastStep(act("fetch_logs", "db")),))
    assert refusal(act(kind, "db"), read) is None


RESOLVE = act("declare_resolved")


def told(*, impact: bool, window: int = 6, calls: Any = None, **services: Service) -> Situation:
    """The same observation several times, from an environment that reports whether users are hurt."""
    seen = [observation(tick=k + 1, **services) for k in range(window)]
    given = [o.model_copy(update={"user_impact_active": impact}) for o in seen]
    for o in given:
        o.model_fields_set.add("user_impact_active")
    return situation(*given, calls=calls or {})


def test_nobody_resolves_while_users_are_hurt_unless_time_is_up() -> None:
    assert "users" in str(refusal(RESOLVE))
    assert refusal(RESOLVE, CALM) is None
    minutes = (
        observation(db=service()),
        observation(db=service()).model_copy(update={"bad_customer_minutes": 0.4}),
    )
    assert "users" in str(refusal(RESOLVE, situation(*minutes)))
    last = situation(observation(api_gateway=SICK), ticks_left=1)
    assert refusal(RESOLVE, last) is None


@pytest.mark.parametrize("name", ["frontend", "api-gateway", "www", "edge.eu-1"])
def test_who_is_called_by_nobody_is_user_facing_whatever_it_is_called(name: str) -> None:
    calls = {name: ("db",)}
    for impact in (True, False):
        failing = told(impact=impact, calls=calls, **{name: service(error_rate=0.9), "db": service()})
        assert "users" in str(refusal(RESOLVE, failing))
    behind = told(impact=False, calls=calls, **{name: service(), "db": service(error_rate=0.9)})
    assert refusal(RESOLVE, behind) is None


def test_each_sign_of_impact_holds_an_incident_open() -> None:
    well = {"web": service(), "db": service()}
    assert refusal(RESOLVE, told(impact=False, **well)) is None
    assert "users" in str(refusal(RESOLVE, told(impact=True, **well)))
    paged = observation(alerts=(Alert(service_name="db", severity="page"),), **well)
    assert "users" in str(refusal(RESOLVE, situation(paged, calls={"web": ("db",)})))
    for minutes in (float("nan"), float("inf"), 0.1):
        hurt = observation(**well).model_copy(update={"bad_customer_minutes": minutes})
        assert "users" in str(refusal(RESOLVE, situation(hurt)))


def test_what_is_not_measured_is_not_harmless() -> None:
    blind = service(http_server_error_rate=None)
    assert "users" in str(refusal(RESOLVE, situation(observation(web=blind))))
    assert refusal(RESOLVE, told(impact=False, web=blind)) is None  # the observation knows better


def test_a_steady_little_failure_is_usual_only_after_a_while() -> None:
    assert "users" in str(refusal(RESOLVE, told(impact=True, gateway=service(error_rate=0.14))))
    for window in (1, 2, 4):
        assert "users" in str(
            refusal(RESOLVE, told(impact=False, window=window, gateway=service(error_rate=0.14)))
        )
    assert refusal(RESOLVE, told(impact=False, gateway=service(error_rate=0.14))) is None


def test_users_that_nothing_more_can_help_are_let_go() -> None:
    seen = [
        observation(tick=k + 1, web=service(p99=0.85)).model_copy(update={"bad_customer_minutes": 0.2 * k})
        for k in range(len(REMEDIES) + 1)
    ]
    tried = tuple(PastStep(act(remedy, "web")) for remedy in REMEDIES)
    assert "users" in str(refusal(RESOLVE, situation(*seen, steps=tried[:-1])))
    assert refusal(RESOLVE, situation(*seen, steps=tried)) is None
    moving = [*seen[:-1], seen[-1].model_copy(update={"services": {"web": service(p99=0.5)}})]
    assert "users" in str(refusal(RESOLVE, situation(*moving, steps=tried)))


@pytest.mark.parametrize("p99", [None, "0.10", float("nan")])
def test_a_service_that_looks_well_as_far_as_it_is_measured_is_left_alone(p99: object) -> None:
    here = situation(observation(api=service(p99=p99), db=SICK))
    assert "healthy" in str(refusal(act("restart_service", "api"), here))
    marked = situation(observation(api=service(p99=p99, status="degraded"), db=SICK))
    assert refusal(act("restart_service", "api"), marked) is None


def test_a_service_without_figures_gets_each_remedy_once() -> None:
    blind = observation(api=service(http_server_error_rate=None, p99=None, status="unknown"), db=SICK)
    restart = act("restart_service", "api")
    assert refusal(restart, situation(blind)) is None
    assert "before" in str(refusal(restart, situation(blind, steps=(PastStep(restart),))))


def test_a_remedy_runs_a_third_time_in_a_row_only_while_it_helps() -> None:
    scale = act("scale_replicas", "db")
    steps = (PastStep(scale), PastStep(scale))
    for rates, refused in (((0.6, 0.6, 0.6), True), ((0.6, 0.7, 0.8), True), ((0.6, 0.5, 0.4), False)):
        seen = [observation(db=service(error_rate=rate)) for rate in rates]
        assert ("third time" in str(refusal(scale, situation(*seen, steps=steps)))) is refused


def test_to_look_again_is_to_wait_and_no_repeat() -> None:
    look = act("get_metrics_detail", "db")
    assert refusal(look, situation(observation(db=SICK), steps=(PastStep(look),) * 9)) is None


def test_no_action_takes_parameters() -> None:
    armed = Action(
        action_type="restart_service", target_service="db", parameters={"scope": "all", "cmd": "; rm -rf /"}
    )
    assert "parameters" in str(refusal(armed))


def test_the_question_shows_all_that_would_be_sent() -> None:
    armed = Action(
        action_type="restart_service", target_service="db", parameters={"cmd": "\x1b[2J; rm -rf /"}
    )
    shown = question(armed, HURT)
    assert "restart_service:db" in shown and "rm -rf /" in shown and shown.isprintable()


def test_remedies_are_limited() -> None:
    steps = (PastStep(act("restart_service", "db")), PastStep(act("scale_replicas", "db")))
    spent = situation(observation(db=SICK), steps=steps)
    guard = Guard(max_remedies=2)
    assert "used up" in str(guard.refusal(act("revert_config", "db"), spent))
    assert guard.refusal(act("fetch_logs", "db"), spent) is None


def test_a_dry_run_and_a_persons_no_only_name_the_remedy() -> None:
    asked: list[Action] = []

    async def no(action: Action, _: Situation) -> bool:
        asked.append(action)
        return False

    here = situation(observation(db=service(error_rate=0.9, deployed=60)), ranked=("db",))
    for guard, why in ((Guard(dry_run=True), "dry run"), (Guard(approve=no), "declined")):
        decision = asyncio.run(make_policy("rules", guard=guard).decide(here))
        assert decision.action.action_type not in REMEDIES
        assert str(decision.recommended) == "rollback_deploy:db" and why in decision.reason
    assert [str(action) for action in asked] == ["rollback_deploy:db"]


def test_an_approved_remedy_is_sent() -> None:
    async def yes(_: Action, __: Situation) -> bool:
        return True

    here = situation(observation(db=service(error_rate=0.9, deployed=60)), ranked=("db",))
    decision = asyncio.run(make_policy("rules", guard=Guard(approve=yes)).decide(here))
    assert str(decision.action) == "rollback_deploy:db" and decision.recommended is None
