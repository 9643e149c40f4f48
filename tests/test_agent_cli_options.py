"""The same model of options serves the command line, the library and the record."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import answer
from agent.cli.command import command
from agent.play.config import PlayOptions, RunConfig
from data.errors import SettingsError
from data.options import Common, Resumable, option


class Made(Common, Resumable):
    """Options of every kind."""

    source: Path = option(Path("-"), "A file.", positional=True, metavar="FILE")
    names: tuple[str, ...] = option(("a",), "Names.", name="--name", separated=True)
    paths: tuple[Path, ...] = option((), "Paths.", name="--path")
    kind: Literal["one", "two"] = option("one", "A kind.")
    wait_s: float = option(1.0, "A time.", name="--wait", gt=0)
    count: int = option(1, "A number.", ge=1, le=9)
    flag: bool = option(False, "A switch.", recorded=False)
    derived: str = ""


def typed(*arguments: str) -> tuple[int, Made | None, str]:
    """Exit status, parsed options, and output."""
    arrived: list[Made] = []

    @command(Made)
    def make(asked: Made) -> int:
        """Makes."""
        arrived.append(asked)
        return 0

    app = typer.Typer()
    app.command()(make)
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, arrived[0] if arrived else None, done.output


def test_what_is_typed_arrives_and_only_that_counts_as_given() -> None:
    _, asked, _ = typed()
    assert asked == Made() and asked.model_fields_set == set()
    line = "f.json --name x,y,,x --path p --path q --kind two --wait 2.5 --count 3 --flag --seed 7 -q"
    _, asked, _ = typed(*line.split())
    assert asked == Made(
        source=Path("f.json"), names=("x", "y"), paths=(Path("p"), Path("q")), kind="two", wait_s=2.5,
        count=3, flag=True, seed=7, quiet=True,
    )  # fmt: skip
    assert asked.model_fields_set == {
        "source", "names", "paths", "kind", "wait_s", "count", "flag", "seed", "quiet"
    }  # fmt: skip


@pytest.mark.parametrize(
    "line", ["--count 0", "--count 10", "--wait 0", "--kind three", "--seed -1", "--derived x"]
)
def test_what_a_field_forbids_is_refused_by_the_name_that_was_typed(line: str) -> None:
    status, asked, said = typed(*line.split())
    assert status == 2 and asked is None and line.split()[0] in said


def test_the_record_reads_back_and_says_nothing_of_how_it_was_shown() -> None:
    asked = Made(names=("x",), flag=True, quiet=True, json_to=Path("r.json"), out=Path("o"), derived="made")
    record = asked.model_dump(mode="json")
    assert not {"flag", "quiet", "json_to", "out", "resume"} & set(record)
    assert Made.model_validate_json(json.dumps(record)) == Made(names=("x",), derived="made")


def test_work_that_goes_on_takes_no_other_options() -> None:
    started = Made(count=3)
    Made(resume=Path("r"), count=3, flag=True).refuse_changes(started)
    Made(resume=Path("r"), count=4).refuse_changes(started, free=["count"])
    with pytest.raises(SettingsError, match=r"--count: r was started with 3"):
        Made(resume=Path("r"), count=4).refuse_changes(started)
    assert typed("--resume", "r", "--out", "o")[:2] == (2, None)


def test_every_option_says_what_it_is_for() -> None:
    for model in (RunConfig, PlayOptions):
        for name, field in model.model_fields.items():
            assert field.description is None or model.cli(name)["name"].startswith("--")


def test_a_shipped_ranker_is_known_by_its_name_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ranker", "mlp"):
        folder = RunConfig(checkpoint=Path(name)).checkpoint
        assert folder is not None and (folder / "checkpoint.json").exists()
    (tmp_path / "mlp").mkdir()
    assert RunConfig(checkpoint=Path("mlp")).checkpoint == Path("mlp"), "one's own folder comes first"


def test_the_version_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("firewatch ") and done.stdout.split()[1][0].isdigit()


def test_help_shows_one_line_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["--help"]) == 0
    assert "Example:" not in capsys.readouterr().out
