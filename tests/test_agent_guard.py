"""The guard: refuses what cannot help or could do harm, the same for everybody."""

import asyncio

import pytest
from situations import observation, service, situation

from agent.policies.guard import Guard, GuardSettings
from agent.policies.registry import make_policy
from agent.situation.decision import PastStep, Situation
from data.actions import DEEP_INVESTIGATIONS, REMEDIES
from data.observation import Action

SICK = service(error_rate=0.6)
HURT = situation(observation(api_gateway=SICK, db=SICK, cache=service()))
CALM = situation(observation(api_gateway=service(), db=SICK))


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


def test_nobody_resolves_while_users_are_hurt_unless_time_is_up() -> None:
    assert "users" in str(refusal(act("declare_resolved")))
    assert refusal(act("declare_resolved"), CALM) is None
    minutes = (
        observation(db=service()),
        observation(db=service()).model_copy(update={"bad_customer_minutes": 0.4}),
    )
    assert "users" in str(refusal(act("declare_resolved"), situation(*minutes)))
    last = situation(observation(api_gateway=SICK), ticks_left=1)
    assert refusal(act("declare_resolved"), last) is None


def test_the_same_action_runs_twice_in_a_row_at_most() -> None:
    look = act("get_metrics_detail", "db")
    twice = situation(observation(db=SICK), steps=(PastStep(look), PastStep(look)))
    broken = situation(
        observation(db=SICK), steps=(PastStep(look), PastStep(act("fetch_logs", "db")), PastStep(look))
    )
    assert "third time" in str(refusal(look, twice))
    assert refusal(act("get_metrics_detail", "db"), broken) is None


def test_remedies_are_limited() -> None:
    steps = (PastStep(act("restart_service", "db")), PastStep(act("scale_replicas", "db")))
    spent = situation(observation(db=SICK), steps=steps)
    guard = Guard(GuardSettings(max_remedies=2))
    assert "spent" in str(guard.refusal(act("revert_config", "db"), spent))
    assert guard.refusal(act("fetch_logs", "db"), spent) is None


def test_a_dry_run_and_a_persons_no_only_name_the_remedy() -> None:
    asked: list[Action] = []

    async def no(action: Action, _: Situation) -> bool:
        asked.append(action)
        return False

    here = situation(observation(db=service(error_rate=0.9, deployed=60)), ranked=("db",))
    for guard, why in ((Guard(GuardSettings(dry_run=True)), "dry run"), (Guard(approve=no), "declined")):
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
