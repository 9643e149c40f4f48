"""Runs kubectl with limits on time and size: to read a cluster and, if allowed, to act."""

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from data.errors import SchemaError, TelemetryFault
from data.files.json_text import NotJson, read_json
from data.sources.cluster import Cluster
from data.sources.files.reader import tell_changes
from data.sources.live.names import Names
from data.sources.log_lines import LogLines, telling
from data.sources.recording import Recording
from data.sources.samples import Samples

CURRENT = "current"  # the context that kubectl has in use
_KINDS = "deployments,statefulsets,daemonsets,replicasets,pods,events"  # owners before what they own
_LARGEST = 256_000_000  # bytes of one answer
_LINES = 500


class Kubectl:
    """Asks the cluster that kubectl reaches; implements `LogSource`.

    Args:
        context: of kubectl's configuration; "current" for the one in use.
        namespace: the only one to read; "" for all.
        timeout_s: for one answer.
        window_s: how far back log lines go.
    """

    def __init__(self, context: str, namespace: str, timeout_s: float, window_s: float) -> None:
        self.context = "" if context == CURRENT else context
        self._context = ("--context", self.context) if self.context else ()
        self._where = ("-n", namespace) if namespace else ()
        self._timeout_s, self._window_s = timeout_s, window_s
        self.cluster: Cluster | None = None

    async def read(self) -> Cluster:
        """Reads everything about the workloads.

        Raises:
            TelemetryFault: kubectl is not there, or gets no usable answer.
        """
        where = self._where or ("--all-namespaces",)
        body = await self.run(("get", _KINDS, *where, "-o", "json"))
        try:
            answer = read_json(body)
        except NotJson as error:
            raise TelemetryFault(f"kubectl did not answer with JSON ({error})") from None
        objects = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(objects, list):
            raise TelemetryFault("kubectl did not answer with a list of objects")
        cluster = Cluster(Samples().workload)
        try:
            cluster.take(objects, "kubectl get")
        except SchemaError as error:
            raise TelemetryFault(str(error)) from None
        self.cluster = cluster
        return cluster

    async def lines(self, service: str) -> LogLines:
        """See `LogSource`."""
        bounds = (f"--since={self._window_s:.0f}s", f"--tail={_LINES}", "--all-containers")
        asked = ("logs", self.target(service), *bounds)
        body = await self.run((*self._where, *asked))
        return LogLines(telling(body.decode("utf-8", "replace").splitlines()), self.shell(*asked))

    def shell(self, *arguments: str) -> str:
        """The command line of a query."""
        return shlex.join(("kubectl", *self._context, *self._where, *arguments))

    def target(self, service: str) -> str:
        """The name of a service for kubectl: its workload or pod."""
        is_pod = self.cluster is not None and service in self.cluster.owners
        return f"pod/{service}" if is_pod else self.workload(service)

    def workload(self, service: str) -> str:
        """The name of a service's or pod's workload for kubectl."""
        if self.cluster is None:
            return f"deployment/{service}"
        workload = self.cluster.workload(service)
        return f"{self.cluster.kinds.get(workload, 'deployment')}/{workload}"

    def replicas(self, service: str) -> int | None:
        """The wanted number of replicas of a service; None if unknown."""
        return self.cluster.replicas.get(self.cluster.workload(service)) if self.cluster else None

    async def run(self, arguments: Sequence[str]) -> bytes:
        """The output of `kubectl arguments…`.

        Raises:
            TelemetryFault: it is not installed, fails, takes too long or prints too much.
        """
        try:
            pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(
                "kubectl",
                *self._context,
                *arguments,
                stdin=nothing,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
            )
        except OSError as error:
            raise TelemetryFault(f"kubectl cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                body, told = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
                await process.wait()
        except TimeoutError:
            raise TelemetryFault(f"kubectl did not answer within {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with its plugins for logging in
                await process.wait()
        if process.returncode:
            said = told.decode("utf-8", "replace").split("\n")
            reasons = [
                " ".join(line.split())[:200] for line in said if line.strip()
            ]  # the last is for people
            raise TelemetryFault(f"kubectl failed: {(reasons or [f'status {process.returncode}'])[-1]}")
        return body


def supplement_cluster(recording: Recording, cluster: Cluster, names: Names, since_s: float) -> None:
    """Adds what a cluster knows to a recording: owners, recent warnings, rollouts of known services."""
    for pod in cluster.owners:
        names.pod(pod, cluster.workload(pod))
    for event, began_s in cluster.alerts(since_s):
        recording.alert(replace(event, service=names.resolve(event.service) or event.service), began_s)
    known = set(recording.names)
    rollouts: dict[str, list[float]] = {}
    for one in cluster.happened:
        name = names.resolve(one.workload)
        if one.is_rollout and one.time_s is not None and name in known:
            rollouts.setdefault(name, []).append(one.time_s)
    for name, times in rollouts.items():
        if "deploy_age_s" not in recording.services.get(name, {}):
            tell_changes(recording, name, sorted(times))


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    parts, size = list[bytes](), 0
    while stream is not None and (part := await stream.read(1 << 16)):
        parts.append(part)
        size += len(part)
        if size > _LARGEST:
            raise TelemetryFault(f"kubectl printed more than {_LARGEST / 1e6:.0f} MB: choose one --namespace")
    return b"".join(parts)
