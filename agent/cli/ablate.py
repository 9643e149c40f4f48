"""`firewatch ablate`: what each part is worth, on the same tasks and seeds."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.benchmark.ablate import ablate as play_and_rank
from agent.benchmark.plan import RESULT, Ablation, AblationFolder, write_result
from agent.benchmark.regression_guard import Finding, check_regressions, read_condition
from agent.benchmark.results import AblationResult
from agent.cli.command import command, new_folder
from agent.cli.console import is_stdout, note, text_table, wide_console, write_json
from agent.cli.environ import settings_from_environment, stay_offline
from agent.cli.progress import job_bar
from agent.terminal_text import printable
from data.clients.discovery import locate
from data.errors import SchemaError, SettingsError
from data.files.json_file import read_object
from data.observation import parse

_SHOWN = ("Arms", "Rankers", "Use of the hints")  # sections of the report


@command(Ablation)
def ablate(asked: Ablation) -> int:
    """Plays every ranker with every policy on the same tasks and seeds, and compares them in pairs.

    To see what an adapter and its hints are worth: --policy rules,llm@smol,llm@DIR --ranker gnn,none,wrong.
    To continue after an interruption, run the same command with the same --out.

    [dim]Example:[/dim] firewatch ablate --ranker gnn,heuristic,none --policy rules --out ablation
    """
    if asked.fail_if and asked.against is None:
        raise SettingsError("--fail-if compares with an earlier result: name it with --against")
    if asked.ranking_only and not (asked.episodes_from or asked.incidents or asked.simulate):
        raise SettingsError("nothing to rank: name --episodes-from, --incidents or --simulate")
    conditions = [read_condition(text) for text in asked.fail_if]
    before = _earlier_result(asked.against) if asked.against else None
    stay_offline()
    settings = settings_from_environment()
    endpoint = asyncio.run(locate(asked.env, asked.transport, settings.space_url))
    out = asked.out or new_folder("ablations")
    folder = AblationFolder(out, asked.completed(settings))
    with job_bar(asked.quiet) as on_progress:
        try:
            result = play_and_rank(
                folder, endpoint, settings, asked.jobs, asked.concurrency, on_progress, asked.ray
            )
        except KeyboardInterrupt:
            note(f"Interrupted. To continue, run the same command with --out {out}.", asked.quiet)
            raise
    findings = check_regressions(before, result, conditions, asked.seed) if before else []
    write_result(out / RESULT, result)
    write_json(asked.json_to, result.record())
    if not asked.quiet and not is_stdout(asked.json_to):
        _show(result, out)
    failed = [finding for finding in findings if finding.fails]
    _tell(findings, failed, asked.quiet)
    ungraded = any(arm.ungraded for arm in result.arms)
    return 1 if ungraded or failed else 0


def _earlier_result(path: Path) -> AblationResult:
    """An earlier result: its file or its folder.

    Raises:
        SchemaError: not the result of an ablation.
    """
    file = path / RESULT if path.is_dir() else path
    result = read_object(file, "give the result file of an ablation")
    if "values" not in result:
        raise SchemaError(str(file), "values", None, "give the result file of an ablation")
    return parse(AblationResult, result, str(file))


def _show(result: AblationResult, out: Path) -> None:
    from agent.report.ablation_report import ablation_report

    shown = ablation_report(out.name, result, {})
    for sentence in (shown.lead, *shown.points):
        print(printable(sentence))
    for section in shown.sections:
        if section.table and section.title in _SHOWN:
            headings = (heading for heading, _ in section.table.headings)
            rows = ((cell.text for cell in row) for row in section.table.rows)
            print()
            wide_console().print(text_table(headings, rows, section.title))
    print(f"\nResults: {out / RESULT}")


def _tell(findings: Sequence[Finding], failed: Sequence[Finding], quiet: bool) -> None:
    """Says in one line what fails, even if quiet, or that nothing does."""
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        note(f"Fails, {failed[0].condition}: {failed[0]}{more}")
    elif findings:
        note(f"Nothing fails: {len(findings)} comparisons with the earlier result.", quiet)
