"""A running system as an environment: actions look at telemetry, and remedies are recommended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.investigation.evidence import Ask
from agent.investigation.observation import observed
from agent.investigation.remedies import Execute, RemedyCommand
from agent.investigation.telemetry_looks import Shown
from agent.policies.remedy_scores import addresses_the_reader
from data.actions import CONCLUSIONS, LIVE_REMEDIES
from data.channels import ChannelMap
from data.errors import ActionRefused, TelemetryFault
from data.incident import Incident
from data.observation import Action, Observation, Step, Task
from gnn.features.featurize import features_of
from gnn.features.trouble import in_trouble

ADDRESSING = "(left out: it gives its reader instructions, which is not evidence)"
LOOK_WORDS = {
    "get_metrics_detail": "read its metrics, before and now",
    "fetch_logs": "read its recent log lines",
    "inspect_commit_diff": "read its recent changes",
    "trace_dependencies": "read its callers, callees, and what is measured of the calls",
}
_ENDS = {
    "declare_resolved": "end: nothing is wrong",
    "escalate": "end without naming a culprit",
}
_RECOMMENDS = {
    name: f"end: it is the culprit; recommend {live.recommended}" for name, live in LIVE_REMEDIES.items()
}


class LiveEnvironment:
    """Implements `data.environment.LiveSystem` and `Environment`.

    Args:
        looks: the sources of each look, by action type.
        remedy: the command for a remedy, by action type and service.
        execute: carries out a remedy; None: it is only recommended.
    """

    name = "live"

    def __init__(
        self,
        incident: Incident,
        channels: ChannelMap,
        looks: Mapping[str, Sequence[Ask]],
        remedy: Callable[[str, str], RemedyCommand],
        execute: Execute | None = None,
    ) -> None:
        self._incident, self._looks, self._remedy, self._execute = incident, looks, remedy, execute
        self._channels = channels
        self._made = self._most = 0
        self.troubled: frozenset[str] = frozenset()
        self.logs: dict[str, tuple[str, ...]] = {}
        self.shown: list[Shown] = []  # everything seen so far
        self.unanswered: list[str] = []  # failed looks, and why
        self.recommended: RemedyCommand | None = None
        self.executed = ""  # the output of a remedy that was carried out

    @property
    def offered(self) -> Mapping[str, str]:
        """The looks with a source, the ends, and the remedies."""
        left = self._looks if self._made < self._most else {}
        looks = {kind: words for kind, words in LOOK_WORDS.items() if kind in left}
        return {**looks, **_ENDS, **_RECOMMENDS}

    async def reset(self, task: Task) -> Step:
        """Starts; one of the task's steps is the end, the others may be looks."""
        self._made, self._most = 0, task.max_ticks - 1
        if self._incident.services:
            trouble = in_trouble(features_of(self._incident, self._channels).graph).tolist()
            names = zip(self._incident.services, trouble, strict=True)
            self.troubled = frozenset(name for name, is_troubled in names if is_troubled)
        return Step(self._observation(), done=False)

    async def step(self, action: Action) -> Step:
        """Looks, recommends or ends."""
        kind, service = action.action_type, action.target_service or ""
        if kind not in self.offered:
            raise ActionRefused(f"'{kind}' is not available here")
        if kind in CONCLUSIONS:
            return Step(self._observation(), done=True, feedback=self.offered[kind])
        if kind in LIVE_REMEDIES:
            return await self._end_with(self._remedy(kind, service))
        self._made += 1
        shown, faults = await self._seen(kind, service)
        self.shown += shown
        if kind == "fetch_logs" and shown:
            self.logs[service] = tuple(one.text for one in shown)
        told = [*(one.text for one in shown), *(f"no answer: {fault}" for fault in faults)]
        error = "; ".join(faults) if faults and not shown else None
        return Step(self._observation(), False, "; ".join(told) or "nothing was found", error)

    async def _seen(self, kind: str, service: str) -> tuple[list[Shown], list[str]]:
        """What the sources of a look show, and the faults of others."""
        shown, faults = list[Shown](), list[str]()
        for ask in self._looks[kind]:
            try:
                shown += await ask(service)
            except TelemetryFault as fault:
                faults.append(str(fault))
        whose = LOOK_WORDS[kind].replace("its", f"{service}'s", 1)
        self.unanswered += [f"{whose}: {fault}" for fault in faults]
        safe = [replace(one, text=ADDRESSING) if addresses_the_reader(one.text) else one for one in shown]
        return safe, faults

    async def aclose(self) -> None:
        """Does nothing."""

    async def _end_with(self, remedy: RemedyCommand) -> Step:
        self.recommended = remedy
        if self._execute is None:
            return Step(
                self._observation(), done=True, feedback=f"recommended, not carried out: {remedy.shell}"
            )
        try:
            said = await self._execute(remedy.arguments)
            self.executed = f"{remedy.shell}: {said.decode('utf-8', 'replace').strip()}"
        except TelemetryFault as fault:
            self.executed = f"failed: {fault}"
        return Step(self._observation(), done=True, feedback=self.executed)

    def _observation(self) -> Observation:
        return observed(self._incident, self._channels, self.troubled, self.logs, self._made)
