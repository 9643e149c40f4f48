"""Runs the contract and shows each rule's verdict: what `check` does once its options are read."""

from dataclasses import asdict
from pathlib import Path

from agent.cli.console import is_stdout, note, write_json
from data.clients.discovery import locate
from data.clients.wire import Address
from data.contract.behaviour import check_environment
from data.contract.rule import RuleResult
from data.contract.server_rules import check_server


async def check_and_tell(env: str | None, transport: str, json: Path | None, quiet: bool) -> int:
    """Checks an environment and, if it is a server, its protocol; exit status 1 if a rule fails."""
    endpoint = await locate(env, transport)
    note(f"Checking {endpoint} …", quiet)
    environment = endpoint.open()
    try:
        results = await check_environment(environment)
    finally:
        await environment.aclose()
    if endpoint.url:
        results += await check_server(Address.parse(endpoint.url).http)
    failed = sum(not result.passed for result in results)
    if not is_stdout(json):
        _show(results, quiet)
        print(f"{endpoint}: {len(results) - failed} rules hold, {failed} fail")
    write_json(json, {"environment": str(endpoint), "failed": failed, "rules": [asdict(r) for r in results]})
    return 1 if failed else 0


def _show(results: tuple[RuleResult, ...], quiet: bool) -> None:
    for result in results:
        if not result.passed:
            print(f"FAIL  {result.rule}: {result.sentence}\n      {result.why}")
        elif not quiet:
            print(f"ok    {result.rule}: {result.sentence}")
