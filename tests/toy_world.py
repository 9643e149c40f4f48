"""A two-service world, small enough to know every answer, with failures on request."""

import asyncio
from collections.abc import Mapping

from data.errors import EnvironmentFault
from data.observation import Action, Observation, Outcome, Step, Task, parse
from gnn.baselines.heuristic import HeuristicRanker

ROOT = "auth-service"
RANKER = HeuristicRanker()


def toy_task(number: int, max_ticks: int = 10) -> Task:
    return Task(task_id=f"toy_{number}", difficulty="easy", seed=number, max_ticks=max_ticks)


class ToyEnvironment:
    """auth-service fails until it is restarted; the gateway suffers with it.

    Args:
        faults: raised instead of answering, by task number and step number (step 0 is the reset).
        ends: whether `declare_resolved` ends the episode.
        pause_s: how long each step takes.
    """

    name = "toy"

    def __init__(
        self,
        faults: Mapping[tuple[int, int], EnvironmentFault] | None = None,
        ends: bool = True,
        pause_s: float = 0.0,
    ) -> None:
        self._faults = faults or {}
        self._ends = ends
        self._pause_s = pause_s
        self._tick = self._calls = 0
        self._mended = False
        self._task = toy_task(0)
        self.closed = 0
        self.sent: list[str] = []

    async def reset(self, task: Task) -> Step:
        self._task, self._tick, self._calls, self._mended = task, 1, 0, False
        self._fail(0)
        return Step(self._observe(), done=False)

    async def step(self, action: Action) -> Step:
        self.sent.append(str(action))
        await asyncio.sleep(self._pause_s)
        self._calls += 1
        self._fail(self._calls)
        self._tick += 1
        if str(action) == f"restart_service:{ROOT}":
            self._mended = True
        done = self._ends and action.action_type == "declare_resolved"
        score = (0.9 if self._mended else 0.2) if done else None
        outcome = Outcome(reward=-0.125, score=score, info={"incident_progress": "the grader's talk"})
        return Step(self._observe(), done, "as you wish", None, outcome)

    async def aclose(self) -> None:
        self.closed += 1

    def root_causes(self) -> tuple[str, ...]:
        return (ROOT,)

    def fault_types(self) -> tuple[str, ...]:
        return ("oom",)

    def red_herrings(self) -> tuple[str, ...]:
        return ()

    def _fail(self, step: int) -> None:
        fault = self._faults.get((self._task.seed, step))
        if fault:
            raise fault

    def _observe(self) -> Observation:
        bad = 0.0 if self._mended else 0.6
        services = {
            "api-gateway": {"status": "degraded" if bad else "healthy", "http_server_error_rate": bad / 2},
            ROOT: {"status": "critical" if bad else "healthy", "http_server_error_rate": bad},
        }
        raw = {
            "services": services,
            "dependency_graph": {"api-gateway": [ROOT]},
            "sim_tick": self._tick,
            "mttm_achieved_tick": self._tick if self._mended else None,
        }
        return parse(Observation, raw, "toy")
