"""The policy that knows the answer: for measuring what a world allows, never for an agent."""

from data.observation import Action
from data.simulator.world.actions import INVESTIGATIONS
from data.simulator.world.world import Episode


def next_action(episode: Episode) -> Action:
    """Cures the faults one after the other, waits until nothing ails, then resolves."""
    names = episode.setup.topology.names
    for fault in episode.setup.faults:
        if not fault.halted and fault.minutes > 0.0:
            return Action(action_type=fault.family.cure, target_service=names[fault.service])
    if episode.ails:
        return Action(action_type=INVESTIGATIONS[1], target_service=names[episode.setup.faults[0].service])
    return Action(action_type="declare_resolved")
