"""The vocabulary of actions: their names, what they do, and which of them change a service."""

from data.observation import Action

INVESTIGATIONS = ("fetch_logs", "get_metrics_detail", "trace_dependencies")
DEEP_INVESTIGATIONS = ("strace_process", "inspect_commit_diff", "thread_dump")
LOOKS = INVESTIGATIONS + DEEP_INVESTIGATIONS
REMEDIES = (
    "restart_service", "rollback_deploy", "revert_config", "scale_replicas", "circuit_break",
    "extend_timeout", "rebalance_load", "traffic_shift",
)  # fmt: skip
CONCLUSIONS = ("declare_resolved", "escalate")
# The original server knows a few more, which are not offered.
ACTION_TYPES = LOOKS + REMEDIES + CONCLUSIONS

RESOLVE = Action(action_type="declare_resolved")
ESCALATE = Action(action_type="escalate")

# What each action does to its target, in neutral words that don't suggest when to use it.
DESCRIPTIONS = {
    "fetch_logs": "read its recent log lines",
    "get_metrics_detail": "read its metrics over the last ticks",
    "trace_dependencies": "list its callers and callees",
    "declare_resolved": "end the incident",
    "escalate": "call in another team",
    "restart_service": "restart its processes",
    "rollback_deploy": "go back to the version before the last deployment",
    "revert_config": "go back to the configuration before the last change",
    "scale_replicas": "give it more memory and replicas",
    "circuit_break": "cut the calls to it for a while",
    "extend_timeout": "let its callers wait longer",
    "rebalance_load": "spread its requests anew",
    "traffic_shift": "move its traffic elsewhere",
    "strace_process": "trace its system calls",
    "inspect_commit_diff": "read the last commit's changes",
    "thread_dump": "read what its threads are doing",
}


def action_space(logs_fetched: bool) -> tuple[str, ...]:
    """The available action types; deep investigations need fetched logs."""
    return INVESTIGATIONS + CONCLUSIONS + REMEDIES + (DEEP_INVESTIGATIONS if logs_fetched else ())


def takes_target(action_type: str) -> bool:
    """Whether the action is aimed at a service."""
    return action_type not in CONCLUSIONS


def is_remedy(action: Action) -> bool:
    """Whether the action changes a service; recordings may hold remedies that are not offered."""
    return action.target_service is not None and action.action_type not in LOOKS + CONCLUSIONS
