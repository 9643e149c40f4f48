"""`firewatch check`: the environment contract against a server or the embedded environment."""

from agent.cli import options as o


def check(
    env: o.Env = "embedded",
    transport: o.TransportOption = o.Transport.AUTO,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Plays the environment contract and names each rule that fails; exit status 1 if one does.

    [dim]Example:[/dim] firewatch check --env http://localhost:8000
    """
    from agent.cli.checking import check_and_tell
    from agent.cli.interrupt import run_interruptible

    return run_interruptible(check_and_tell(env, transport.value, json, quiet))
