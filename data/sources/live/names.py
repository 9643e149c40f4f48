"""Unifies names: pods, workloads, addresses and instrumentations' names become one name each."""

import re
from collections.abc import Iterable

from data.sources import conventions
from data.sources.live.queries import By
from data.sources.recording import NOBODY

_INFRASTRUCTURE = re.compile(conventions.INFRASTRUCTURE)
_HASHED = re.compile(r"(.+?)-[0-9a-f]{5,10}-[a-z0-9]{5}")  # deployment-replicaset-pod
_NUMBERED = re.compile(r"(.+?)-(?:\d{1,4}|[a-z0-9]{5})")  # statefulset-0, daemonset-x7k2p
_IN_CLUSTER = re.compile(r"([^.]+)(?:\.[^.]+)*\.(?:svc|pod|cluster|local|internal|consul)(?:\..*)?")


class Names:
    """Maps every name to a service (or to a pod, if suspects are pods)."""

    def __init__(self, by: By) -> None:
        self._by = by
        self._services: set[str] = set()
        self._owner: dict[str, str] = {}  # {pod: service}
        self._pods: dict[str, set[str]] = {}  # {service: pods}
        self._address: dict[str, tuple[str, str]] = {}  # {host or host:port: (service, pod)}
        self._known: dict[str, str] = {}

    def service(self, name: str) -> None:
        """Adds a service."""
        self._services.add(_bare(name))

    def pod(self, pod: str, service: str) -> None:
        """Adds a pod of a service; the first mention counts."""
        pod, service = _bare(pod), _bare(service)
        if pod and service and pod not in self._owner:
            self._owner[pod] = service
            self._pods.setdefault(service, set()).add(pod)
            self._services.add(service)

    def address(self, address: str, service: str, pod: str = "") -> None:
        """Adds the address of a service: host:port of a scrape, or a pod's address."""
        for one in {address, address.rpartition(":")[0]} - {"", "127.0.0.1", "localhost"}:
            self._address.setdefault(one, (_bare(service), _bare(pod)))

    def owners(self, names: Iterable[str]) -> dict[str, str]:
        """The services of those names that are pods."""
        return {
            name: self._owner[name] for name in names if name in self._owner and self._owner[name] != name
        }

    def replicas(self, service: str) -> list[str]:
        """The pods of a service; none if the service counts as one suspect."""
        pods = self._pods.get(service, set())
        return sorted(pods) if self._by == "pod" and len(pods) > 1 else []

    def resolve(self, name: str, pod: str = "") -> str:
        """The unified name of a service, a pod or an address; "" if it is none."""
        key = f"{name}\n{pod}"
        if key not in self._known:
            self._known[key] = self._resolve(_bare(name), _bare(pod))
        return self._known[key]

    def _resolve(self, name: str, pod: str) -> str:
        if pod and self._by == "pod":
            service = self._owner.get(pod) or self._resolve(name, "")
            return pod if pod in self.replicas(service) else service
        if name in NOBODY:
            return ""
        if name in self._address:
            service, told = self._address[name]
            return told if told in self.replicas(service) else service
        if name in self._owner:
            owner = self._owner[name]
            return name if name in self.replicas(owner) else owner
        if name in self._services:
            return name
        host = re.sub(r":\d+$", "", name)
        inside = _IN_CLUSTER.fullmatch(host)
        first = host.partition(".")[0]
        if host != name or inside:
            return self._resolve(inside[1] if inside else host, "")
        if first != host and first in (self._services | self._owner.keys()):
            return self._resolve(first, "")
        hashed, numbered = _HASHED.fullmatch(name), _NUMBERED.fullmatch(name)
        if hashed:
            return hashed[1]
        if numbered and numbered[1] in self._services:
            return numbered[1]
        return name


def infrastructure(name: str) -> bool:
    """Whether this is part of monitoring."""
    return _INFRASTRUCTURE.fullmatch(name) is not None


def _bare(name: str) -> str:
    """Without a scheme, a namespace ("shop/orders") or blanks around."""
    return re.sub(r"^\w+://", "", name.strip()).rstrip("/").rpartition("/")[2]
