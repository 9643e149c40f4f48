"""`firewatch mcp`: offers ranking and explanations as tools for other agents."""

import secrets
from pathlib import Path
from typing import Literal

from agent.auth import SecretRequired, authorizations
from agent.cli.command import command
from agent.cli.console import note, write_json
from agent.cli.environ import variables_from_environment
from agent.cli.interrupt import run_interruptible
from agent.investigation.conclusion import Conclusion
from agent.investigation.investigate import investigate
from agent.investigation.options import InvestigateOptions
from agent.live_diagnosis import LiveOptions, diagnose
from data.errors import SettingsError
from data.extras import needs
from data.options import option
from data.simulator.server.serving import Limits, serve

SECRET = "FIREWATCH_MCP"


class McpOptions(LiveOptions):
    """Where the tools look, and how to reach them."""

    incidents: Path | None = option(None, "A folder of saved incidents.", metavar="DIR")
    transport: Literal["stdio", "http"] = option("stdio", "How agents reach the tools.")
    host: str = option("127.0.0.1", "Address to listen on, with --transport http.")
    port: int = option(8765, "Port, with --transport http; 0 takes a free one.", ge=0, le=65535)


@command(McpOptions)
def mcp(asked: McpOptions) -> int:
    """Offers read-only tools to other agents: what is wrong, the root cause and why, topology, what to do.

    Over HTTP the tools are at /mcp and need a bearer token: FIREWATCH_MCP_TOKEN (or a file named by
    FIREWATCH_MCP_TOKEN_FILE), else a new token is made and printed.

    [dim]Example:[/dim] firewatch mcp --prometheus http://prometheus:9090 --incidents saved/
    """
    with needs("mcp"):
        from agent.mcp.replies import Look
        from agent.mcp.server import create_server

    variables = variables_from_environment()
    ranker, channels = asked.open_ranker(seed=asked.seed)
    is_live = any((asked.prometheus, asked.jaeger, asked.tempo, asked.alertmanager))
    if not is_live and asked.incidents is None:
        raise SettingsError("there is nothing to look at – give --prometheus URL or --incidents DIR")
    if asked.incidents is not None and not asked.incidents.is_dir():
        raise SettingsError(f"--incidents {asked.incidents}: no such folder")
    sources = asked.sources(variables) if is_live else ()

    async def look_live() -> Look:
        found = await diagnose(asked, sources, ranker, channels, lambda _: None)
        return Look(found.incident, found.ranking, found.notes, found.query)

    async def recommend(saved: Path | None) -> Conclusion:
        live = asked.model_dump(include=set(LiveOptions.model_fields), exclude_unset=True)
        about = InvestigateOptions(**live, policy="rules", incident=(saved,) if saved else ())
        return (await investigate(about, variables)).conclusion

    server = create_server(ranker, channels, asked.incidents, look_live if is_live else None, recommend)
    if asked.transport == "stdio":
        run_interruptible(server.run_stdio_async())
        return 0
    accepted, shown = authorizations(SECRET, variables), f"the secret of {SECRET}_TOKEN"
    if not accepted:
        token = secrets.token_urlsafe(24)
        accepted, shown = (f"Bearer {token}",), f"the token {token}"
    app = server.streamable_http_app(host=asked.host)
    app.add_middleware(SecretRequired, accepted=accepted)

    def ready(url: str) -> None:
        note(f"Tools at {url}/mcp, with {shown}; Ctrl+C stops.", asked.quiet)
        write_json(asked.json_to, {"url": f"{url}/mcp"})

    serve(asked.host, asked.port, Limits(), ready, app)
    return 0
