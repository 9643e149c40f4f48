"""Makes the report for any result: a run, an evaluation, an ablation, rankings or stored episodes."""

from pathlib import Path
from typing import Any

from agent.benchmark.plan import RESULT
from agent.benchmark.results import AblationResult
from agent.report.ablation_report import ablation_report
from agent.report.document import Report
from agent.report.episodes_report import episodes_report
from agent.report.evaluation_report import difference_report, evaluation_report
from agent.report.ranking_report import ranking_report, rankings_report
from agent.report.run_report import PlayedRun, read_run, run_report
from agent.report.two_runs import two_runs_report
from data.episodes import Episode, read_episodes
from data.errors import SchemaError, SettingsError
from data.files.json_file import read_object
from data.files.jsonl import SUFFIXES
from data.observation import parse
from gnn.evaluation.results import EvaluationResult

Result = PlayedRun | EvaluationResult | AblationResult | tuple[Episode, ...] | dict[str, Any]


def make_report(path: Path, against: Path | None = None) -> Report:
    """The report on the result at `path`, or on the differences to the one at `against`.

    Raises:
        SettingsError: there is no result, or the two results cannot be compared.
        SchemaError: a file does not parse.
    """
    result = _read(path)
    if against is not None:
        return _side_by_side(path, result, against, _read(against))
    if isinstance(result, PlayedRun):
        return run_report(result)
    if isinstance(result, EvaluationResult):
        return evaluation_report(path.name, result)
    if isinstance(result, dict):
        if "rankings" in result:
            return rankings_report(path.name, result, str(path))
        return ranking_report(result, str(path))
    if isinstance(result, AblationResult):
        return ablation_report(_name(path), result, _arms(path, result))
    return episodes_report(path.resolve().name, result)


def beside(path: Path, against: Path | None, suffix: str) -> Path:
    """Where to write the report: into the result's folder, or next to its file."""
    if path.is_dir() or path.name == RESULT:  # the folder of an ablation, by the file in it
        return (path if path.is_dir() else path.parent) / f"report.{suffix}"
    name = path.name.removesuffix(".json")
    return path.with_name(f"{name}-against-{against.stem}.{suffix}" if against else f"{name}.{suffix}")


def _side_by_side(first: Path, one: Result, second: Path, other: Result) -> Report:
    if isinstance(one, PlayedRun) and isinstance(other, PlayedRun):
        return two_runs_report(one, other)
    if isinstance(one, EvaluationResult) and isinstance(other, EvaluationResult):
        title = f"{first.name} against {second.name}"
        return difference_report(title, (str(first), one), (str(second), other))
    raise SettingsError(
        f"{first} and {second} cannot be put side by side: give two run folders or two evaluations"
    )


def _read(path: Path) -> Result:
    if (path / "run.json").is_file():
        return read_run(path, read_object(path / "run.json"))
    file = path / "ablation.json" if (path / "ablation.json").is_file() else path
    if file.is_dir() and any(child.name.endswith(SUFFIXES) for child in file.iterdir()):
        return read_episodes(file)
    if not file.is_file():
        raise SettingsError(
            f"{path}: no run.json, no ablation.json and no episodes – give a result folder or its JSON file"
        )
    if file.name.endswith(SUFFIXES):
        return read_episodes(file)
    result = read_object(file)
    if "comparisons" in result:
        return parse(AblationResult, result, str(file))
    if "results" in result:
        return parse(EvaluationResult, result, str(file))
    if "candidates" in result or "rankings" in result:
        return result
    raise SchemaError(str(file), "", sorted(result), "give the JSON of rank, diagnose, evaluate or ablate")


def _arms(path: Path, result: AblationResult) -> dict[str, PlayedRun]:
    """The run folders of the arms, if the ablation saved them."""
    arms = (path if path.is_dir() else path.parent) / "arms"
    folders = {arm.arm: arms / arm.arm.replace("/", "_") for arm in result.arms}
    return {
        arm: read_run(folder, read_object(folder / "run.json"))
        for arm, folder in folders.items()
        if (folder / "run.json").is_file()
    }


def _name(path: Path) -> str:
    """The name of the ablation's folder; `path` is the folder or the file in it."""
    whole = path.resolve()
    return whole.parent.name if whole.name == "ablation.json" else whole.name
