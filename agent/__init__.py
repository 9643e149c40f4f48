"""What we do about it: prompt, model, rules, loop, trajectories, ablation, report and the command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.api import explain, rank, read

__all__ = ["explain", "rank", "read"]


def __getattr__(name: str) -> object:
    """The verbs for notebooks, loaded when the first is used: commands and helpers need none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'agent' has no attribute '{name}'")
    from agent import api

    return getattr(api, name)
