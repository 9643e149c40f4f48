"""Remedies as exact kubectl commands."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from data.actions import LIVE_REMEDIES

Execute = Callable[[Sequence[str]], Awaitable[bytes]]  # runs kubectl with these arguments; returns its output


@dataclass(frozen=True)
class RemedyCommand:
    """A remedy for one service."""

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
        context: of kubectl; "" for the current one.
        target: a service's workload for kubectl, such as "statefulset/db".
        replicas: of a service; None if unknown.
    """

    namespace: str
    context: str
    target: Callable[[str], str]
    replicas: Callable[[str], int | None]

    def remedy(self, kind: str, service: str) -> RemedyCommand:
        """The command for an action type and service."""
        target, now = self.target(service), self.replicas(service)
        replicas = "N" if now is None else now + 1  # kubectl refuses N, so the user must fill in the number
        where = ("-n", self.namespace) if self.namespace else ()
        live = LIVE_REMEDIES[kind]
        command = (part.format(target=target, replicas=replicas) for part in live.arguments)
        return RemedyCommand(service, live.advice.format(service=service), (*where, *command), self.context)
