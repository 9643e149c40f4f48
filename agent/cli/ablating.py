"""Runs an ablation and shows what it came to: what `ablate` does once its options are read."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from agent.benchmark.ablate import ablate
from agent.benchmark.plan import RESULT, Ablation, AblationFolder, write_result
from agent.benchmark.regression_guard import Finding, check_regressions, read_condition
from agent.benchmark.tables import TextTable, result_in_words, tables
from agent.cli.console import is_stdout, note, text_table, wide_console, write_json
from agent.settings import Settings
from data.clients.discovery import locate
from data.errors import SchemaError, SettingsError
from data.files.json_file import read_object

_SHOWN = ("ranking", "episodes", "hints")


def ablate_and_compare(
    ablation: Ablation,
    out: Path,
    settings: Settings,
    jobs: int,
    concurrency: int,
    against: Path | None,
    fail_if: Sequence[str],
    json_to: Path | None,
    quiet: bool,
) -> int:
    """Plays and ranks what `out` does not hold yet, writes the result file and shows it.

    Returns:
        The exit status: 1 if a task ended without a grade or a condition of `fail_if` is met.

    Raises:
        FirewatchError: options that make no sense, or a part that cannot be made.
    """
    if fail_if and against is None:
        raise SettingsError("--fail-if compares with an earlier result: name it with --against")
    conditions = [read_condition(text) for text in fail_if]
    before = read_result(against) if against else None
    if not (ablation.play or ablation.episodes_from or ablation.incidents or ablation.simulate):
        raise SettingsError("nothing to rank: name --episodes-from, --incidents or --simulate")
    endpoint = asyncio.run(locate(ablation.env, ablation.transport, settings.space_url))
    folder = AblationFolder(out, ablation)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=wide_console(stderr=True, quiet=quiet), transient=True) as progress:
        bar = progress.add_task("", total=None)
        try:
            result = ablate(
                folder,
                endpoint,
                settings,
                jobs,
                concurrency,
                lambda done, total: progress.update(bar, completed=done, total=total),
            )
        except KeyboardInterrupt:
            note(f"Interrupted. The same command with --out {out} goes on.", quiet)
            raise
    findings = check_regressions(before, result, conditions, ablation.seed) if before else []
    write_result(out / RESULT, result)
    write_json(json_to, result)
    if not quiet and not is_stdout(json_to):
        _show(result, out)
    failed = [finding for finding in findings if finding.fails]
    _tell(findings, failed, quiet)
    ungraded = any(arm["ungraded"] for arm in result.get("arms", ()))
    return 1 if ungraded or failed else 0


def read_result(path: Path) -> Mapping[str, Any]:
    """An earlier result: its file or its folder.

    Raises:
        SchemaError: not the result of an ablation.
    """
    file = path / RESULT if path.is_dir() else path
    result = read_object(file, "give the result file of an ablation")
    if "values" not in result:
        raise SchemaError(str(file), "values", None, "give the result file of an ablation")
    return result


def _show(result: Mapping[str, Any], out: Path) -> None:
    made = tables(result)
    for sentence in result_in_words(result):
        print(sentence)
    for name in _SHOWN:
        if name in made:
            table: TextTable = made[name]
            print()
            wide_console().print(text_table(table.headings, table.rows))
    print(f"\nResults: {out / RESULT}")


def _tell(findings: Sequence[Finding], failed: Sequence[Finding], quiet: bool) -> None:
    """One line on what fails, whether quiet or not, or one that nothing does."""
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        note(f"Fails, {failed[0].condition}: {failed[0]}{more}")
    elif findings:
        note(f"Nothing fails: {len(findings)} comparisons with the earlier result.", quiet)
