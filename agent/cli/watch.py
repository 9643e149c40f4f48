"""`run --watch`: shows each step with suspects, the decision with its reason, and the budget."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from agent.cli.progress import Progress
from agent.play.episode import StepRecord
from agent.situation.decision import Decision, Policy, Situation
from agent.situation.service_trends import health_figures
from agent.terminal_text import printable
from data.observation import Observation, Task
from gnn.ranker import Candidate

_SUSPECTS = 3
_BAR = 20
_COLOURS = {"healthy": "green", "degraded": "yellow", "critical": "red", "down": "bold red"}


class PacedPolicy:
    """Another policy, with a pause before each decision for reading."""

    def __init__(self, policy: Policy, pause_s: float) -> None:
        self._policy, self._pause_s, self.name = policy, pause_s, policy.name

    async def decide(self, situation: Situation) -> Decision:
        """Waits, then lets the other policy decide."""
        await asyncio.sleep(self._pause_s)
        return await self._policy.decide(situation)


def paced(new_policy: Callable[[Task], Policy], pause_s: float) -> Callable[[Task], Policy]:
    """Makes policies pause before each decision."""
    return lambda task: PacedPolicy(new_policy(task), pause_s)


class Watch(Progress):
    """Shows each step in full: in place on a terminal, else one after the other."""

    def step_played(self, step: StepRecord) -> None:
        self.show(step_view(step))


def step_view(step: StepRecord) -> RenderableType:
    """The observation, suspects, decision and answer of one step."""
    now = step.observation
    budget = (
        f"tick {now.sim_tick} of {step.task.max_ticks}   SLO budget {now.slo_budget_remaining_pct:.1f} % "
        f"burning {now.current_slo_burn_rate:.2f} per tick   "
        f"bad customer minutes {now.bad_customer_minutes:.1f}"
    )
    decided = Text(printable(str(step.action)), style="bold")
    decided.append(
        f"  by {step.decision.source}: {printable(step.decision.reason) or 'no reason given'}",
        style="not bold",
    )
    usage = step.decision.usage
    if usage.calls:
        cost = f", ${usage.cost_usd:.4f}" if usage.cost_usd else ""
        decided.append(
            f"  ({usage.prompt_tokens + usage.completion_tokens} tokens{cost})", style="not bold dim"
        )
    parts: list[RenderableType] = [Text(budget), _suspects(step, now), decided]
    parts += [
        Text(printable(f"refused: {refusal.action} – {refusal.reason}")) for refusal in step.decision.refusals
    ]
    parts.append(Text(printable(step.error or step.feedback), style="red" if step.error else "dim"))
    return Panel(
        Group(*parts), title=Text(printable(f"{step.task.name}, step {step.number}")), title_align="left"
    )


def _suspects(step: StepRecord, now: Observation) -> RenderableType:
    """The first suspects, each with its callers, which its failure would affect."""
    if step.ranking is None or not step.ranking.candidates:
        return Text("no suspects")
    callers = _callers(now.call_graph)
    tree = Tree(
        Text("suspects" + (f" ({step.ranking.verdict})" if step.ranking.unsure else "")), guide_style="dim"
    )
    for candidate in step.ranking.top(_SUSPECTS):
        branch = tree.add(
            _state(candidate.service, now).append(_strength(candidate), style="not bold default")
        )
        for evidence in candidate.evidence:
            branch.add(Text(printable(evidence.text), style="dim"))
        for caller in callers.get(candidate.service, ()):
            branch.add(Text("called by ").append_text(_state(caller, now)))
    return tree


def _state(name: str, now: Observation) -> Text:
    service = now.services.get(name)
    status = service.status if service else "not measured"
    figures = health_figures(service) if service else ()
    return Text(printable(f"{name} [{', '.join((status, *figures))}]"), style=_COLOURS.get(status, ""))


def _strength(candidate: Candidate) -> str:
    if candidate.probability is None:
        return f"  score {candidate.score:.2f}"
    return f"  {'█' * round(_BAR * candidate.probability)} {candidate.probability:.0%}"


def _callers(call_graph: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    callers: dict[str, list[str]] = {}
    for caller, callees in call_graph.items():
        for callee in callees:
            callers.setdefault(callee, []).append(caller)
    return callers
