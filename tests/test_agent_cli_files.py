"""Files of commands: odd input is read or refused in one line, and output is complete or absent."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import answer

ROOT = Path(__file__).resolve().parents[1]
CASE = {
    "incident_id": "one",
    "call_graph": {"web": ["db"]},
    "telemetry": {"db": {"latency": {"baseline": [1, 1, 1], "incident": [5, 5]}}},
    "root_causes": ["db"],
}
LINE = json.dumps(CASE)
SCORE = ("evaluate", "--ranker", "zscore", "--incidents")
RANK = ("rank", "--ranker", "zscore")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The single line printed for unusable input."""
    assert answer(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def shell(command: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Runs `firewatch` in a shell."""
    return subprocess.run(
        ["bash", "-c", command.replace("firewatch", f"{sys.executable} -m agent", 1)],
        input=stdin,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        check=False,
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "a.jsonl: got 'nothing' – the file is empty"),
        ("\n\n", "the file is empty"),
        ("hello world", "an unknown form; known forms: Firewatch's own JSON, "),
        (f"[{LINE}", "a.jsonl:1: got 'its end' – the file ends in the middle of a value"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("command", [SCORE, ("train", "--incidents")])
def test_a_file_without_a_whole_line_is_refused(
    content: str, said: str, command: tuple[str, ...], nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.jsonl").write_text(content, encoding="utf-8")
    assert said in refusal(capsys, *command, "a.jsonl")


def test_a_torn_last_line_is_left_out_after_whole_ones_and_quietly_where_asked(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.jsonl").write_text(f'{LINE}\n{{"incident_id": "tw', encoding="utf-8")
    assert answer([*SCORE, "a.jsonl", "--json", "a.json"]) == 0
    assert (
        "a.jsonl:2: left out a torn last line"
        in shell(f"firewatch {' '.join(SCORE)} a.jsonl").stderr.decode()
    )
    assert json.loads((nowhere / "a.json").read_text())["results"][0]["n"] == 1
    quiet = shell(f"firewatch {' '.join(SCORE)} a.jsonl --quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


@pytest.mark.parametrize("dressed", [b"\xef\xbb\xbf" + LINE.encode(), gzip.compress(LINE.encode())])
def test_a_byte_order_mark_and_gzip_are_read_everywhere(
    dressed: bytes, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.jsonl").write_bytes(dressed)
    assert answer([*SCORE, "a.jsonl"]) == answer([*RANK, "a.jsonl"]) == 0
    assert "1. db" in capsys.readouterr().out
    assert b"1. db" in shell("firewatch rank --ranker zscore -", dressed).stdout


def test_bounds_are_set_from_outside(nowhere: Path) -> None:
    ended = shell("firewatch rank a.jsonl", FIREWATCH_LIMITS="x=1")
    assert ended.returncode == 2 and b"names are" in ended.stderr and ended.stderr.count(b"\n") == 1


def test_of_several_incidents_each_is_ranked_or_the_one_that_is_named(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = json.dumps({"incident_id": 2, "call_graph": {"a": []}})
    (nowhere / "a.jsonl").write_text(f"{LINE}\n\n{other}\n", encoding="utf-8")
    assert answer([*RANK, "a.jsonl"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "1. db" in captured.out and "1. a" in captured.out
    assert answer([*RANK, "a.jsonl", "--incident", "2"]) == 0
    captured = capsys.readouterr()
    assert "1. a" in captured.out and captured.err == ""
    assert "'one, 2' – there is no '3'" in refusal(capsys, *RANK, "a.jsonl", "--incident", "3")
    (nowhere / "a.jsonl").write_text(f"{LINE}\n{{broken\n{other}\n", encoding="utf-8")
    assert "a.jsonl:2: got '{broken'" in refusal(capsys, *RANK, "a.jsonl")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        (json.dumps(CASE, indent=1)[:-20], "a.json:2"),
        (LINE.replace("[5, 5]", f"[1{'0' * 5000}]"), "field 'telemetry.db.latency.incident.0' is inf"),
    ],
)
def test_a_case_that_cannot_be_read_is_one_line(
    content: str, said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.json").write_text(content, encoding="utf-8")
    assert said in refusal(capsys, *RANK, "a.json")
    assert "a.json" in refusal(capsys, "report", "a.json")


def test_half_a_letter_in_a_name_is_shown_and_written(nowhere: Path) -> None:
    (nowhere / "a.json").write_text(LINE.replace("web", "\\ud800"), encoding="utf-8")
    assert answer([*RANK, "a.json", "--json", "out.json"]) == 0
    found = json.loads((nowhere / "out.json").read_text(encoding="utf-8"))
    assert {candidate["service"] for candidate in found["candidates"]} == {"db", "�"}


def test_a_terminal_that_lacks_letters_shows_their_numbers(nowhere: Path) -> None:
    (nowhere / "a.json").write_text(LINE.replace("db", "数据"), encoding="utf-8")
    shown = shell("firewatch rank --ranker zscore a.json", PYTHONIOENCODING="latin-1")
    assert shown.returncode == 0 and rb"1. \u6570\u636e" in shown.stdout
    data = shell("firewatch rank --ranker zscore a.json --json -", PYTHONIOENCODING="latin-1")
    assert json.loads(data.stdout.decode("latin-1"))["candidates"][0]["service"] == "数据"


@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        ("- <&-", b"firewatch: stdin is closed: name a file, or pipe something in\n"),
        ("a.json >&-", b"firewatch: stdout is closed: redirect it to /dev/null if you do not need it\n"),
        ("a.json >/dev/full", b"firewatch: stdout: No space left on device\n"),
        ("a.json --json - >/dev/full", b"firewatch: stdout: No space left on device\n"),
    ],
)
def test_without_a_stream_there_is_one_line(redirected: str, said: bytes, nowhere: Path) -> None:
    (nowhere / "a.json").write_text(LINE, encoding="utf-8")
    done = shell(f"firewatch rank --ranker zscore {redirected}")
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (".", ". is a folder: name a file in it"),
        ("a.json/x", "a.json/x cannot be written (Not a directory)"),
        ("/proc/x.json", "/proc/x.json cannot be written (No such file or directory)"),
    ],
)
def test_results_that_cannot_be_written_are_refused_before_the_work(
    target: str, said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.json").write_text(LINE, encoding="utf-8")
    assert said in refusal(capsys, "collect", "--episodes", "1", "--out", "e", "--json", target)
    assert [path.name for path in nowhere.iterdir()] == ["a.json"]


def test_results_replace_earlier_ones_whole(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "a.json").write_text(LINE, encoding="utf-8")
    assert answer([*RANK, "a.json", "--json", "deep/er/out.json"]) == 0
    before = (nowhere / "deep/er/out.json").read_bytes()
    full = shell("ulimit -f 0; firewatch rank --ranker zscore a.json --top 1 --json deep/er/out.json --quiet")
    assert full.returncode == 2 and full.stderr.endswith(b"out.json: File too large\n")
    assert (nowhere / "deep/er/out.json").read_bytes() == before
    assert [path.name for path in (nowhere / "deep/er").iterdir()] == ["out.json"]


def test_reports_on_files_of_one_folder_do_not_replace_each_other(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.jsonl").write_text(LINE, encoding="utf-8")
    for name in ("one.json", "two.json"):
        assert answer([*SCORE, "a.jsonl", "--json", name, "--quiet"]) == 0
        assert answer(["report", name, "--format", "md", "--quiet"]) == 0
    assert answer(["report", "one.json", "--against", "two.json", "--format", "md", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "one-against-two.md"
    assert {path.name for path in nowhere.glob("*.md")} == {"one.md", "two.md", "one-against-two.md"}


def test_labels_from_elsewhere_are_heard_for_incidents(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "a.jsonl").write_text(LINE, encoding="utf-8")
    (nowhere / "labels.json").write_text('{"one": ["web"], "easy/3": ["db"]}', encoding="utf-8")
    found = []
    for options in ([], ["--labels", "labels.json"]):
        assert answer([*SCORE, "a.jsonl", *options, "--json", "-"]) == 0
        captured = capsys.readouterr()
        found.append(json.loads(captured.out)["results"][0]["ac@1"])
    assert found == [1.0, 0.0]
    assert captured.err.strip() == "--labels: 1 of 2 match nothing that was read, such as 'easy/3'"


def test_a_root_cause_that_is_no_service_is_said(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [LINE, LINE.replace('causes": ["db"]', 'causes": ["bd"]')]
    (nowhere / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert answer([*SCORE, "a.jsonl"]) == 0
    assert capsys.readouterr().err.strip() == (
        "Root causes that are not services of their incident: 1, such as 'bd' of 'one'; they count as missed"
    )
    assert answer([*SCORE, "a.jsonl", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_help_shows_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["evaluate", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert '"<difficulty>/<seed>" or "<incident_id>": [services]}.' in shown


def test_options_are_refused_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, *RANK, "a.json", "--top", "0").endswith(
        "'--top': give a number greater than or equal to 1\n"
    )
