"""`firewatch investigate`: the agent investigates live telemetry or a saved incident."""

from agent.cli.approval import ask_on_terminal
from agent.cli.command import command
from agent.cli.console import is_stdout, wide_console, write_json
from agent.cli.environ import stay_offline, variables_from_environment
from agent.cli.interrupt import run_interruptible
from agent.investigation.investigate import investigate as investigate_once
from agent.investigation.options import InvestigateOptions
from agent.investigation.words import as_markdown, as_text
from agent.terminal_text import printable
from data.files.whole_file import write_whole


@command(InvestigateOptions)
def investigate(asked: InvestigateOptions) -> int:
    """Finds the root cause: ranks, looks closer, rules out other suspects, and recommends what to do.

    Reads only. A model decides where to look if one is set up (API_BASE_URL, MODEL_NAME), else the rules do.
    Remedies are recommended with their commands, and carried out only with --allow-remedies and --approve
    together. Secrets of the sources are the same as for diagnose.

    [dim]Example:[/dim] firewatch investigate --prometheus http://prometheus:9090 --namespace shop
    """
    stay_offline()
    return run_interruptible(_investigate(asked))


async def _investigate(asked: InvestigateOptions) -> int:
    approve = ask_on_terminal(1) if asked.approve else None
    with wide_console(stderr=True, quiet=asked.quiet).status("asking") as status:
        found = await investigate_once(
            asked,
            variables_from_environment(),
            lambda text: status.update(printable(text)),
            lambda step: status.update(printable(f"{step.action}: {step.decision.reason}")),
            approve,
        )
    conclusion = found.conclusion
    if not asked.quiet and not is_stdout(asked.json_to):
        print((as_markdown if asked.markdown else as_text)(conclusion), end="", flush=True)
    if asked.report:
        from agent.investigation.page import investigation_report
        from agent.report.html import render_html

        write_whole(asked.report, render_html(investigation_report(found)))
    write_json(asked.json_to, conclusion.record())
    return 0
