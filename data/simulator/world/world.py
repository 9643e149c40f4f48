"""The simulated world: one episode at a time, with answers in the protocol's form."""

from collections import Counter
from typing import Any

import numpy as np

from data.actions import ACTION_TYPES, LOOKS, REMEDIES
from data.errors import ActionRefused
from data.observation import DIFFICULTIES, Action, Difficulty
from data.simulator import catalogue
from data.simulator.active_faults import drives, hidden_shares
from data.simulator.physics import State
from data.simulator.requests import nothing_observed
from data.simulator.world.actions import Result, act
from data.simulator.world.grade import GradeBook
from data.simulator.world.health import alerts, severities
from data.simulator.world.logs import Wording
from data.simulator.world.scenario import Setup, set_up
from data.simulator.world.scene import Scene
from data.simulator.world.telemetry import names_of

_TICK_S = 30
_TICK_MINUTES = _TICK_S / 60
_HISTORY = 10
# An incident without any effect after this long is shown anyway.
_MOST_UNSEEN_TICKS = 20
_NO_EPISODE = "No episode is running. Call reset() to start one."
_EPISODE_OVER = "Episode already completed. Call reset() to start a new one."


class RunningEpisode(Scene):
    """One incident, from its first tick to its score."""

    def __init__(self, setup: Setup, wording: Wording = "known") -> None:
        super().__init__(setup, wording)
        self.config = setup.config
        self.ledger = GradeBook(setup.config)
        self.age = 0  # ticks since the start of the world, shown or not
        self.done = False
        self.resolved = False
        self.score: float | None = None
        size = len(setup.topology.names)
        self._hidden = hidden_shares(setup.faults, size)
        self._resting = severities(setup.fleet.error_rate, setup.fleet.latency_s, np.zeros(size))
        self._history: list[dict[str, Any]] = []
        self.state = self._until_something_ails()
        self._ailing = self._find_ailing()
        self._services = self.sensors.measure(self.state, self.tick)
        self.ledger.impact(self._ailing, self.tick)
        self.ledger.burn(self.config.slo_burn * len(self._ailing) / size)

    def reset_answer(self) -> dict[str, Any]:
        """The answer to the reset."""
        return {"observation": self._observation(first=True), "reward": None, "done": False}

    def step(self, action: Action) -> dict[str, Any]:
        """Moves the world by one tick, then performs the action."""
        worst_before = sum(error for _, error, _ in self._ailing)
        was_ailing = {index for index, _, _ in self._ailing}
        mitigated_before = self.ledger.mitigated_at_tick is not None
        self.state = self._advance()
        self._ailing = self._find_ailing()
        self.ledger.impact(self._ailing, self.tick)
        result = act(self, action)
        if action.action_type in REMEDIES:
            self.state = self._propagate(minutes=0.0)
            self._ailing = self._find_ailing()
        burn = self.burn_rate
        if self.cheap_investigations and action.action_type in LOOKS:
            self.cheap_investigations -= 1
            burn *= 0.5
        self.ledger.burn(burn)
        self._services = self.sensors.measure(self.state, self.tick)
        if result.wrong:
            self.ledger.wrong_actions += 1
        self._history.append(
            {
                "action_type": action.action_type,
                "target_service": action.target_service or "",
                "feedback_string": result.feedback,
            }
        )
        self.resolved = action.action_type == "declare_resolved"
        ailing = {index for index, _, _ in self._ailing}
        self.done = self.resolved or self.tick >= self.config.max_ticks or self.ledger.budget <= 0.0
        if self.done:
            self.score = round(self.ledger.final_score(ailing, self.tick), 2)
        rewards = {
            "health_improvement": round(max(0.0, worst_before - sum(e for _, e, _ in self._ailing)), 4),
            "slo_preservation": round(-0.3 * burn, 4),
            "mttm_bonus": 0.0 if mitigated_before or self.ledger.mitigated_at_tick is None else 2.0,
            "time_cost": -0.05,
            "wrong_action_penalty": -0.5 if result.wrong or not result.valid else 0.0,
            "slo_breach_penalty": -5.0 if self.ledger.budget <= 0.0 else 0.0,
        }
        if self.resolved and ailing:
            rewards["premature_exit_penalty"] = round(-4.0 * len(ailing) / len(self.setup.topology.names), 4)
        reward = round(-0.5 if not result.valid else sum(rewards.values()), 4)
        return {
            "observation": self._observation(),
            "reward": reward,
            "done": self.done,
            "info": self._info(reward, rewards, result, was_ailing - ailing),
        }

    @property
    def ails(self) -> bool:
        """Whether any service is worse than at rest."""
        return bool(self._ailing)

    @property
    def burn_rate(self) -> float:
        """The SLO budget used per tick: the full rate while users are affected, else a fifth."""
        return self.config.slo_burn if self.users_hurt else self.config.slo_burn / 5

    @property
    def users_hurt(self) -> bool:
        """Whether a user-facing service fails more than a tenth of its requests."""
        return any(self.state.error_rate[i] > 0.10 for i in self.setup.user_facing)

    def _until_something_ails(self) -> State:
        """Advances until the fault has an effect, because nobody is paged before that."""
        state = self._advance()
        for _ in range(_MOST_UNSEEN_TICKS):
            self.state = state
            if self._find_ailing():
                break
            self.sensors.measure(state, self.tick)
            state = self._advance()
        self.tick = 1
        return state

    def _advance(self) -> State:
        self.tick += 1
        self.age += 1
        self.sensors.tick()
        for fault in self.setup.faults:
            fault.advance(_TICK_MINUTES)
        return self._propagate(_TICK_MINUTES)

    def _propagate(self, minutes: float) -> State:
        """The effect of the faults on all services; with `minutes` 0, only the immediate effect."""
        setup = self.setup
        opened = None
        if self.broken_until:
            closed = [i for i, until in self.broken_until.items() if self.tick > until]
            for index in closed:
                del self.broken_until[index]
            opened = np.isin(setup.topology.callees, list(self.broken_until))
        size = len(setup.topology.names)
        demand = np.full(size, setup.load.at(self.age))
        own = drives(setup.faults, size)
        return self.physics.step(own, self._hidden, minutes, demand, opened)

    def _find_ailing(self) -> list[tuple[int, float, float]]:
        """Services with a worse status than at rest: (index, error rate, p99 seconds)."""
        state = self.state
        severity = severities(state.error_rate, state.latency_s, state.memory)
        worse = np.flatnonzero(severity > self._resting)
        columns = (worse, state.error_rate[worse], state.latency_s[worse])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _observation(self, first: bool = False) -> dict[str, Any]:
        ledger = self.ledger
        hurt = True if first else self.users_hurt
        return {
            "services": self._services,
            "active_alerts": alerts(self._services, self.tick),
            "dependency_graph": self.setup.topology.call_graph,
            "slo_budget_remaining_pct": round(ledger.budget, 2),
            "bad_customer_minutes": round(ledger.bad_customer_minutes, 4),
            "sim_time_elapsed_seconds": self.tick * _TICK_S,
            "sim_tick": self.tick,
            "action_history": self._history[-_HISTORY:],
            "incident_declared": self.resolved,
            "mttm_achieved_tick": ledger.mitigated_at_tick,
            "user_impact_active": hurt,
            "current_slo_burn_rate": 1.5 if first else self.burn_rate,
            "episode_score": self.score,
        }

    def _info(
        self, reward: float, rewards: dict[str, float], result: Result, recovering: set[int]
    ) -> dict[str, Any]:
        ailing = sorted(index for index, _, _ in self._ailing)
        counts = Counter(own["status"] for own in self._services.values())
        order = ("down", "critical", "degraded", "healthy")
        info: dict[str, Any] = {
            "reward": reward,
            "reward_breakdown": {**rewards, "total": reward},
            "action_valid": result.valid,
            "action_feedback": result.feedback,
            "slo_budget_remaining_pct": round(self.ledger.budget, 2),
            "bad_customer_minutes": round(self.ledger.bad_customer_minutes, 2),
            "sim_time_elapsed_seconds": self.tick * _TICK_S,
            "mttm_achieved": self.ledger.mitigated_at_tick is not None,
            "system_state": ", ".join(f"{counts[s]} {s}" for s in order if s in counts),
            "services_degraded": names_of(self.setup, ailing),
            "services_recovering": names_of(self.setup, sorted(recovering)),
            "blast_radius": {"services_impacted": len(ailing)},
        }
        if self.score is not None:
            info["episode_score"] = self.score
            info["episode_summary"] = {
                "services_affected": len(self.ledger.affected),
                "services_recovered": len(self.ledger.affected - set(ailing)),
                "ticks_taken": self.tick,
                "mttm_ticks": self.ledger.mitigated_at_tick,
                "wrong_actions": self.ledger.wrong_actions,
                "final_slo_budget": round(self.ledger.budget, 2),
                "initial_slo_budget": self.config.slo_budget,
                "bad_customer_minutes": round(self.ledger.bad_customer_minutes, 2),
            }
        return info


class World:
    """Plays one episode after another, for the server and the in-process environment.

    Args:
        wording: of log lines.
    """

    def __init__(self, wording: Wording = "known") -> None:
        self._wording: Wording = wording
        self.episode: RunningEpisode | None = None

    def reset(self, difficulty: str, seed: int, task_id: str | None = None) -> dict[str, Any]:
        """Starts a catalogue task or the random episode of a difficulty and seed."""
        self.episode = None
        if difficulty not in DIFFICULTIES:
            return nothing_observed(f"reset error: Unknown difficulty: {difficulty}")
        level: Difficulty = difficulty
        script = catalogue.scenarios().get(task_id) if task_id else None
        if task_id and script is None:
            return nothing_observed(f"reset error: Unknown task_id: {task_id}")
        self.episode = RunningEpisode(set_up(level, seed, task_id, script), self._wording)
        return self.episode.reset_answer()

    def step(self, action: Action) -> dict[str, Any]:
        """Performs one step; without an episode, the answer has no services but a reason.

        Raises:
            ActionRefused: there is no such action.
        """
        if action.action_type not in ACTION_TYPES:
            raise ActionRefused(
                f"action_type '{action.action_type}' is unknown: choose one of {', '.join(ACTION_TYPES)}"
            )
        if self.episode is None:
            return nothing_observed(_NO_EPISODE)
        if self.episode.done:
            return nothing_observed(_EPISODE_OVER)
        return self.episode.step(action)
