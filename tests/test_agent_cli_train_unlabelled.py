"""`train` without labels from outside: on healthy data, on past incidents, and refused."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from agent.cli import answer
from agent.cli.train import REQUEST
from agent.cli.training_progress import TrainingProgress
from gnn.training.train import Epoch

SMALL = ("train", "--hidden", "8", "--layers", "1", "--device", "cpu", "--simulate", "30", "--epochs", "1")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has not seen any real system."""
    folder = tmp_path_factory.mktemp("start") / "one"
    assert answer([*SMALL, "--out", str(folder), "--quiet"]) == 0
    return folder


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The single line printed for unusable arguments; nothing is written."""
    assert answer(["train", "--device", "cpu", *arguments, "--quiet", "--out", "out"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert not Path("out").exists() or not list(Path("out").iterdir())
    return captured.err


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in load_file(folder / "model.safetensors").items()}


@pytest.fixture
def healthy(nowhere: Path) -> Path:
    """Windows of a small healthy system, one a line."""
    calm = [100.0, 100.0, 99.0, 100.0, 98.0, 100.0, 100.0, 99.0, 100.0, 100.0]
    slow = [0.20, 0.21, None, 0.19, 0.22, 0.20, 0.18, 0.21, 0.20, 0.19]
    metrics = {
        name: {"baseline": values, "incident": [None]}
        for name, values in (("availability_Average", calm), ("latency_p99", slow))
    }
    window = {
        "incident_id": "w",
        "system": "shop",
        "call_graph": {"shop": ["cart"], "cart": ["db"], "db": []},
        "telemetry": dict.fromkeys(("shop", "cart", "db"), metrics),
    }
    path = nowhere / "windows.jsonl"
    path.write_text(json.dumps(window) + "\n", encoding="utf-8")
    return path


def test_healthy_windows_adapt_a_checkpoint_without_labels(nowhere: Path, healthy: Path, start: Path) -> None:
    options = ("train", "--device", "cpu", "--init", str(start), "--healthy", str(healthy))
    fast = ("--simulate", "30", "--epochs", "1", "--quiet")
    assert answer([*options, *fast, "--out", "mine", "--json", "mine.json"]) == 0
    card = json.loads((nowhere / "mine.json").read_text(encoding="utf-8"))
    assert 0 < card["trained_on"]["shop, simulated faults"] <= 30
    assert sum(card["trained_on"].values()) > 60
    assert card["metrics"]["dev_ac@1"] >= card["metrics"]["dev_ac@1_before"]
    assert answer([*options, *fast, "--out", "again"]) == 0
    assert weights(nowhere / "mine") == weights(nowhere / "again")


def test_an_interrupted_adaptation_to_health_goes_on_with_the_same_windows(
    nowhere: Path,
    healthy: Path,
    start: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("train", "--device", "cpu", "--init", str(start), "--healthy", "windows.jsonl")
    options = (*options, "--simulate", "20", "--epochs", "2", "--quiet")

    def interrupted(self: TrainingProgress, epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingProgress, "epoch_done", interrupted)
        assert answer([*options, "--out", "mine"]) == 130
    assert json.loads((nowhere / "mine" / REQUEST).read_text(encoding="utf-8"))["healthy"] == [str(healthy)]
    assert answer(["train", "--resume", "mine", "--healthy", "others.jsonl"]) == 2
    assert "--healthy: mine was started with" in capsys.readouterr().err
    assert answer(["train", "--resume", "mine", "--quiet"]) == 0
    assert answer([*options, "--out", "whole"]) == 0
    assert weights(nowhere / "mine") == weights(nowhere / "whole")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--init", "{one}", "--healthy", "absent.jsonl"], "absent.jsonl"),
        (["--init", "{one}", "--healthy", "alerts.jsonl"], "no known metric with two healthy points"),
        (["--init", "{one}", "--healthy", "idle.jsonl", "--simulate", "20"], "receives requests"),
        (["--init", "{one}", "--healthy", "windows.jsonl", "--patience", "2"], "--patience: not"),
        (["--healthy", "windows.jsonl"], "name one with --init"),
        (
            ["--init", "{one}", "--healthy", "windows.jsonl", "--incidents", "windows.jsonl"],
            "--incidents: not",
        ),
    ],
)
def test_unusable_windows_are_one_clear_line_and_status_2(
    arguments: list[str],
    said: str,
    nowhere: Path,
    healthy: Path,
    start: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bare = {"incident_id": "a", "call_graph": {"shop": []}, "telemetry": {}}
    (nowhere / "alerts.jsonl").write_text(json.dumps(bare) + "\n", encoding="utf-8")
    window = json.loads(healthy.read_text(encoding="utf-8"))
    unasked = {**window["telemetry"]["db"], "requests_Sum": {"baseline": [0.0] * 10, "incident": [None]}}
    window["telemetry"] = dict.fromkeys(window["call_graph"], unasked)
    (nowhere / "idle.jsonl").write_text(json.dumps(window) + "\n", encoding="utf-8")
    assert said in refusal([argument.format(one=start) for argument in arguments], capsys)


@pytest.fixture
def alerts(nowhere: Path) -> Path:
    """A shop's past incidents as alerts: mailer has alerts in each, stock also in the last."""
    path = nowhere / "past.jsonl"
    usual = [{"kind": "log", "service": "mail", "name": f"retry {kind}", "direction": "up"} for kind in "abc"]
    news = {"kind": "log", "service": "stock", "name": "disk full", "direction": "up"}
    graph = {"front": ["stock", "mail"], "stock": [], "mail": []}
    lines = [
        {"incident_id": f"past-{number}", "system": "shop", "call_graph": graph, "alerts": [*usual, *more]}
        for number, more in enumerate([[]] * 12 + [[news]])
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_past_incidents_teach_what_is_usual_without_a_label(
    nowhere: Path, alerts: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = alerts.read_text(encoding="utf-8").splitlines()[-1]
    (nowhere / "now.json").write_text(asked, encoding="utf-8")
    assert (
        answer(["train", "--init", str(start), "--history", "past.jsonl", "--out", "mine", "--json", "-"])
        == 0
    )
    captured = capsys.readouterr()
    assert captured.err.endswith(
        f"mine: the network of {start}, with the alert frequencies of {{'shop': 13}}\n"
    )
    assert json.loads(captured.out)["history"] == {"shop": 13}
    assert not (nowhere / "mine" / REQUEST).exists()
    chances = []
    for folder in (str(start), "mine"):
        assert answer(["rank", "now.json", "--checkpoint", folder, "--json", "-", "--quiet"]) == 0
        ranked = json.loads(capsys.readouterr().out)["candidates"]
        chance = {each["service"]: each["probability"] for each in ranked}
        chances.append(chance["stock"] / chance["mail"])
    assert chances[1] > 1.1 * chances[0]


@pytest.mark.parametrize(("root", "heard"), [("stock", True), ("mail", False)])
def test_one_file_may_hold_labelled_and_other_past_incidents(
    root: str, heard: bool, nowhere: Path, alerts: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in alerts.read_text(encoding="utf-8").splitlines()]
    for line in lines[-4:]:
        line.update(root_causes=[root], alerts=lines[-1]["alerts"])
    (nowhere / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    options = ["train", "--init", str(start), "--incidents", "all.jsonl", "--history", "all.jsonl"]
    assert answer([*options, "--history", "past.jsonl", "--out", "mine", "--json", "mine.json"]) == 0
    card = json.loads((nowhere / "mine.json").read_text(encoding="utf-8"))
    assert card["trained_on"] == {"shop": 4}
    assert card["history"] == ({"shop": 9} if heard else {})
    assert ("The past incidents are not used" in capsys.readouterr().err) != heard


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--history", "past.jsonl"], "--history: name what"),
        (["--history", "absent.jsonl", "--init", "{one}"], "absent.jsonl"),
        (["--history", "past.jsonl", "--init", "{one}", "--simulate", "8"], "--simulate: not together"),
        (["--history", "past.jsonl", "--init", "{one}", "--dev-incidents", "past.jsonl"], "--dev-incidents"),
        (["--history", "past.jsonl", "--init", "{one}", "--healthy", "past.jsonl"], "--history: not"),
        (["--history", "past.jsonl", "--teacher", "{one}", "--simulate", "8"], "--simulate: not"),
        (["--history", "windows.jsonl", "--init", "{one}"], "hold no alerts"),
        (["--history", "windows.jsonl", "--incidents", "known.jsonl"], "hold no alerts"),
        (["--history", "empty.jsonl", "--init", "{one}"], "empty.jsonl: got 'nothing'"),
        (["--history", "known.jsonl", "--incidents", "known.jsonl"], "no incident that is not labelled"),
        (["--history", "past.jsonl", "--init", "{one}", "--epochs", "3"], "--epochs: on --history alone"),
        (["--history", "past.jsonl", "--incidents", "past.jsonl"], "no incident with a label"),
        (
            ["--history", "past.jsonl", "--incidents", "elsewhere.jsonl"],
            "another system: it has services such as 'front' and none of those learnt from, such as 'cart'",
        ),
    ],
)
def test_an_unusable_history_is_one_clear_line_and_status_2(
    arguments: list[str],
    said: str,
    nowhere: Path,
    healthy: Path,
    alerts: Path,
    start: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (nowhere / "empty.jsonl").write_text("", encoding="utf-8")
    known = json.loads(alerts.read_text(encoding="utf-8").splitlines()[-1])
    (nowhere / "known.jsonl").write_text(json.dumps({**known, "root_causes": ["stock"]}), encoding="utf-8")
    elsewhere = {"incident_id": "x", "call_graph": {"shop": ["cart"]}, "root_causes": ["cart"]}
    (nowhere / "elsewhere.jsonl").write_text(json.dumps(elsewhere), encoding="utf-8")
    assert said in refusal([argument.format(one=start) for argument in arguments], capsys)
