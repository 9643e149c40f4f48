"""`firewatch serve`: runs the embedded environment as a server."""

from agent.cli.command import command
from agent.cli.console import note, write_json
from data.options import Common, option


class ServeOptions(Common):
    """Where to listen, and the server's limits."""

    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(8000, "Port; 0 takes a free one.", ge=0, le=65535)
    sessions: int = option(256, "Most WebSocket sessions at a time.", ge=1)
    idle: float = option(900.0, "Close a session after this long without frames.", metavar="SECONDS")


@command(ServeOptions)
def serve(asked: ServeOptions) -> int:
    """Serves the embedded environment over HTTP and WebSocket until Ctrl+C.

    Seeds come with each reset, so --seed has no effect here; --json writes {"url"} once it listens.

    [dim]Example:[/dim] firewatch serve --port 8000
    """
    from data.simulator.server.serving import Limits
    from data.simulator.server.serving import serve as serve_embedded

    def ready(url: str) -> None:
        note(f"Listening on {url} (WebSocket at /ws); Ctrl+C stops.", asked.quiet)
        write_json(asked.json_to, {"url": url})

    serve_embedded(asked.host, asked.port, Limits(sessions=asked.sessions, idle_s=asked.idle), ready)
    return 0
