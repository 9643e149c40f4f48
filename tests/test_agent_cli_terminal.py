"""`run` on a real terminal: the live table, questions, and the evaluator's lines."""

import json
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from post_mortems import write_post_mortems

from agent.cli import answer
from data.actions import REMEDIES

RUN = ("run", "--env", "embedded", "--ranker", "heuristic", "--policy", "rules", "--out", "r")
TASK = ("--task", "task_easy_oom_baseline")
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on its own terminal; shows its output and sends keys.

    Forked, so that what is imported already need not be again.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process, self._ours = pty.fork()
        if not self._process:
            _become(folder, arguments)
        self.shown = ""
        self.status = -1

    def read(self) -> Iterator[str]:
        """All output so far, each time there is more, until the end."""
        while True:
            try:
                more = os.read(self._ours, 65536)
            except OSError:  # how a terminal ends when nobody writes to it any more
                more = b""
            if not more:
                os.close(self._ours)
                self.status = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
                return
            self.shown += more.decode(errors="replace")
            yield self.shown

    def interrupt(self) -> None:
        os.kill(self._process, signal.SIGINT)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())


def _become(folder: Path, arguments: Sequence[str]) -> NoReturn:
    """Turns this process into the command, on the terminal that it is on."""
    status = 1
    try:
        termios.tcsetwinsize(0, (50, 150))
        os.chdir(folder)
        os.environ |= {"TERM": "xterm", "COLUMNS": "150"}
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        status = answer(arguments)
    finally:
        os._exit(status)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "API_BASE_URL", "SPACE_URL", "INFERENCE_REPORT_REWARDS"):
        monkeypatch.delenv(name, raising=False)


def test_lines_stand_above_what_moves(tmp_path: Path) -> None:
    # Pauses so that the display updates before the next line.
    terminal = Terminal(tmp_path, *RUN, *TASK, "--watch", "--pace", "0.2")
    assert list(terminal.read()) and terminal.status == 0
    # The progress display is erased and the cursor moved back before a line is written.
    lines = [_CODES.sub("", line).strip("\r").rpartition("\r")[2] for line in terminal.shown.split("\n")]
    steps = [json.loads(line) for line in (tmp_path / "r/steps.jsonl").read_text().splitlines()]
    told = [line for line in lines if "[STEP]" in line]
    assert len(told) == len(steps)
    assert all(re.fullmatch(r"\[STEP\] step=\d+ action=\S+ done=(true|false) error=null *", t) for t in told)
    assert sum(bool(re.fullmatch(r"\[END\] success=true steps=\d+ *", line)) for line in lines) == 1


def test_a_person_is_asked_before_each_remedy(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, *RUN, *TASK, "--approve", "--watch", "--pace", "0")
    answered = 0
    for shown in terminal.read():
        if shown.count("send it? [y/N]") > answered:
            answered += 1
            terminal.type("\n" if answered == 1 else "y\n")
    assert terminal.status == 0
    steps = [json.loads(line) for line in (tmp_path / "r/steps.jsonl").read_text().splitlines()]
    wanted = [step["recommended"] for step in steps if step["recommended"] is not None]
    assert [step["reason"] for step in steps[:1]] == ["declined by the operator"]
    sent = [step["action"] for step in steps if step["action"]["action_type"] in REMEDIES]
    assert answered == len(wanted) + len(sent) and len(wanted) == 1 and sent[0] == wanted[0]


def test_ctrl_c_ends_the_question(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, *RUN, *TASK, "--approve")
    for shown in terminal.read():
        if shown.endswith("send it? [y/N] "):
            terminal.interrupt()
    assert terminal.status == 130
    assert "[END] success=false steps=0" in terminal.shown and "--resume r" in terminal.shown
    assert "Traceback" not in terminal.shown


def test_each_stage_of_a_training_has_a_bar(tmp_path: Path, tiny_ranker: Path) -> None:
    write_post_mortems(tmp_path / "few.jsonl", 4)
    start = ("--init", str(tiny_ranker), "--incidents", "few.jsonl")
    terminal = Terminal(tmp_path, "train", *start, "--epochs", "2", "--device", "cpu", "--out", "r")
    assert list(terminal.read()) and terminal.status == 0
    last = _CODES.sub("", terminal.shown).rpartition("examples read")[2]
    bars = re.findall(r"^([a-z -]*?) +[━╸╺ ]+ (\d+/\d+) ", last, re.MULTILINE)
    assert bars == [
        ("", "4/4"),
        ("epochs of cross-validation", "8/8"),
        ("epochs", "2/2"),
        ("checkpoint written", "1/1"),
    ]
    assert re.search(r"^epochs .* 2/2 .* loss \d", last, re.MULTILINE)


def test_a_training_moves_a_bar_and_says_how_to_go_on(tmp_path: Path) -> None:
    options = ("--simulate", "24", "--epochs", "2000", "--hidden", "8", "--layers", "1", "--device", "cpu")
    terminal = Terminal(tmp_path, "train", *options, "--out", "r")
    interrupted = False
    for shown in terminal.read():
        if not interrupted and re.search(r"[1-9]\d*/2000", _CODES.sub("", shown)):
            terminal.interrupt()
            interrupted = True
    assert interrupted and terminal.status == 130
    plain = _CODES.sub("", terminal.shown)
    assert "AC@1 on held-out" in plain and "firewatch train --resume r" in plain
    assert "Traceback" not in plain
