"""Remedies as exact commands: recommended to a person, carried out only by who was given the means."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Execute = Callable[[Sequence[str]], Awaitable[str]]  # runs a command; what it says

# Only what one command of Kubernetes does, and undoes.
REMEDY_WORDS = {
    "restart_service": "Restart {service}.",
    "rollback_deploy": "Go back to the version of {service} before the last one.",
    "scale_replicas": "Run one replica more of {service}.",
}


@dataclass(frozen=True)
class RemedyCommand:
    """A remedy of one service."""

    service: str
    words: str
    command: tuple[str, ...]

    @property
    def shell(self) -> str:
        """The command as it is typed."""
        return shlex.join(self.command)


def remedy_of(
    kind: str,
    service: str,
    namespace: str,
    context: str = "",
    workload: str = "",
    replicas: int | None = None,
) -> RemedyCommand:
    """What `kind` means for a service on Kubernetes.

    Args:
        kind: an action's type.
        service: whom it is for.
        namespace: where it runs; "" for kubectl's own.
        context: which of kubectl's clusters; "" for the one in use.
        workload: what runs it, such as "statefulset/db"; "" for a deployment of its name.
        replicas: how many run now; None where that is not known.
    """
    target = workload or f"deployment/{service}"
    start = (
        "kubectl",
        *(("--context", context) if context else ()),
        *(("-n", namespace) if namespace else ()),
    )
    ends = {
        "restart_service": ("rollout", "restart", target),
        "rollback_deploy": ("rollout", "undo", target),
        "scale_replicas": ("scale", f"--replicas={2 if replicas is None else replicas + 1}", target),
    }
    return RemedyCommand(service, REMEDY_WORDS[kind].format(service=service), (*start, *ends[kind]))
