"""`firewatch check`: checks a server or the embedded environment against the environment contract."""

from dataclasses import asdict

from agent.cli.command import command
from agent.cli.console import is_stdout, note, write_json
from agent.cli.interrupt import run_interruptible
from agent.play.config import Place, env_option
from data.clients.discovery import locate
from data.contract.behaviour import check_environment
from data.contract.rule import RuleResult
from data.contract.server_rules import check_server
from data.options import Common
from data.wire import Address


class CheckOptions(Common, Place):
    """What to check."""

    env: str | None = env_option("embedded")


@command(CheckOptions)
def check(asked: CheckOptions) -> int:
    """Checks an environment against the contract and names each rule that fails; exit status 1 if one does.

    [dim]Example:[/dim] firewatch check --env http://localhost:8000
    """
    return run_interruptible(_check(asked))


async def _check(asked: CheckOptions) -> int:
    endpoint = await locate(asked.env, asked.transport)
    note(f"Checking {endpoint} …", asked.quiet)
    environment = endpoint.open()
    try:
        results = await check_environment(environment)
    finally:
        await environment.aclose()
    if endpoint.url:
        results += await check_server(Address.parse(endpoint.url).http)
    failed = sum(not result.passed for result in results)
    if not is_stdout(asked.json_to):
        _show(results, asked.quiet)
        print(f"{endpoint}: {len(results) - failed} rules hold, {failed} fail")
    rules = [asdict(result) for result in results]
    write_json(asked.json_to, {"environment": str(endpoint), "failed": failed, "rules": rules})
    return 1 if failed else 0


def _show(results: tuple[RuleResult, ...], quiet: bool) -> None:
    for result in results:
        if result.passed and result.why:
            print(f"----  {result.rule}: {result.why}")
        elif not result.passed:
            print(f"FAIL  {result.rule}: {result.sentence}\n      {result.why}")
        elif not quiet:
            print(f"ok    {result.rule}: {result.sentence}")
