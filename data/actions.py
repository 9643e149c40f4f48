"""The vocabulary of actions: their names, what they do, and which of them change a service."""

from collections.abc import Mapping
from typing import NamedTuple

from data.observation import Action


class LiveRemedy(NamedTuple):
    """A remedy that one kubectl command does, and another can undo."""

    advice: str
    recommended: str  # after "recommend"
    arguments: tuple[str, ...]  # of kubectl; {replicas} is one more than there are


class RemedyKind(NamedTuple):
    """A change to a service."""

    does: str  # to its target, in neutral words that don't suggest when to use it
    done: str
    live: LiveRemedy | None = None  # None: never recommended for a live system


REMEDIES: Mapping[str, RemedyKind] = {
    "restart_service": RemedyKind(
        "restart its processes",
        "Restarted {service}.",
        LiveRemedy("Restart {service}.", "restarting it", ("rollout", "restart", "{target}")),
    ),
    "rollback_deploy": RemedyKind(
        "go back to the version before the last deployment",
        "Rolled back the latest deployment of {service}.",
        LiveRemedy(
            "Go back to the previous version of {service}.",
            "going back to its previous version",
            ("rollout", "undo", "{target}"),
        ),
    ),
    "revert_config": RemedyKind(
        "go back to the configuration before the last change",
        "Reverted the latest configuration of {service}.",
    ),
    "scale_replicas": RemedyKind(
        "give it more memory and replicas",
        "Scaled {service}: memory limit and replicas doubled.",
        LiveRemedy(
            "Run one more replica of {service}.",
            "one more replica",
            ("scale", "--replicas={replicas}", "{target}"),
        ),
    ),
    "circuit_break": RemedyKind(
        "cut the calls to it for a while",
        "Circuit opened: callers of {service} do without it for 3 ticks.",
    ),
    "extend_timeout": RemedyKind(
        "let its callers wait longer",
        "Callers of {service} wait twice as long before they give up.",
    ),
    "rebalance_load": RemedyKind("spread its requests anew", "Load on {service} spread evenly."),
    "traffic_shift": RemedyKind(
        "move its traffic elsewhere", "Part of the traffic of {service} shifted to other instances."
    ),
}
LIVE_REMEDIES = {name: kind.live for name, kind in REMEDIES.items() if kind.live}

INVESTIGATIONS = ("fetch_logs", "get_metrics_detail", "trace_dependencies")
DEEP_INVESTIGATIONS = ("strace_process", "inspect_commit_diff", "thread_dump")
LOOKS = INVESTIGATIONS + DEEP_INVESTIGATIONS
CONCLUSIONS = ("declare_resolved", "escalate")
# The original server knows a few more, which are not offered.
ACTION_TYPES = LOOKS + tuple(REMEDIES) + CONCLUSIONS

RESOLVE = Action(action_type="declare_resolved")
ESCALATE = Action(action_type="escalate")

# What each action does to its target, in neutral words that don't suggest when to use it.
DESCRIPTIONS = {
    "fetch_logs": "read its recent log lines",
    "get_metrics_detail": "read its metrics over the last ticks",
    "trace_dependencies": "list its callers and callees",
    "declare_resolved": "end the incident",
    "escalate": "call in another team",
    **{name: kind.does for name, kind in REMEDIES.items()},
    "strace_process": "trace its system calls",
    "inspect_commit_diff": "read the last commit's changes",
    "thread_dump": "read what its threads are doing",
}


def action_space(logs_fetched: bool) -> tuple[str, ...]:
    """The available action types; deep investigations need fetched logs."""
    return INVESTIGATIONS + CONCLUSIONS + tuple(REMEDIES) + (DEEP_INVESTIGATIONS if logs_fetched else ())


def takes_target(action_type: str) -> bool:
    """Whether the action is aimed at a service."""
    return action_type not in CONCLUSIONS


def is_remedy(action: Action) -> bool:
    """Whether the action changes a service; recordings may hold remedies that are not offered."""
    return action.target_service is not None and action.action_type not in LOOKS + CONCLUSIONS
