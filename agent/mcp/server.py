"""The MCP server: a few read-only tools on saved incidents and on live telemetry."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from agent.mcp.replies import (
    DiagnosisReply,
    NeighboursReply,
    Query,
    TopologyReply,
    diagnosis_reply,
    facts,
    topology_reply,
)
from data.channels import ChannelMap
from data.errors import FirewatchError
from data.incident import Incident
from data.sources.files.reading import read_evidence
from gnn.explain.sentences import explain
from gnn.ranker import Ranker, Ranking

LIVE = "live"
_MOST = 100  # services of a topology, and incidents of a list
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_INSTRUCTIONS = (
    "Finds the service that broke in a microservice system. Ask is_anything_wrong first, then diagnose. "
    'A verdict of "unsure" or "nobody" means just that: name no culprit then. Nothing here changes anything.'
)


class Look(NamedTuple):
    """One incident, ranked."""

    incident: Incident
    ranking: Ranking
    notes: Sequence[str]
    query: Query


LookLive = Callable[[], Awaitable[Look]]


def create_server(
    ranker: Ranker, channels: ChannelMap, folder: Path | None, look_live: LookLive | None
) -> MCPServer:
    """The server, to be run over stdio or HTTP.

    Args:
        ranker: ranks.
        channels: how metric names are read.
        folder: of saved incidents, in any form that `firewatch rank` reads. None: there are none.
        look_live: asks live telemetry and ranks. None: there is none.
    """
    server = MCPServer("firewatch", instructions=_INSTRUCTIONS)

    async def seen(name: str) -> Look:
        try:
            if name == LIVE:
                if look_live is None:
                    raise ToolError("there is no live telemetry here: name one of saved_incidents")
                return await look_live()
            incident, notes = _saved(folder, name)
        except FirewatchError as error:
            raise ToolError(str(error)) from None
        return Look(incident, ranker.rank(incident), notes, lambda _: "")

    @server.tool(annotations=_READS)
    async def is_anything_wrong(incident: str = LIVE) -> DiagnosisReply:
        """Says whether there is an incident, and who is most likely the cause, in one sentence."""
        return diagnosis_reply(*_told(await seen(incident), 1))

    @server.tool(annotations=_READS)
    async def diagnose(incident: str = LIVE, top: int = 3) -> DiagnosisReply:
        """Ranks the services by how likely each is the root cause, with evidence and its queries."""
        return diagnosis_reply(*_told(await seen(incident), max(1, min(top, 10))))

    @server.tool(annotations=_READS)
    async def explain_service(service: str, incident: str = LIVE) -> NeighboursReply:
        """Tells what deviates at one service, who calls it, and whom it calls."""
        look = await seen(incident)
        if service not in look.incident.services:
            raise ToolError(f"there is no service '{service}': topology lists them")
        evidence = explain(look.incident, [service], channels)[service]
        return NeighboursReply(
            service=service,
            callers=[one for one, callees in look.incident.call_graph.items() if service in callees][:_MOST],
            callees=list(look.incident.call_graph.get(service, ()))[:_MOST],
            evidence=facts(evidence, look.query),
        )

    @server.tool(annotations=_READS)
    async def topology(incident: str = LIVE) -> TopologyReply:
        """Tells which services call which."""
        return topology_reply((await seen(incident)).incident, _MOST)

    @server.tool(annotations=_READS)
    def saved_incidents() -> list[str]:
        """Names the saved incidents that the other tools take."""
        return [path.name for path in _incidents_in(folder)][:_MOST]

    @server.resource("incident://{name}", mime_type="application/json")
    def saved_incident(name: str) -> str:
        """The text of a saved incident."""
        return _path_of(folder, name).read_text(encoding="utf-8")

    return server


def _told(look: Look, top: int) -> tuple[Incident, Ranking, int, Sequence[str], Query]:
    return look.incident, look.ranking, top, look.notes, look.query


def _incidents_in(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(path for path in folder.iterdir() if path.name[0] != ".")


def _path_of(folder: Path | None, name: str) -> Path:
    """A file that lies in the folder itself, whatever the name says."""
    found = next((path for path in _incidents_in(folder) if path.name == name), None)
    if found is None:
        raise ToolError(f"there is no saved incident '{name}': saved_incidents lists them")
    return found


def _saved(folder: Path | None, name: str) -> tuple[Incident, Sequence[str]]:
    found = read_evidence([_path_of(folder, name)])
    more = [f"{len(found.incidents)} incidents in it: this is the first"] * (len(found.incidents) > 1)
    return found.incidents[0], [*found.notes, *more]
