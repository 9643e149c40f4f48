"""Remedies as exact commands: recommended to a person, carried out only by who was given the means."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Execute = Callable[[Sequence[str]], Awaitable[bytes]]  # runs kubectl with these arguments; what it says

# Only what one command of Kubernetes does, and undoes.
REMEDY_WORDS = {
    "restart_service": "Restart {service}.",
    "rollback_deploy": "Go back to the previous version of {service}.",
    "scale_replicas": "Run one more replica of {service}.",
}


@dataclass(frozen=True)
class RemedyCommand:
    """A remedy of one service."""

    service: str
    words: str
    arguments: tuple[str, ...]  # of kubectl
    context: str = ""

    @property
    def shell(self) -> str:
        """The command as it is typed."""
        context = ("--context", self.context) if self.context else ()
        return shlex.join(("kubectl", *context, *self.arguments))


@dataclass(frozen=True)
class RemedyPlace:
    """Where services run.

    Args:
        namespace: "" for kubectl's own.
        context: which of kubectl's clusters; "" for the one in use.
        target: how kubectl is told of what runs a service, such as "statefulset/db".
        replicas: of a service; None where that is not known.
    """

    namespace: str
    context: str
    target: Callable[[str], str]
    replicas: Callable[[str], int | None]

    def remedy(self, kind: str, service: str) -> RemedyCommand:
        """What an action's type means for a service there."""
        target, now = self.target(service), self.replicas(service)
        replicas = "N" if now is None else now + 1  # kubectl takes no N: whoever knows the number types it
        where = ("-n", self.namespace) if self.namespace else ()
        ends = {
            "restart_service": ("rollout", "restart", target),
            "rollback_deploy": ("rollout", "undo", target),
            "scale_replicas": ("scale", f"--replicas={replicas}", target),
        }
        words = REMEDY_WORDS[kind].format(service=service)
        return RemedyCommand(service, words, (*where, *ends[kind]), self.context)
