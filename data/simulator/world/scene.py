"""The state of an incident, which actions read and change."""

from data.simulator.physics import Physics, State
from data.simulator.world.logs import Voice, Wording
from data.simulator.world.scenario import Setup
from data.simulator.world.telemetry import Sensors


class Scene:
    """The services of one incident, their sensors, and the lasting effects of actions."""

    state: State  # the truth at this tick

    def __init__(self, setup: Setup, wording: Wording) -> None:
        rng = setup.rng
        self.setup = setup
        self.physics = Physics(setup.topology, setup.fleet)
        self.sensors = Sensors(setup)
        self.tick = 0
        self.cheap_investigations = 0
        self.broken_until: dict[int, int] = {}  # {callee: tick at which its circuit closes}
        roots = {fault.service for fault in setup.faults}
        self.lying = frozenset(
            i
            for i in range(len(setup.topology.names))
            if i not in roots
            and rng.random() < setup.config.lying_logs * (3 if i in setup.red_herrings else 1)
        )
        # A separate stream, so that log wordings don't change the other random numbers.
        self.voice = Voice(wording, int(rng.spawn(1)[0].integers(2**32)))
