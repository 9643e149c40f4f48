"""The environment contract as code: named rules to check any implementation against.

results = await check_environment(EmbeddedEnvironment())  # or any other Environment
results += await check_server("http://localhost:8000")  # the protocol below it
"""

from collections.abc import Awaitable

from data.actions import ESCALATE, RESOLVE
from data.contract.rule import Broken, ContractRule, ContractRules, RuleResult, demand
from data.contract.trace_rules import Moment, check_traces
from data.environment import Environment
from data.errors import ActionRefused, EpisodeLost, FirewatchError, TaskRefused
from data.observation import DIFFICULTIES, Action, Task

MAX_TICKS = {"easy": 20, "medium": 30, "hard": 40}
SERVICE_COUNTS = {"easy": (3, 3), "medium": (5, 5), "hard": (7, 10)}

# Long enough to overflow the history, short enough for every step limit.
_SCRIPT = ("fetch_logs", "get_metrics_detail", "trace_dependencies", "restart_service")
_SCRIPT_LENGTH = 12

PLAY_RULES = ContractRules[Awaitable[None]]()


async def check_environment(environment: Environment) -> tuple[RuleResult, ...]:
    """Checks an environment against every rule; the caller closes it.

    Args:
        environment: freshly opened, not reset yet.
    """
    results = [rule.verdict(await _why(rule, environment)) for rule in PLAY_RULES]
    traces: list[list[Moment]] = []
    stopped = None
    for difficulty in DIFFICULTIES:
        trace: list[Moment] = []
        traces.append(trace)
        try:
            await _play(environment, _task(difficulty, seed=4), trace)
        except FirewatchError as error:
            stopped = f"{difficulty}: {error}"
    through = RuleResult(
        "an-episode-plays-through", "A dozen ordinary actions are all answered.", not stopped, stopped or ""
    )
    return (through, *check_traces(traces), *results)


async def _why(rule: ContractRule[Awaitable[None]], environment: Environment) -> str | None:
    try:
        await rule.holds(environment)
    except (Broken, FirewatchError) as error:
        return str(error)
    return None


def _task(difficulty: str = "easy", seed: int = 0, task_id: str | None = None) -> Task:
    return Task.model_validate(
        {
            "difficulty": difficulty,
            "seed": seed,
            "task_id": task_id,
            "max_ticks": MAX_TICKS[difficulty],
        }
    )


async def _play(environment: Environment, task: Task, trace: list[Moment]) -> None:
    """Plays a fixed script of ordinary actions, resolves, and records every moment in `trace`."""
    step = await environment.reset(task)
    trace.append(Moment(None, step))
    names = list(step.observation.services)
    for number in range(_SCRIPT_LENGTH):
        kind = _SCRIPT[number % len(_SCRIPT)]
        action = Action(action_type=kind, target_service=names[number // len(_SCRIPT) % len(names)])
        trace.append(Moment(action, await environment.step(action)))
    trace.append(Moment(RESOLVE, await environment.step(RESOLVE)))


async def _refused(answer: Awaitable[object], by: type[FirewatchError], otherwise: str) -> str:
    """The reason of the refusal; without one the rule is broken."""
    try:
        await answer
    except by as reason:
        return str(reason)
    raise Broken(otherwise)


@PLAY_RULES
async def nothing_happens_before_a_reset(environment: Environment) -> None:
    """A step before the first reset is refused: there is no episode."""
    await _refused(environment.step(ESCALATE), EpisodeLost, "a step before the first reset was answered")


@PLAY_RULES
async def the_same_seed_is_the_same_episode(environment: Environment) -> None:
    """The same task, seed and actions bring the same observations and the same score."""
    one: list[Moment] = []
    other: list[Moment] = []
    await _play(environment, _task("medium", seed=11), one)
    await _play(environment, _task("medium", seed=11), other)
    for first, second in zip(one, other, strict=True):
        tick = first.observation.sim_tick
        demand(first.observation == second.observation, f"two plays of one seed differ at tick {tick}")
    demand(
        one[-1].step.outcome.score == other[-1].step.outcome.score, "two plays of one seed score differently"
    )


@PLAY_RULES
async def seeds_differ(environment: Environment) -> None:
    """Different seeds bring different episodes."""
    seen = [(await environment.reset(_task("hard", seed))).observation.services for seed in range(3)]
    demand(any(services != seen[0] for services in seen[1:]), "seeds 0, 1 and 2 look the same")


@PLAY_RULES
async def difficulties_have_their_sizes(environment: Environment) -> None:
    """Easy episodes have 3 services, medium ones 5, hard ones 7 to 10."""
    for difficulty, (least, most) in SERVICE_COUNTS.items():
        size = len((await environment.reset(_task(difficulty, seed=2))).observation.services)
        demand(least <= size <= most, f"{difficulty}: {size} services")


@PLAY_RULES
async def unknown_tasks_are_refused(environment: Environment) -> None:
    """A task that is not in the catalogue is refused with the reason."""
    unknown = _task(task_id="task_nobody_knows")
    reason = await _refused(environment.reset(unknown), TaskRefused, "an unknown task was started")
    demand("task_nobody_knows" in reason, f"the reason does not name the task: {reason}")


@PLAY_RULES
async def a_target_that_is_no_service_spends_a_tick(environment: Environment) -> None:
    """A remedy for an unknown service, or for none, does nothing but spend a tick, and says so."""
    await environment.reset(_task())
    for tick, target in ((2, "no-such-service"), (3, None)):
        step = await environment.step(Action(action_type="restart_service", target_service=target))
        demand(step.observation.sim_tick == tick, f"target {target}: tick {step.observation.sim_tick}")
        demand(bool(step.error), f"target {target}: no complaint")
        demand(not step.done, f"target {target}: the episode ended")


@PLAY_RULES
async def unknown_actions_are_refused(environment: Environment) -> None:
    """An action that the protocol does not know is refused, costs nothing, and the episode goes on."""
    before = await environment.reset(_task())
    unknown = Action(action_type="no_such_action")
    await _refused(environment.step(unknown), ActionRefused, "an unknown action was answered")
    after = await environment.step(ESCALATE)
    ticks = after.observation.sim_tick - before.observation.sim_tick
    demand(ticks == 1, f"a refused action and a step moved the world by {ticks} ticks")


@PLAY_RULES
async def what_is_over_stays_over(environment: Environment) -> None:
    """A step after the end is refused: the episode is over until the next reset."""
    await environment.reset(_task())
    await environment.step(RESOLVE)
    await _refused(environment.step(ESCALATE), EpisodeLost, "a step after the end was answered")


@PLAY_RULES
async def the_step_limit_ends_the_episode(environment: Environment) -> None:
    """An episode ends at its last tick at the latest, with a score."""
    step = await environment.reset(_task())
    for _ in range(MAX_TICKS["easy"]):
        step = await environment.step(ESCALATE)
        if step.done:
            demand(step.outcome.score is not None, "the step limit ended the episode without a score")
            return
    raise Broken(f"tick {step.observation.sim_tick} of an easy episode is not its last")


@PLAY_RULES
async def a_reset_starts_over(environment: Environment) -> None:
    """A reset in the middle of an episode shows what the first one showed."""
    first = await environment.reset(_task("medium", seed=5))
    for kind in ("restart_service", "fetch_logs"):
        target = next(iter(first.observation.services))
        await environment.step(Action(action_type=kind, target_service=target))
    again = await environment.reset(_task("medium", seed=5))
    demand(again.observation == first.observation, "something of the old episode was left after a reset")
