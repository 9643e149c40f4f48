"""A user's rules for metric names, from the command line to the checkpoint."""

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from spoilt_checkpoints import hash_again

from agent.cli import answer
from gnn.checkpoint import CARD, RULES
from gnn.registry import shipped

RULE = '[[rule]]\nchannel = "latency_tail"\npatterns = ["^zorp$"]\n'
OTHER = RULE.replace("zorp", "blip")
GRAPH: Mapping[str, list[str]] = {"web": ["api"], "api": ["db", "cache"], "db": [], "cache": []}
SMALL = ("--hidden", "8", "--layers", "1", "--simulate", "20")
FAST = ("--device", "cpu", "--epochs", "1", "--quiet")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def incident(number: int, root: str, metric: str = "zorp") -> dict[str, Any]:
    """An incident with a single, unknown metric, which rises at the root cause."""
    draw = random.Random(number)

    def points(n: int, level: float) -> list[float]:
        return [round(draw.gauss(level, 0.05), 3) for _ in range(n)]

    return {
        "incident_id": f"incident-{number}",
        "system": "zoo",
        "call_graph": GRAPH,
        "telemetry": {
            name: {metric: {"baseline": points(20, 1.0), "incident": points(4, 9.0 if name == root else 1.0)}}
            for name in GRAPH
        },
        "root_causes": [root],
    }


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight incidents, a rule file that knows their metric, and a ranker trained with both."""
    folder = tmp_path_factory.mktemp("zoo")
    roots = 2 * ("db", "cache", "api", "web")
    lines = [json.dumps(incident(number, root)) for number, root in enumerate(roots)]
    (folder / "many.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "one.json").write_text(lines[0], encoding="utf-8")
    (folder / "rules.toml").write_text(RULE, encoding="utf-8")
    start = ("--init", str(shipped("ranker")), "--incidents", str(folder / "many.jsonl"))
    rules = ("--rules", str(folder / "rules.toml"))
    assert answer(["train", *FAST, *start, *rules, "--out", str(folder / "trained")]) == 0
    return folder


def hits(arguments: list[str]) -> dict[str, float]:
    """AC@1 of each ranker evaluated."""
    assert answer(["evaluate", *arguments, "--quiet", "--json", "result.json"]) == 0
    results = json.loads(Path("result.json").read_text(encoding="utf-8"))["results"]
    return {each["ranker"]: each["ac@1"] for each in results}


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The single line printed by a command that cannot run."""
    assert answer([*arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_a_ranker_reads_names_as_it_was_trained(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many, trained = str(zoo / "many.jsonl"), str(zoo / "trained")
    assert (zoo / "trained" / RULES).read_text(encoding="utf-8") == RULE
    assert hits(["--incidents", many]) == {"gnn": 0.25}
    assert hits(["--incidents", many, "--checkpoint", trained]) == {"gnn": 1.0}
    assert answer(["rank", str(zoo / "one.json"), "--checkpoint", trained, "--quiet", "--json", "-"]) == 0
    first = json.loads(capsys.readouterr().out)["candidates"][0]
    assert first["service"] == "db" and "zorp" in first["evidence"][0]


COMPARED = ("gnn", "mlp", "zscore", "zscore-sum", "baro", "pagerank", "traversal")


def test_all_rankers_of_a_comparison_read_names_alike(
    zoo: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--incidents", str(zoo / "many.jsonl"), "--ranker", ",".join(COMPARED)]
    assert max(hits(asked).values()) <= 0.5
    rules = ("--rules", str(zoo / "rules.toml"))
    assert hits([*asked, *rules]) == dict.fromkeys(COMPARED, 1.0)
    assert hits([*asked, "--checkpoint", str(zoo / "trained")]) == dict.fromkeys(COMPARED, 1.0)
    (nowhere / "other.toml").write_text(OTHER, encoding="utf-8")
    both = ("--checkpoint", str(zoo / "trained"), "--rules", "other.toml")
    assert max(hits([*asked, *both]).values()) <= 0.5
    for ranker in COMPARED:
        case = ("rank", str(zoo / "one.json"), "--ranker", ranker)
        assert answer([*case, *rules, "--quiet", "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["candidates"][0]["service"] == "db"


def test_a_run_is_played_and_goes_on_by_the_rules_it_was_started_with(
    zoo: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = str(zoo / "rules.toml")
    play = ["run", "--env", "embedded", "--policy", "rules", "--task", "task_easy_oom_baseline", "--quiet"]
    assert answer([*play, "--rules", rules, "--out", "played"]) == 0
    started = json.loads((nowhere / "played" / "run.json").read_text(encoding="utf-8"))
    assert started["config"]["rules"] == rules
    assert answer(["run", "--resume", "played", "--quiet"]) == 0
    capsys.readouterr()
    assert "--rules: played was started with" in refusal(
        ["run", "--resume", "played", "--rules", "other.toml"], capsys
    )
    assert "absent.toml" in refusal([*play, "--rules", "absent.toml"], capsys)


def test_training_goes_on_with_the_rules_of_its_start(zoo: Path, nowhere: Path) -> None:
    start = ("train", *FAST, "--init", str(zoo / "trained"), "--incidents", str(zoo / "many.jsonl"))
    assert answer([*start, "--out", "again"]) == 0
    assert (nowhere / "again" / RULES).read_text(encoding="utf-8") == RULE
    assert json.loads((nowhere / "again" / CARD).read_text(encoding="utf-8"))["own_rules"] is True
    (nowhere / "other.toml").write_text(RULE + OTHER, encoding="utf-8")
    assert answer([*start, "--rules", "other.toml", "--out", "again"]) == 0
    assert (nowhere / "again" / RULES).read_text(encoding="utf-8") == RULE + OTHER


def test_frequencies_keep_the_rules_and_a_checkpoint_without_rules_replaces_them(
    zoo: Path, nowhere: Path
) -> None:
    alert = {"kind": "metric", "service": "db", "name": "zorp", "direction": "up"}
    past = {"incident_id": "past", "call_graph": GRAPH, "alerts": [alert]}
    (nowhere / "past.jsonl").write_text(json.dumps(past), encoding="utf-8")
    rules = ("--rules", str(zoo / "rules.toml"))
    for start, more, kept in (
        (zoo / "trained", (), True),
        (shipped("ranker"), (), False),
        (shipped("ranker"), rules, True),
    ):
        asked = ["train", "--init", str(start), "--history", "past.jsonl", "--quiet", "--out", "mine"]
        assert answer([*asked, *more]) == 0
        assert (nowhere / "mine" / RULES).exists() == kept


def test_a_pupil_reads_names_as_its_teachers_do(
    zoo: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learn = ["train", *FAST, *SMALL, "--teacher", str(zoo / "trained"), "--teacher", str(shipped("mlp"))]
    assert answer([*learn, "--out", "pupil"]) == 0
    assert (nowhere / "pupil" / RULES).read_text(encoding="utf-8") == RULE
    shutil.copytree(zoo / "trained", nowhere / "other")
    (nowhere / "other" / RULES).write_text(OTHER, encoding="utf-8")
    hash_again(nowhere / "other")
    said = refusal([*learn, "--teacher", "other", "--out", "confused"], capsys)
    assert "different rules" in said and "--rules FILE" in said
    assert not (nowhere / "confused").exists()


@pytest.mark.parametrize(
    ("kept", "said"), [(None, "No such file"), ("[[rule]", "TOML"), (RULE.replace("tail", "moon"), "rule.0")]
)
def test_broken_rules_in_a_checkpoint_are_one_clear_line(
    kept: str | None, said: str, zoo: Path, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(zoo / "trained", nowhere / "broken")
    (nowhere / "broken" / RULES).unlink()
    if kept is not None:
        (nowhere / "broken" / RULES).write_text(kept, encoding="utf-8")
        hash_again(nowhere / "broken")
    told = refusal(["rank", str(zoo / "one.json"), "--checkpoint", "broken"], capsys)
    assert f"broken/{RULES}" in told and said in told and "train it again with --rules FILE" in told
