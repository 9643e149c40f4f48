"""The list of commands."""

import typer

from agent.cli.ablate import ablate
from agent.cli.check import check
from agent.cli.collect import collect
from agent.cli.evaluate import evaluate
from agent.cli.export import export
from agent.cli.rank import rank
from agent.cli.report import report
from agent.cli.run import run
from agent.cli.serve import serve
from agent.cli.train import train

app = typer.Typer(
    name="firewatch",
    help="Finds the root cause of microservice incidents with a graph network, and acts on it.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for command in (run, collect, train, evaluate, ablate, rank, report, serve, check, export):
    app.command()(command)
