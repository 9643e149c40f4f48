"""The options that commands share, each with one meaning everywhere."""

import logging
import math
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer


class Transport(StrEnum):
    """How to talk to a server."""

    AUTO = "auto"
    HTTP = "http"
    WS = "ws"


class DifficultyChoice(StrEnum):
    """Which random episodes."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    ALL = "all"


class RankerChoice(StrEnum):
    """Who suggests suspects."""

    GNN = "gnn"
    HEURISTIC = "heuristic"
    UNTRAINED = "untrained"
    MLP = "mlp"
    RANDOM = "random"
    PAGERANK = "pagerank"
    ZSCORE = "zscore"
    ZSCORE_SUM = "zscore-sum"
    BARO = "baro"
    TRAVERSAL = "traversal"
    NONE = "none"


class PolicyChoice(StrEnum):
    """Who decides."""

    AUTO = "auto"
    LLM = "llm"
    RULES = "rules"
    LEGACY_RULES = "legacy-rules"
    EXPLORE = "explore"


class Device(StrEnum):
    """Where training runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def was_given(context: typer.Context, name: str) -> bool:
    """Whether the command line itself says what this parameter is."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _writable(value: Path | None) -> Path | None:
    """Tries it before the work, not after; leaves nothing behind."""
    if value is None or str(value) == "-" or (value.exists() and not value.is_file() and not value.is_dir()):
        return value
    if value.is_dir():
        raise typer.BadParameter(f"{value} is a folder: name a file in it")
    folder = next(parent for parent in value.absolute().parents if parent.exists())
    try:
        with TemporaryFile(dir=folder):
            return value
    except OSError as error:
        raise typer.BadParameter(f"{value} cannot be written ({error.strerror}): name another file") from None


def _silent(value: bool) -> bool:
    """What is logged on the way is no result; `agent.cli.answer` lets the next command speak again."""
    if value:
        logging.disable(logging.WARNING)
    return value


Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=_writable,
        help="Write the results as JSON to this file, or '-' for stdout.",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_silent, help="No progress, no summary, no warnings.")
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random comes from it: same seed, same result.")]

Env = Annotated[
    str | None,
    typer.Option(
        metavar="URL|embedded",
        help="The environment. Default: localhost:8000, localhost:7860, $SPACE_URL, else the embedded one.",
    ),
]
TransportOption = Annotated[
    Transport, typer.Option("--transport", help="auto finds out what the server can do.")
]

TestRun = Annotated[bool, typer.Option("--test-run", help="The three smoke tasks: one easy, medium, hard.")]
TaskIds = Annotated[
    list[str] | None, typer.Option("--task", metavar="ID", help="A catalogue task; repeatable.")
]
TasksFile = Annotated[
    Path | None,
    typer.Option("--tasks", metavar="FILE", help='JSON list of {"task_id","difficulty","seed","max_ticks"}.'),
]
Episodes = Annotated[int | None, typer.Option(min=1, metavar="N", help="N random episodes from --seed.")]
DifficultyOption = Annotated[
    DifficultyChoice,
    typer.Option("--difficulty", help="Of the random episodes, or of the catalogue's tasks."),
]

Ranker = Annotated[RankerChoice, typer.Option("--ranker", help="Who suggests suspects.")]
Rankers = Annotated[
    str, typer.Option("--ranker", metavar="NAME[,NAME…]", help=f"One or more of {', '.join(RankerChoice)}.")
]
Checkpoint = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A trained ranker's folder. Default: the shipped one.")
]
Rules = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Own rules that give metric names a meaning. Default: those that the checkpoint was trained by.",
    ),
]
Policy = Annotated[
    PolicyChoice,
    typer.Option(
        "--policy", help="auto: the model with rules behind it, or the rules where no model is set up."
    ),
]


def _seconds(value: float) -> float:
    if not 0 < value < math.inf:
        raise typer.BadParameter("give a number of seconds above 0")
    return value


_MODEL = "The model"
Temperature = Annotated[float, typer.Option(min=0.0, max=2.0, rich_help_panel=_MODEL, help="Of its replies.")]
MaxTokens = Annotated[int, typer.Option(min=16, rich_help_panel=_MODEL, help="Of one reply.")]
LlmTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        callback=_seconds,
        rich_help_panel=_MODEL,
        help="One question with all its retries.",
    ),
]
LlmCache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", rich_help_panel=_MODEL, help="Keep replies; the same question gets the same one."
    ),
]


def _limit(unit: str, span: str) -> object:
    text = f"{span} may cost so many {unit}; then the rules decide."
    return typer.Option(min=0, rich_help_panel=_MODEL, help=text)


TaskTokens = Annotated[int | None, _limit("tokens", "A task")]
TaskUsd = Annotated[float | None, _limit("US dollars (MODEL_PRICES)", "A task")]
TaskSeconds = Annotated[float | None, _limit("seconds of the model", "A task")]
RunTokens = Annotated[int | None, _limit("tokens", "The run")]
RunUsd = Annotated[float | None, _limit("US dollars (MODEL_PRICES)", "The run")]
RunSeconds = Annotated[float | None, _limit("seconds of the model", "The run")]

EpisodesFrom = Annotated[
    list[Path] | None,
    typer.Option(metavar="PATH", help="Stored episodes: a file or folder, .jsonl or .jsonl.gz; repeatable."),
]
Incidents = Annotated[
    list[Path] | None,
    typer.Option(metavar="PATH", help="Incidents: a file or folder, .jsonl or .jsonl.gz; repeatable."),
]
Simulate = Annotated[int, typer.Option(min=0, metavar="N", help="Use N freshly simulated incidents.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help='Root causes known from elsewhere: {"<task_id>" or "<difficulty>/<seed>" or "<incident_id>": '
        r"\[services]}.",
    ),
]

Resume = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Go on in this folder: play only what is missing."),
]
TaskTimeout = Annotated[float, typer.Option(metavar="SECONDS", callback=_seconds, help="A task's deadline.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the results go.")]
Concurrency = Annotated[
    int, typer.Option(min=1, max=256, metavar="N", help="Tasks at once, where the environment has sessions.")
]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto takes a GPU when there is one.")]
