"""A model in this process: whatever its weights, its replies can be used, and its prompts fit."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from golden_prompts import CASES
from tiny_model import make_tiny_adapter, make_tiny_model

from agent.cli import answer
from agent.llm.client import LlmSettings, ModelFault
from agent.llm.local import LocalModel
from agent.llm.prompt import build_prompt
from agent.llm.prompt_budget import PromptBudget
from agent.llm.reply import WAIT, Choice, parse_reply
from agent.policies.rules import proposals
from agent.situation.decision import Message, Situation
from data.actions import takes_target

SETTINGS = LlmSettings("", "none", ("tiny",), temperature=1.5, max_tokens=400)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def said(model: LocalModel, here: Situation, seed: int = 0) -> str:
    """The reply to a prompt about `here`."""
    asked = model.ask(build_prompt(here), seed, model.new_ledger(), Choice.of(here))
    return asyncio.run(asked).text


@pytest.mark.parametrize("case", ["first_look", "hostile", "nothing_there"])
def test_random_weights_write_usable_replies(tiny: Path, case: str) -> None:
    model, here = LocalModel(SETTINGS, tiny), CASES[case]()
    for seed in range(2):
        text = said(model, here, seed)
        wanted, fields = parse_reply(text, here), json.loads(text)
        assert set(fields) == {"action_type", "target_service", "reason"}
        kind = wanted.action.action_type
        assert (fields["target_service"] is not None) == (kind != WAIT and takes_target(kind))


def test_what_was_read_before_changes_no_reply(tiny: Path) -> None:
    model = LocalModel(replace(SETTINGS, temperature=0.0), tiny)
    situations = [CASES[name]() for name in ("first_look", "nothing_there")]
    alone = [said(LocalModel(replace(SETTINGS, temperature=0.0), tiny), here) for here in situations]
    assert [said(model, here) for here in situations] == alone
    assert [said(model, here) for here in reversed(situations)] == alone[::-1]


def test_a_question_ends_when_its_time_is_up(tiny: Path) -> None:
    model = LocalModel(replace(SETTINGS, total_timeout_s=0.001), tiny)
    with pytest.raises(ModelFault, match="timeout"):
        said(model, CASES["first_look"]())


def words(messages: Sequence[Message]) -> int:
    return sum(len(message["content"].split()) for message in messages)


@pytest.mark.parametrize("case", sorted(CASES.keys() - {"investigation"}))  # that one is short as it is
def test_prompts_fit_their_budget_and_keep_what_matters_most(case: str) -> None:
    here = CASES[case]()
    whole = build_prompt(here, proposals=proposals(here))
    assert build_prompt(here, True, proposals(here), PromptBudget(words(whole), words)) == whole
    shown: set[str] = set()
    for tokens in range(120, words(whole), 40):
        fitted = build_prompt(here, True, proposals(here), PromptBudget(tokens, words))
        assert words(fitted) <= tokens
        lines = {line for line in fitted[1]["content"].splitlines() if line.startswith("| ")}
        assert shown <= lines or "services" not in fitted[1]["content"]  # more room, nothing less
        shown = lines if lines else shown


def test_a_small_budget_shows_what_the_rules_would_do_and_little_else() -> None:
    here = CASES["first_look"]()
    fitted = build_prompt(here, True, proposals(here), PromptBudget(75, words))
    assert "What simple rules would do" in fitted[1]["content"]
    assert "Alerts:" not in fitted[1]["content"]


def test_a_run_is_played_without_key_or_server(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "API_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "run"
    line = (
        f"run --env embedded --episodes 1 --difficulty easy --policy llm --model {tiny} --out {out} --quiet"
    )
    assert answer([*line.split(), "--prompt-budget", "1200"]) == 0
    steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert {step["why_not_model"] for step in steps} <= {None, "refused", "gave_up"}
    assert {step["model"] for step in steps} <= {str(tiny), None}
    assert all(step["tokens"]["prompt"] <= 3000 for step in steps)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("adapter_config.json", b"{}"),
        ("adapter_config.json", b"["),
        ("adapter_config.json", None),
        ("adapter_model.safetensors", b"torn"),
        ("adapter_model.safetensors", None),
    ],
)
def test_a_damaged_adapter_is_refused_in_one_line(
    tiny: Path, tmp_path: Path, file: str, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = make_tiny_adapter(tiny, tmp_path / "adapter")
    (adapter / file).unlink()
    if content is not None:
        (adapter / file).write_bytes(content)
    line = f"run --env embedded --policy llm --model {tiny} --adapter {adapter} --out {tmp_path / 'run'}"
    capsys.readouterr()
    assert answer(line.split()) == 2
    said = capsys.readouterr().err
    assert str(adapter) in said and said.count("\n") == 1


@pytest.mark.parametrize("wrong", ["--model nowhere", "--adapter nowhere --model {tiny}"])
def test_a_model_that_is_not_there_is_refused_in_one_line(
    tiny: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    assert answer(f"run --env embedded --policy llm {wrong.format(tiny=tiny)}".split()) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "nowhere" in told
