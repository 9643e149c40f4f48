"""The agent: prompt, model, rules, loop, trajectories, ablation, reports and the command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.api import explain, rank, read

__all__ = ["explain", "rank", "read"]


def __getattr__(name: str) -> object:
    """Loads `agent.api` on first use, because commands don't need it."""
    if name not in __all__:
        raise AttributeError(f"module 'agent' has no attribute '{name}'")
    from agent import api

    return getattr(api, name)
