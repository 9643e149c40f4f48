"""`firewatch serve`: the embedded environment as a server."""

from typing import Annotated

import typer

from agent.cli import options as o


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    sessions: Annotated[int, typer.Option(min=1, help="WebSocket sessions at once.")] = 256,
    idle: Annotated[float, typer.Option(metavar="SECONDS", help="A silent session is closed then.")] = 900.0,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Serves the embedded environment over HTTP and WebSocket until Ctrl+C.

    Seeds come with each reset, so --seed has nothing to decide here; --json writes {"url"} once it listens.

    [dim]Example:[/dim] firewatch serve --port 8000
    """
    from agent.cli.console import note, write_json
    from data.simulator.server.serving import Limits
    from data.simulator.server.serving import serve as serve_embedded

    def ready(url: str) -> None:
        note(f"Listening on {url} (WebSocket at /ws); Ctrl+C stops.", quiet)
        write_json(json, {"url": url})

    serve_embedded(host, port, Limits(sessions=sessions, idle_s=idle), ready)
    return 0
