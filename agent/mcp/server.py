"""The MCP server: a few read-only tools on saved incidents and on live telemetry."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import Resource, ToolAnnotations

from agent.api import Ranked
from agent.api import explain as explanation_of
from agent.investigation.conclusion import Conclusion
from agent.mcp.replies import (
    DiagnosisReply,
    Look,
    NeighboursReply,
    RemedyReply,
    TopologyReply,
    diagnosis_reply,
    facts,
    remedy_reply,
    topology_reply,
)
from data.channels import ChannelMap
from data.errors import FirewatchError
from data.incident import Incident
from data.sources.files.reading import read_evidence
from gnn.ranker import Ranker

LIVE = "live"
_MOST = 100  # services of a topology, and incidents of a list
_LARGEST = 2**20  # bytes of an incident that is read as it is
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_INSTRUCTIONS = (
    "Finds the service that broke in a microservice system. Ask is_anything_wrong first, then diagnose, "
    "then suggest_remedy. "
    'A verdict of "unsure" or "nobody" means just that: name no culprit then. Nothing here changes anything.'
)


LookLive = Callable[[], Awaitable[Look]]
Investigate = Callable[[Path | None], Awaitable[Conclusion]]  # a saved incident; None: live telemetry


class _Server(MCPServer):
    """Lists the saved incidents, as they are at the moment."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__("firewatch", instructions=_INSTRUCTIONS)
        self._folder = folder

    async def list_resources(self) -> list[Resource]:
        """Those that can be read whole."""
        names = [path.name for path in _incidents_in(self._folder) if _is_readable(path)][:_MOST]
        return [Resource(uri=f"incident://{quote(name, safe='')}", name=name) for name in names]


def create_server(
    ranker: Ranker,
    channels: ChannelMap,
    folder: Path | None,
    look_live: LookLive | None,
    investigate: Investigate,
) -> MCPServer:
    """The server, to be run over stdio or HTTP.

    Args:
        folder: of saved incidents, in any form that `firewatch rank` reads; None: there is none.
        look_live: asks live telemetry and ranks; None: there is no live telemetry.
        investigate: looks closer and recommends a remedy.
    """
    server = _Server(folder)

    def saved_at(name: str) -> Path | None:
        if name != LIVE:
            return _path_of(folder, name)
        if look_live is None:
            raise ToolError("there is no live telemetry: choose one of saved_incidents")
        return None

    async def seen(name: str) -> Look:
        path = saved_at(name)
        with _told_to_agents():
            if path is None:
                assert look_live is not None
                return await look_live()
            incident, notes = _saved(path)
            return Look(incident, ranker.rank(incident), notes, lambda _: "")

    @server.tool(annotations=_READS)
    async def is_anything_wrong(incident: str = LIVE) -> DiagnosisReply:
        """Says whether there is an incident, and who is most likely the cause, in one sentence."""
        return diagnosis_reply(await seen(incident), 1)

    @server.tool(annotations=_READS)
    async def diagnose(incident: str = LIVE, top: int = 3) -> DiagnosisReply:
        """Ranks the services by how likely each is the root cause, with evidence and its queries."""
        return diagnosis_reply(await seen(incident), max(1, min(top, 10)))

    @server.tool(annotations=_READS)
    async def explain_service(service: str, incident: str = LIVE) -> NeighboursReply:
        """Shows what deviates at one service, which services call it, and which it calls."""
        look = await seen(incident)
        with _told_to_agents():
            found = explanation_of(Ranked(look.incident, look.ranking, channels), service)
        return NeighboursReply(
            service=service,
            callers=list(found.callers)[:_MOST],
            callees=list(found.callees)[:_MOST],
            evidence=facts(found.evidence, look.query),
        )

    @server.tool(annotations=_READS)
    async def suggest_remedy(incident: str = LIVE) -> RemedyReply:
        """Looks closer at the suspects and recommends what to do, as a command; carries nothing out."""
        path = saved_at(incident)
        with _told_to_agents():
            return remedy_reply(await investigate(path))

    @server.tool(annotations=_READS)
    async def topology(incident: str = LIVE) -> TopologyReply:
        """Shows which services call which."""
        return topology_reply((await seen(incident)).incident, _MOST)

    @server.tool(annotations=_READS)
    def saved_incidents() -> list[str]:
        """Lists the saved incidents that the other tools accept."""
        return [path.name for path in _incidents_in(folder)][:_MOST]

    @server.resource("incident://{name}", mime_type="application/json")
    def saved_incident(name: str) -> str:
        """The text of a saved incident."""
        path = _path_of(folder, name)
        if not _is_readable(path):
            raise ToolError(f"'{name}' is a folder, or too large to be read whole: ask the tools about it")
        return path.read_text(encoding="utf-8", errors="replace")

    return server


def _incidents_in(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(path for path in folder.iterdir() if path.name[0] != ".")


def _is_readable(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST


def _path_of(folder: Path | None, name: str) -> Path:
    """A file directly in the folder, whatever the name says."""
    found = next((path for path in _incidents_in(folder) if path.name == name), None)
    if found is None:
        raise ToolError(f"there is no saved incident '{name}': saved_incidents lists them")
    return found


@contextmanager
def _told_to_agents() -> Iterator[None]:
    try:
        yield
    except FirewatchError as error:
        raise ToolError(str(error)) from None


def _saved(path: Path) -> tuple[Incident, Sequence[str]]:
    found = read_evidence([path])
    more = [f"{len(found.incidents)} incidents in it: this is the first"] * (len(found.incidents) > 1)
    return found.incidents[0], [*found.notes, *more]
