"""A policy that knows the answer, to measure the best possible score; never for an agent."""

from data.actions import RESOLVE
from data.observation import Action
from data.simulator.world.world import RunningEpisode


def next_action(episode: RunningEpisode) -> Action:
    """Cures the faults one by one, waits until all services have recovered, then resolves."""
    names = episode.setup.topology.names
    for fault in episode.setup.faults:
        if not fault.halted and fault.minutes > 0.0:
            return Action(action_type=fault.family.cure, target_service=names[fault.service])
    if episode.ails:
        return Action(action_type="get_metrics_detail", target_service=names[episode.setup.faults[0].service])
    return RESOLVE
