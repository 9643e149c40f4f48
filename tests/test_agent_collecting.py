"""Playing an episode with any policy saves what was seen, done and answered."""

import asyncio

from agent.play.collecting import episode_of
from agent.play.episode import play_task
from agent.situation.decision import Decision, Situation
from data.actions import RESOLVE
from data.episodes import Episode
from data.labels import apply_labels
from data.observation import Action, Outcome, Step, Task, parse_step
from gnn.registry import make_ranker

TASK = Task(difficulty="easy", seed=1, max_ticks=4)
LOOK = Action(action_type="fetch_logs", target_service="db")
CURE = Action(action_type="restart_service", target_service="db")


class Sick:
    """A world with one service that fails until restarted; ends on request."""

    name = "sick"

    def __init__(self):
        self.error_rate = 0.8
        self.tick = 0

    async def reset(self, task):
        self.__init__()
        return self._answer(done=False)

    async def step(self, action):
        self.tick += 1
        if action == CURE:
            self.error_rate = 0.0
        return self._answer(done=action.action_type == "declare_resolved")

    async def aclose(self):
        pass

    def _answer(self, done) -> Step:
        services = {"db": {"http_server_error_rate": self.error_rate}}
        raw = {"observation": {"services": services, "sim_tick": self.tick}, "done": done}
        step = parse_step(raw, "test")
        return Step(step.observation, done, f"tick {self.tick}", outcome=Outcome(score=0.9 if done else None))


class OpenlySick(Sick):
    """The same, but it reports the broken service."""

    def root_causes(self):
        return ("db", "cache")

    def fault_types(self):
        return ("oom", "disk_full")


class Scripted:
    """Takes these actions, repeating the last one."""

    name = "scripted"

    def __init__(self, *actions: Action) -> None:
        self.actions = actions
        self.seen: list[tuple[int, tuple[str, ...]]] = []

    async def decide(self, situation: Situation) -> Decision:
        self.seen.append((len(situation.window), tuple(step.feedback for step in situation.steps)))
        return Decision(self.actions[min(len(situation.steps), len(self.actions) - 1)], "rules")


def collected(environment: Sick, policy: Scripted) -> Episode:
    ranker = make_ranker("none")
    result = asyncio.run(play_task(environment, ranker, policy, TASK, 10.0, lambda _: None))
    (episode,) = apply_labels([episode_of(result, environment.name, policy.name)])
    return episode


def test_the_episode_holds_what_was_seen_and_done() -> None:
    policy = Scripted(LOOK, CURE, LOOK, RESOLVE)
    episode = collected(Sick(), policy)
    told = ("tick 1", "tick 2", "tick 3")
    assert policy.seen == [(k + 1, told[:k]) for k in range(4)]
    assert [str(action) for action in episode.actions][:2] == ["fetch_logs:db", "restart_service:db"]
    assert [o.sim_tick for o in episode.observations] == [0, 1, 2, 3, 4]
    assert (episode.source, episode.policy, episode.score) == ("sick", "scripted", 0.9)
    assert episode.labels is not None
    assert (episode.labels.origin, episode.labels.root_causes) == ("outcome", ("db",))


def test_an_episode_out_of_time_is_closed_by_one_resolve() -> None:
    episode = collected(Sick(), Scripted(LOOK))
    assert [str(action) for action in episode.actions] == ["fetch_logs:db"] * 4 + ["declare_resolved"]
    assert episode.score == 0.9 and episode.labels is None


def test_the_environment_s_word_wins() -> None:
    episode = collected(OpenlySick(), Scripted(CURE))
    assert episode.labels is not None
    assert episode.labels.origin == "environment"
    assert episode.labels.root_causes == ("db", "cache")
    assert episode.labels.fault_types == ("oom", "disk_full")
