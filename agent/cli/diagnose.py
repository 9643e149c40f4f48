"""`firewatch diagnose`: finds suspects in live telemetry, with evidence and the queries that show it."""

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager

from agent.cli.command import command
from agent.cli.console import is_stdout, note, wide_console, write_json
from agent.cli.environ import variables_from_environment
from agent.cli.interrupt import run_interruptible
from agent.live_diagnosis import DiagnoseOptions, Diagnosis, movement, seconds_of
from agent.live_diagnosis import diagnose as look
from agent.terminal_text import printable
from data.errors import FirewatchError
from data.files.whole_file import write_whole
from data.sources.live.gather import Progress
from data.sources.own_form import to_json


@command(DiagnoseOptions)
def diagnose(asked: DiagnoseOptions) -> int:
    """Asks live telemetry what is wrong: suspects, evidence, and the query that shows each piece.

    Only reads, with bounded questions. Secrets come from the environment or .env: PROMETHEUS_TOKEN,
    PROMETHEUS_USER and PROMETHEUS_PASSWORD, PROMETHEUS_HEADERS ("Name: value; …"), PROMETHEUS_CA_FILE,
    PROMETHEUS_CERT_FILE and PROMETHEUS_KEY_FILE (PROMETHEUS_TOKEN_FILE and PROMETHEUS_PASSWORD_FILE name
    files), and the same for JAEGER, TEMPO and ALERTMANAGER.

    [dim]Example:[/dim] firewatch diagnose --prometheus http://prometheus:9090 --window 15m --namespace shop
    """
    return run_interruptible(_diagnose(asked))


async def _diagnose(asked: DiagnoseOptions) -> int:
    sources = asked.sources(variables_from_environment())
    ranker, channels = asked.open_ranker(seed=asked.seed)
    before: Diagnosis | None = None
    while True:
        try:
            with _progress(asked.quiet) as progress, _without_collector():
                found = await look(asked, sources, ranker, channels, progress)
            _show(asked, found, before)
            before = found
        except FirewatchError as error:
            if asked.watch is None or before is None:
                raise
            note(printable(str(error)))  # it may answer again next time
        if asked.watch is None:
            return 0
        await asyncio.sleep(seconds_of(asked.watch))


def _show(asked: DiagnoseOptions, found: Diagnosis, before: Diagnosis | None) -> None:
    for told in found.notes:
        note(printable(told), asked.quiet)
    if not asked.quiet and not is_stdout(asked.json_to):
        if asked.watch is not None:
            print(f"\n{found.incident.incident_id}")
        if before is not None:
            print(movement(before.ranking, found.ranking))
        print(found.words(asked.top), end="", flush=True)
    if asked.save:
        write_whole(asked.save, json.dumps(to_json(found.incident), ensure_ascii=False) + "\n")
        note(
            f"Saved {asked.save}. Once the culprit is known: firewatch label {asked.save} SERVICE",
            asked.quiet,
        )
    if asked.report:
        from agent.report.html import render_html
        from agent.report.ranking_report import ranking_report

        write_whole(asked.report, render_html(ranking_report(found.record())))
    write_json(asked.json_to, found.record())


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hundreds of thousands of series hold no cycles; looking for some takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """A status line, on a terminal only."""
    console = wide_console(stderr=True, quiet=quiet)
    with console.status("asking") as status:
        yield lambda text: status.update(printable(text))
