"""The telemetry before the first look, and the sources of the looks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from agent.investigation.options import InvestigateOptions
from agent.investigation.remedies import RemedyPlace
from agent.investigation.telemetry_looks import Queries, Shown, TelemetryLooks
from agent.live_diagnosis import diagnose, seconds_of
from data.channels import ChannelMap
from data.errors import SettingsError, TelemetryFault
from data.incident import Incident
from data.sources.files.reading import read_evidence
from data.sources.live.access import access
from data.sources.live.example_trace import ExampleTraces
from data.sources.live.gather import Progress
from data.sources.live.http import Http
from data.sources.live.kubectl import Kubectl
from data.sources.live.loki import Loki
from data.sources.log_lines import LogFiles, LogSource
from data.sources.samples import Samples
from gnn.ranker import Ranker, Ranking

_HAPPENED = 6  # of what Kubernetes knows about a service

Ask = Callable[[str], Awaitable[list[Shown]]]  # asks one source about a service; may raise TelemetryFault


@dataclass(frozen=True)
class FirstLook:
    """Telemetry, ranked."""

    incident: Incident
    ranking: Ranking
    notes: tuple[str, ...]
    queries: Queries


async def first_look(
    asked: InvestigateOptions,
    variables: Mapping[str, str],
    ranker: Ranker,
    channels: ChannelMap,
    progress: Progress,
    kubectl: Kubectl | None,
) -> FirstLook:
    """Asks live telemetry, or reads the given files.

    Raises:
        TelemetryFault: no source answers.
        SettingsError: no source is given, or the files don't hold exactly one incident.
    """
    if asked.incident:
        return await _with_cluster(_read(asked, ranker), kubectl)
    is_named = any((asked.prometheus, asked.jaeger, asked.tempo, asked.alertmanager))
    sources = asked.sources(variables) if is_named or kubectl is None else ()
    found = await diagnose(asked, sources, ranker, channels, progress, kubectl)
    return FirstLook(found.incident, found.ranking, tuple(found.notes), found.questions.promql)


def _read(asked: InvestigateOptions, ranker: Ranker) -> FirstLook:
    for path in asked.incident:
        if not path.exists():
            raise SettingsError(f"{path}: no such file or folder")
    at_s = asked.question().at_s if "at" in asked.model_fields_set else None
    read = read_evidence(asked.incident, at_s)
    if len(read.incidents) != 1:
        raise SettingsError(
            f"{asked.incident[0]}: it holds {len(read.incidents)} incidents – investigate one at a time"
        )
    incident = read.incidents[0]
    return FirstLook(incident, ranker.rank(incident), read.notes, lambda _, __: "")


async def _with_cluster(first: FirstLook, kubectl: Kubectl | None) -> FirstLook:
    """The same, after reading the cluster, for workloads and recent changes."""
    if kubectl is None:
        return first
    try:
        await kubectl.read()
    except TelemetryFault as fault:
        return replace(first, notes=(*first.notes, f"{fault}; it is left out."))
    return first


def kubectl_of(asked: InvestigateOptions) -> Kubectl | None:
    """Opens kubectl, if a context is given."""
    if asked.kubernetes is None:
        return None
    return Kubectl(asked.kubernetes, asked.namespace, seconds_of(asked.timeout), seconds_of(asked.window))


def place_of(asked: InvestigateOptions, kubectl: Kubectl | None) -> RemedyPlace:
    """Where services run, as far as is known."""
    if kubectl is None:
        named = Samples().workload if asked.by == "pod" else str
        return RemedyPlace(
            asked.namespace, "", lambda service: f"deployment/{named(service)}", lambda _: None
        )
    return RemedyPlace(asked.namespace, kubectl.context, kubectl.workload, kubectl.replicas)


async def looks_for(
    asked: InvestigateOptions,
    variables: Mapping[str, str],
    first: FirstLook,
    telemetry: TelemetryLooks,
    kubectl: Kubectl | None,
    stack: AsyncExitStack,
) -> dict[str, tuple[Ask, ...]]:
    """The sources of each look, by action type; looks without a source are left out."""

    async def reached(name: str, url: str) -> Http:
        http = Http(access(name, url, variables), seconds_of(asked.timeout))
        return await stack.enter_async_context(http)

    places = (("Jaeger", asked.jaeger), ("Tempo", asked.tempo))
    traces = [ExampleTraces(await reached(name, url), asked.question()) for name, url in places if url]
    logs: list[LogSource] = [Loki(await reached("Loki", asked.loki), asked.question())] if asked.loki else []
    logs += [LogFiles(asked.logs, first.incident.services)] if asked.logs else []
    logs += [kubectl] if kubectl is not None else []
    looks = {
        "get_metrics_detail": (telemetry.metrics,),
        "trace_dependencies": (telemetry.calls, *(partial(_trace, source) for source in traces)),
        "inspect_commit_diff": (*((partial(_happened, kubectl),) if kubectl else ()), telemetry.changes),
        "fetch_logs": tuple(partial(_lines, source) for source in logs),
    }
    return {kind: asks for kind, asks in looks.items() if asks}


async def _trace(source: ExampleTraces, service: str) -> list[Shown]:
    found = await source.worst(service)
    return [Shown(found[0], (service,), found[1])] if found else []


async def _lines(source: LogSource, service: str) -> list[Shown]:
    found = await source.lines(service)
    return [Shown(line, (service,), found.query) for line in found.lines]


async def _happened(kubectl: Kubectl, service: str) -> list[Shown]:
    if kubectl.cluster is None:
        return []
    query = kubectl.shell("describe", kubectl.target(service))
    return [Shown(one.text, (service,), query) for one in kubectl.cluster.of(service)[:_HAPPENED]]


def missing_from(
    looks: Mapping[str, Sequence[Ask]], first: FirstLook, kubectl: Kubectl | None
) -> dict[str, str]:
    """Evidence without a source, and the option that would add it."""
    missing = {}
    if "fetch_logs" not in looks:
        missing["log lines"] = "--loki URL, --logs PATH or --kubernetes CONTEXT"
    if not first.incident.call_telemetry:
        missing["traces of the calls"] = "--jaeger URL or --tempo URL"
    if kubectl is None:
        missing["recent changes"] = "--kubernetes CONTEXT"
    return missing
