"""Log lines of simulated services, and what feedback may say about the fault."""

import asyncio
from typing import get_args

import pytest

from data.faults.families import fault_families
from data.leak_filter import TELLTALE_ACTIONS, clean_feedback
from data.observation import Action, Task
from data.simulator.world.environment import EmbeddedEnvironment
from data.simulator.world.logs import Voice, Wording, first_log_lines

QUOTED = (
    "error latency_ms memory limit_mi gc cpu network saturation surge waiting descriptors revision"
    " sha callee status"
)
VALUES: dict[str, object] = dict.fromkeys(QUOTED.split(), 7)
WORDINGS: tuple[Wording, ...] = get_args(Wording)


def words(line: str) -> str:
    return line.split("] ", 1)[1]


@pytest.mark.parametrize("family", fault_families())
def test_every_family_is_worded_in_several_ways_and_in_others_that_are_held_out(family: str) -> None:
    spoken = {
        wording: {tuple(Voice(wording, seed).culprit("a", family, VALUES, 3)) for seed in range(30)}
        for wording in WORDINGS
    }
    assert len(spoken["known"]) > 1
    lines = {wording: {words(line) for one in found for line in one} for wording, found in spoken.items()}
    assert not lines["known"] & lines["held_out"]
    assert not any(sign in line for found in lines.values() for line in found for sign in "{}<>|")
    assert len(first_log_lines(family)) == len(next(iter(spoken["held_out"])))
    assert Voice("known", 5).culprit("a", family, VALUES, 3) == Voice("known", 5).culprit(
        "a", family, VALUES, 3
    )


def test_the_wording_changes_nothing_else() -> None:
    async def play(wording: Wording) -> list[object]:
        environment = EmbeddedEnvironment(wording)
        step = await environment.reset(Task(difficulty="hard", seed=3, max_ticks=40))
        seen = []
        for name in list(step.observation.services):
            step = await environment.step(Action(action_type="fetch_logs", target_service=name))
            services = {
                own: {metric: value for metric, value in service.metrics.items() if metric != "recent_logs"}
                for own, service in step.observation.services.items()
            }
            seen.append((services, step.observation.services[name].recent_logs[0][:20], step.outcome.reward))
        return seen

    assert asyncio.run(play("known")) == asyncio.run(play("held_out"))


@pytest.mark.parametrize("family", fault_families())
@pytest.mark.parametrize("action", sorted(TELLTALE_ACTIONS))
def test_no_feedback_names_a_fault(family: str, action: str) -> None:
    fault = fault_families()[family]
    for name in (family, family.replace("_", " "), fault.title, family.upper(), family.replace("_", "-")):
        assert clean_feedback(action, f"db: diagnosis {name}, see the runbook") == ""
    assert clean_feedback(action, fault.dump) == fault.dump
