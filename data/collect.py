"""Plays an episode with any policy and keeps it, labelled where the environment tells what broke."""

from collections.abc import Callable, Sequence

from data.actions import RESOLVE
from data.environment import Environment, TellsTruth
from data.episodes import Episode, Labels
from data.labels import apply_labels
from data.observation import Action, Observation, Task

# Takes the observations so far, oldest first, and the feedback of each action so far.
CollectPolicy = Callable[[Sequence[Observation], Sequence[str]], Action]


async def play(environment: Environment, policy: CollectPolicy, task: Task, policy_name: str) -> Episode:
    """Plays `task` to its end, at most `task.max_ticks` actions, and returns it as an episode.

    An episode that is not over by then is closed with one `declare_resolved`, so that it has a grade. The
    label is the environment's own where it tells one, else what the outcome shows.

    Raises:
        EnvironmentFault: the environment gave no usable answer; nothing of the episode is kept.
    """
    step = await environment.reset(task)
    told = None
    if isinstance(environment, TellsTruth):
        told = Labels(
            root_causes=environment.root_causes(),
            origin="environment",
            fault_types=environment.fault_types(),
        )
    observations, actions, feedback = [step.observation], list[Action](), list[str]()
    score = step.outcome.score
    while not step.done and len(actions) <= task.max_ticks:
        out_of_time = len(actions) == task.max_ticks
        action = RESOLVE if out_of_time else policy(observations, feedback)
        step = await environment.step(action)
        observations.append(step.observation)
        actions.append(action)
        feedback.append(step.feedback)
        score = score if step.outcome.score is None else step.outcome.score
    episode = Episode(
        task=task,
        source=environment.name,
        policy=policy_name,
        observations=tuple(observations),
        actions=tuple(actions),
        feedback=tuple(feedback),
        score=score,
        labels=told,
    )
    return apply_labels([episode])[0]
