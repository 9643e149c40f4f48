"""Playing an episode with any policy keeps what was seen, done and told."""

import asyncio

from data.collect import play
from data.observation import Action, Outcome, Step, Task, parse_step

TASK = Task(difficulty="easy", seed=1, max_ticks=4)
LOOK = Action(action_type="fetch_logs", target_service="db")
CURE = Action(action_type="restart_service", target_service="db")


class Sick:
    """A world with one service that fails until it is restarted, and ends when told so."""

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
    """The same, but it tells what broke."""

    def root_causes(self):
        return ("db", "cache")

    def fault_types(self):
        return ("oom", "disk_full")


def test_the_episode_holds_what_was_seen_and_done():
    seen = []

    def cure_second(observations, feedback):
        seen.append((len(observations), tuple(feedback)))
        return [LOOK, CURE, LOOK, Action(action_type="declare_resolved")][len(feedback)]

    episode = asyncio.run(play(Sick(), cure_second, TASK, "cure-second"))
    assert seen == [(1, ()), (2, ("tick 1",)), (3, ("tick 1", "tick 2")), (4, ("tick 1", "tick 2", "tick 3"))]
    assert [str(action) for action in episode.actions][:2] == ["fetch_logs:db", "restart_service:db"]
    assert [o.sim_tick for o in episode.observations] == [0, 1, 2, 3, 4]
    assert (episode.source, episode.policy, episode.score) == ("sick", "cure-second", 0.9)
    assert (episode.labels.origin, episode.labels.root_causes) == ("outcome", ("db",))


def test_an_episode_out_of_time_is_closed_by_one_resolve():
    episode = asyncio.run(play(Sick(), lambda observations, feedback: LOOK, TASK, "idle"))
    assert [str(action) for action in episode.actions] == ["fetch_logs:db"] * 4 + ["declare_resolved"]
    assert episode.score == 0.9 and episode.labels is None


def test_the_environment_s_word_wins():
    episode = asyncio.run(play(OpenlySick(), lambda observations, feedback: CURE, TASK, "cure"))
    assert episode.labels.origin == "environment"
    assert episode.labels.root_causes == ("db", "cache") and episode.labels.fault_types == (
        "oom",
        "disk_full",
    )
