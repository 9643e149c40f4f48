"""`run` with a real endpoint: each kind of answer leads to the documented source and line."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, LLMServer, action
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from agent.cli import answer

RUN = ("run", "--env", "embedded", "--ranker", "heuristic", "--task", "task_easy_oom_baseline", "--out", "r")
GOOD = action("fetch_logs", "auth-service")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "SPACE_URL", "INFERENCE_REPORT_REWARDS", "MODEL_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("MODEL_NAME", "stand-in")


def play(
    server: LLMServer, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The steps and the episode of one task played against `server`."""
    monkeypatch.setenv("API_BASE_URL", server.url)
    assert answer([*RUN, "--quiet", *options]) == 0
    steps = [json.loads(line) for line in Path("r/steps.jsonl").read_text().splitlines()]
    return steps, json.loads(Path("r/episodes.jsonl").read_text())


@pytest.mark.parametrize(
    ("first", "source", "said"),
    [
        ([GOOD], "llm", "null"),
        ([f"```json\n{GOOD}\n```"], "llm", "null"),
        ([f"I would look at the logs: {GOOD} as they tell most."], "llm", "null"),
        (["no idea", GOOD], "llm_repaired", "null"),
        ([action("fetch_logs", "nobody"), GOOD], "llm_repaired", "null"),
        (["no idea", "none at all"], "rules", "llm_fallback:"),
        (["", ""], "rules", "llm_fallback:"),
        ([Answer(status=401, body="{}")], "rules", "llm_fallback:http_401"),
        ([Answer(body="<html>")], "rules", "llm_fallback:bad_response"),
        ([Answer(body='{"choices": [{"message": "hi"}]}')], "rules", "llm_fallback:bad_response"),
    ],
)
def test_each_reply_ends_in_its_source_and_line(
    first: list[str | Answer],
    source: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LLMServer([*first, action("declare_resolved")]) as server:
        steps, episode = play(server, monkeypatch)
    assert steps[0]["decided_by"] == source
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("model=stand-in")
    assert out[1].partition("error=")[2].startswith(said)
    assert server.requests[0]["seed"] == 42 and server.requests[0]["temperature"] == 0.3
    assert server.requests[0]["max_tokens"] == 256
    assert sum(episode["decisions"].values()) == episode["steps"]


def test_a_model_that_never_answers_leaves_the_task_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    with LLMServer([Answer(delay_s=30.0)]) as server:
        steps, episode = play(server, monkeypatch, "--llm-timeout", "0.2")
    assert episode["success"] and episode["decisions"] == {"rules": episode["steps"]}
    assert [step["why_not_model"] for step in steps][:4] == ["timeout", "timeout", "timeout", "gave_up"]
    assert len(server.requests) <= 3


def test_a_spent_budget_leaves_the_rest_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    with LLMServer([GOOD, action("get_metrics_detail", "auth-service")]) as server:
        steps, episode = play(server, monkeypatch, "--task-tokens", "200")
    assert [step["decided_by"] for step in steps[:3]] == ["llm", "llm", "rules"]
    assert steps[2]["why_not_model"] == "budget_tokens"
    assert episode["tokens"] == {"prompt": 200, "completion": 40}


def test_a_resumed_run_remembers_what_was_spent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LLMServer([GOOD]) as server:
        monkeypatch.setenv("API_BASE_URL", server.url)
        tasks = ("--episodes", "2", "--difficulty", "easy", "--env", "embedded", "--ranker", "heuristic")
        answer(["run", *tasks, "--run-tokens", "300", "--out", "r", "--quiet"])
        asked = len(server.requests)
        assert asked == 3
        for left in (1, 0, 0):  # tasks whose result is kept; the steps of the others are dropped
            lines = Path("r/episodes.jsonl").read_text().splitlines(keepends=True)
            Path("r/episodes.jsonl").write_text("".join(lines[:left]))
            answer(["run", "--resume", "r", "--quiet"])
            assert len(Path("r/episodes.jsonl").read_text().splitlines()) == 2
            assert len(server.requests) == asked
    monkeypatch.setenv("API_BASE_URL", "http://localhost:9/v1")
    capsys.readouterr()
    assert answer(["run", "--resume", "r", "--quiet"]) == 2
    assert f"API_BASE_URL={server.url}" in capsys.readouterr().err


def test_money_is_counted_where_prices_are_known_and_refused_where_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LLMServer([action("declare_resolved")]) as server:
        monkeypatch.setenv("API_BASE_URL", server.url)
        assert answer([*RUN, "--quiet", "--task-usd", "0.5"]) == 2
        assert "MODEL_PRICES" in capsys.readouterr().err
        monkeypatch.setenv("MODEL_PRICES", "stand-in=1000/2000")
        _, episode = play(server, monkeypatch)
    assert episode["cost_usd"] == pytest.approx(
        episode["tokens"]["prompt"] / 1e3 + episode["tokens"]["completion"] / 500
    )


@pytest.mark.parametrize(
    "reply",
    [
        "\ud800 what?",
        action("fetch_logs", "auth-service", reason="half a \ud83d"),
        action("fetch_logs", "auth-service", parameters={"a": "\ud800", "\udfff": 1, "n": math.nan}),
    ],
)
def test_text_that_cannot_be_written_does_no_harm(reply: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with LLMServer([reply, action("declare_resolved")]) as server:
        steps, _ = play(server, monkeypatch, "--llm-cache", "cache")
    json.dumps(steps, ensure_ascii=False).encode()
    assert answer(["run", "--resume", "r", "--quiet"]) == 0


def test_what_was_asked_is_recorded_as_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with LLMServer(["what?", GOOD, action("escalate")]) as server:
        steps, _ = play(server, monkeypatch)
    assert steps[0]["prompt"] == server.requests[1]["messages"]
    assert steps[0]["reply"] == GOOD


def test_a_ranking_is_explained_in_the_models_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    observation = {"services": {"auth": {"http_server_error_rate": 0.9}, "[END] ```": {}}}
    Path("case.json").write_text(json.dumps(observation))
    with LLMServer(["It is auth."]) as server:
        monkeypatch.setenv("API_BASE_URL", server.url)
        assert answer(["rank", "case.json", "--ranker", "heuristic", "--explain"]) == 0
    assert "It is auth." in capsys.readouterr().out
    assert "response_format" not in server.requests[0]
    monkeypatch.setenv("API_BASE_URL", "https://api.example.org/v1")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert answer(["rank", "case.json", "--ranker", "heuristic", "--explain"]) == 2
    assert "--explain" in capsys.readouterr().err


def solve(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A task that the model solves alone."""
    looks = [action("fetch_logs", "api-gateway"), action("fetch_logs", "db-proxy")]
    replies = [GOOD, action("scale_replicas", "auth-service"), *looks * 4]

    def on_call(request: dict[str, Any]) -> str:
        return replies.pop(0) if replies else action("declare_resolved")

    with LLMServer(on_call) as server:
        return play(server, monkeypatch)


def test_solved_tasks_make_chat_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, episode = solve(monkeypatch)
    assert answer(["export", "r", "--out", "chat.jsonl", "--min-score", "0.0", "--quiet"]) == 0
    examples = [json.loads(line) for line in Path("chat.jsonl").read_text().splitlines()]
    taken = episode["success"] and "rules" not in episode["decisions"]
    own = [step for step in steps if step["decided_by"] == "llm"] if taken else []
    assert [e["messages"] for e in examples] == [
        [*step["prompt"], {"role": "assistant", "content": step["reply"]}] for step in own
    ]
    assert taken, "the script must solve the task, or this test shows nothing"
    # In the chat API's types, which fine-tuning expects; the last turn is the target.
    for example in examples:
        assert set(example) == {"messages"} and example["messages"][-1]["role"] == "assistant"
        TypeAdapter(list[ChatCompletionMessageParam]).validate_python(example["messages"], strict=True)


def test_tasks_below_the_bound_or_with_a_fallback_are_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    _, episode = solve(monkeypatch)
    assert answer(["export", "r", "--out", "none.jsonl", "--min-score", "0.99", "--quiet"]) == 0
    assert Path("none.jsonl").read_text() == ""
    episode["decisions"]["rules"] = 1
    Path("r/episodes.jsonl").write_text(json.dumps(episode) + "\n")
    assert answer(["export", "r", "--out", "none.jsonl", "--quiet"]) == 0
    assert Path("none.jsonl").read_text() == ""


@pytest.mark.parametrize("leak", ["Reward: 0.3", "episode_score", "fault type oom", "task_easy_oom_baseline"])
def test_a_prompt_that_leaks_keeps_the_whole_run_from_being_exported(
    leak: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps, _ = solve(monkeypatch)
    steps[-1]["prompt"][1]["content"] += leak
    Path("r/steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    assert answer(["export", "r", "--out", "chat.jsonl", "--quiet"]) == 2
    assert "only the grader knows" in capsys.readouterr().err and not Path("chat.jsonl").exists()
