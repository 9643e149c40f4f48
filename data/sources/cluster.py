"""What Kubernetes knows about a system: owners of pods, rollouts and warnings.

Objects as `kubectl get … -o json` writes them: apps/v1, v1 and events of both kinds (kubernetes.io/docs).
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pydantic import AliasChoices, AliasPath, BaseModel, Field

from data.incident import AlertEvent
from data.observation import parse
from data.sources.times import iso_time, seconds

_ROLLOUT = "ScalingReplicaSet"  # an event of a Deployment: that it rolls out
_GROWS_FROM_ZERO = "from 0"  # another ReplicaSet begins: a rollout, not a change of scale
_REVISION = "deployment.kubernetes.io/revision"
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_LONGEST = 200  # characters of a message


class _About(BaseModel):
    kind: str = ""
    name: str = ""


class _Terminated(BaseModel):
    reason: str = ""
    exitCode: int | None = None
    finishedAt: str | None = None


class _Container(BaseModel):
    restartCount: int = 0
    ended: _Terminated | None = Field(None, validation_alias=AliasPath("lastState", "terminated"))
    waiting: str = Field("", validation_alias=AliasPath("state", "waiting", "reason"))


class _Image(BaseModel):
    image: str = ""


class _Object(BaseModel):
    """Any of the objects; each has some of the fields."""

    kind: str = ""
    name: str = Field("", validation_alias=AliasPath("metadata", "name"))
    created: str | None = Field(None, validation_alias=AliasPath("metadata", "creationTimestamp"))
    owner: str = Field("", validation_alias=AliasPath("metadata", "ownerReferences", 0, "name"))
    revision: str = Field("", validation_alias=AliasPath("metadata", "annotations", _REVISION))
    replicas: int | None = Field(None, validation_alias=AliasPath("spec", "replicas"))
    images: tuple[_Image, ...] = Field(
        (), validation_alias=AliasPath("spec", "template", "spec", "containers")
    )
    containers: tuple[_Container, ...] = Field((), validation_alias=AliasPath("status", "containerStatuses"))
    # Of events; those of events.k8s.io/v1 have other names for some.
    about: _About | None = Field(None, validation_alias=AliasChoices("involvedObject", "regarding"))
    reason: str = ""
    message: str | None = Field(None, validation_alias=AliasChoices("message", "note"))
    type: str = "Normal"
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    eventTime: str | None = None


class Happening(NamedTuple):
    """Something that happened to a workload."""

    workload: str
    time_s: float | None  # Unix, of the last time; None where that is not known
    text: str
    alert: str = ""  # the name of the alert, if it is a warning
    began_s: float | None = None
    is_rollout: bool = False


class _Revision(NamedTuple):
    number: int
    time_s: float | None
    images: tuple[str, ...]


class Cluster:
    """Collects objects.

    Args:
        workload_of: the workload of a pod, judged by its name or a metric.
    """

    def __init__(self, workload_of: Callable[[str], str]) -> None:
        self._workload_of = workload_of
        self.owners: dict[str, str] = {}  # {pod or replica set: what owns it}
        self.kinds: dict[str, str] = {}  # {workload: "deployment", …}
        self.replicas: dict[str, int] = {}  # {workload: how many are wanted}
        self.happened: list[Happening] = []
        self._revisions: dict[str, list[_Revision]] = {}

    def take(self, objects: Iterable[object], where: str) -> None:
        """Reads objects; owners must come before what they own, as kubectl lists them.

        Raises:
            SchemaError: one is of another form.
        """
        for raw in objects:
            one = parse(_Object, raw, where)
            if one.about:
                self._event(one, one.about)
            elif one.kind in _WORKLOADS:
                self.kinds[one.name] = one.kind.lower()
                if one.replicas is not None:
                    self.replicas[one.name] = one.replicas
            elif one.kind in ("ReplicaSet", "Pod") and one.owner:
                self.owners[one.name] = one.owner
                if one.kind == "ReplicaSet":
                    self._replica_set(one)
            if one.kind == "Pod":
                self._pod(one)
        self._rollouts()

    def workload(self, name: str) -> str:
        """The workload of a pod or replica set; any other name is returned unchanged."""
        if name in self.kinds:
            return name
        owner = self.owners.get(name)
        return self._workload_of(name) if owner is None else self.owners.get(owner, owner)

    def of(self, service: str) -> list[Happening]:
        """What happened to a workload or pod, latest first."""
        names = {service, self.workload(service)}
        mine = [one for one in self.happened if one.workload in names]
        return sorted(mine, key=lambda one: -(one.time_s or 0.0))

    def _replica_set(self, one: _Object) -> None:
        number = int(one.revision) if one.revision.isdecimal() else 0
        images = tuple(container.image for container in one.images)
        self._revisions.setdefault(one.owner, []).append(_Revision(number, seconds(one.created), images))

    def _rollouts(self) -> None:
        """The latest revision of each deployment that has an earlier one."""
        for workload, revisions in self._revisions.items():
            if len(revisions) < 2:
                continue
            before, latest = sorted(revisions, key=lambda one: (one.number, one.time_s or 0.0))[-2:]
            changed = (
                f"image {', '.join(latest.images)} instead of {', '.join(before.images)}"
                if latest.images != before.images
                else "with the same image"
            )
            text = f"{workload} was rolled out{_at(latest.time_s)}: revision {latest.number}, {changed}"
            self.happened.append(Happening(workload, latest.time_s, text, is_rollout=True))
        self._revisions.clear()

    def _pod(self, pod: _Object) -> None:
        name = pod.name
        for container in pod.containers:
            ended, waiting = container.ended, container.waiting
            if waiting.endswith(("BackOff", "Error", "ImagePull")):
                text = f"pod {name} is waiting: {waiting}"
                self.happened.append(Happening(self.workload(name), None, text, waiting))
            if ended and container.restartCount:
                when = seconds(ended.finishedAt)
                code = "" if ended.exitCode is None else f" (exit code {ended.exitCode})"
                text = f"pod {name} restarted {container.restartCount} times, last after {ended.reason}"
                text += f"{code}{_at(when)}"
                alert = ended.reason if ended.reason != "Completed" else ""
                self.happened.append(Happening(self.workload(name), when, text, alert, when))

    def _event(self, event: _Object, about: _About) -> None:
        if about.kind == "Node":
            return
        workload = self.workload(about.name)
        if about.kind == "ReplicaSet" and workload == about.name and "-" in workload:
            workload = workload.rpartition("-")[0]  # its name ends with a hash
        when = seconds(event.firstTimestamp or event.eventTime or event.created)
        latest = seconds(event.lastTimestamp) or when
        text = " ".join((event.message or "").split())[:_LONGEST]
        if event.type == "Warning" and workload:
            reason = event.reason or "Warning"
            said = f"warning {reason} about {about.kind.lower()} {about.name}{_at(latest)}: {text}"
            self.happened.append(Happening(workload, latest, said, reason, when))
            return
        is_new = _GROWS_FROM_ZERO in text or "from" not in text
        if event.reason == _ROLLOUT and when is not None and is_new:
            self.happened.append(Happening(workload, when, f"{workload}: {text}{_at(when)}", is_rollout=True))

    def alerts(self, since_s: float = float("-inf")) -> Iterable[tuple[AlertEvent, float | None]]:
        """The warnings since a time; one without a time holds now."""
        for one in self.happened:
            if one.alert and (one.time_s is None or one.time_s >= since_s):
                yield AlertEvent(one.workload, "metric", one.alert), one.began_s


def _at(time_s: float | None) -> str:
    return "" if time_s is None else f" at {iso_time(time_s)}"
