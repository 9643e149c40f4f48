"""What a hostile or broken endpoint can do to a run: cost it one answer, and nothing else."""

import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, LLMServer, action
from situations import observation, service, situation

from agent.llm.budget import Budget, Price
from agent.llm.client import LONGEST_TOKEN, ChatModel, LlmSettings
from agent.policies.registry import make_policy
from agent.situation.decision import Decision

KEY = "sk-very-secret-key"
BROKEN = situation(observation(api=service(), db=service(error_rate=0.9)), calls={"api": ("db",)})
GOOD = action("restart_service", "db", reason="db is failing")
MIB = 2**20


def decide(url: str, times: int = 1, **changes: Any) -> list[Decision]:
    async def play() -> list[Decision]:
        given: dict[str, Any] = {"models": ("m",), "max_retries": 0, "total_timeout_s": 60.0, **changes}
        model = ChatModel(LlmSettings(url, KEY, **given))
        made = [await make_policy("llm", model=model).decide(BROKEN) for _ in range(times)]
        await model.aclose()
        return made

    return asyncio.run(play())


def completion(text: Any = GOOD, **fields: Any) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}], **fields})


@pytest.mark.parametrize("packed", [True, False])
def test_an_answer_takes_no_more_memory_than_is_allowed(packed: bool) -> None:
    pack = zlib.compressobj(9, wbits=31)
    parts = [pack.compress(b"x" * MIB) for _ in range(300)] if packed else [b"x" * 20 * MIB]
    answer = Answer(
        body=b"".join(parts) + (pack.flush() if packed else b""),
        headers={"Content-Encoding": "gzip"} if packed else None,
    )
    with LLMServer([answer]) as server:
        tracemalloc.start()
        (decision,) = decide(server.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (decision.source, decision.fallback) == ("rules", "bad_response")
    assert peak < 25 * MIB


def test_a_packed_answer_of_ordinary_size_is_read() -> None:
    body = gzip.compress(completion().encode())
    with LLMServer([Answer(body=body, headers={"Content-Encoding": "gzip"})]) as server:
        assert decide(server.url)[0].source == "llm"


def test_a_reply_is_kept_to_what_was_asked_for() -> None:
    with LLMServer([GOOD + "x" * 500_000]) as server:
        (decision,) = decide(server.url, max_tokens=32)
    assert decision.source == "llm" and len(decision.reply or "") == 32 * LONGEST_TOKEN


DEEP = "[" * 100_000 + "]" * 100_000
HOSTILE = [
    DEEP,
    '{"choices": ' + DEEP + "}",
    completion(usage={"prompt_tokens": 5}).replace("5", "9" * 400),
    completion(usage={"prompt_tokens": 5}).replace("5", "9" * 5000),
    completion(usage={"prompt_tokens": -7_000_035, "completion_tokens": -1}),
    completion(usage={"prompt_tokens": True, "completion_tokens": 1e300}),
    completion(usage=[[1]]),
    completion("\ud800 " + GOOD),
    completion(action("restart_service", "db\udfff")),
    completion('{"action_type": ' + "{" * 3000),
    completion(GOOD[:-1] + ', "x": ' + "9" * 5000 + "}"),
    completion({"not": "a text"}),
    completion(None),
    '{"choices": [{"message": {"tool_calls": [{"function": {"arguments": 3}}]}}]}',
    "\ufeff" + completion(),
    "NaN",
    "",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_one_answer_never_ends_a_run_and_its_counts_never_defeat_a_budget(body: str) -> None:
    prices, budget = {"m": Price(1.0, 1.0)}, Budget(tokens=10**9)
    with LLMServer([Answer(body=body)]) as server:
        (decision,) = decide(server.url, prices=prices, run_budget=budget)
    usage = decision.usage
    assert str(decision.action) == "restart_service:db" or decision.source == "rules"
    assert 0 <= usage.prompt_tokens < 10**7 and 0 <= usage.completion_tokens < 10**7 and usage.cost_usd >= 0
    json.dumps([decision.reply, decision.prompt], ensure_ascii=False).encode()


def test_negative_counts_leave_a_budget_as_it_is() -> None:
    with LLMServer([Answer(GOOD, usage={"prompt_tokens": -7_000_035, "completion_tokens": 20})]) as server:
        made = decide(server.url, times=4, run_budget=Budget(tokens=1000))
    assert made[-1].fallback == "budget_tokens"


def test_spoilt_answers_are_a_reply_or_a_cause() -> None:
    chance = random.Random(7)
    whole = completion(usage={"prompt_tokens": 100, "completion_tokens": 20})
    parts = [
        "{",
        "}",
        "[",
        '"',
        "\\ud83d",
        "\x00",
        "null",
        "-1",
        "1e999",
        "9" * 400,
        "[" * 500,
        "é",
        ",",
        ":",
    ]

    def spoil(_: Any) -> Answer:
        text = whole
        for _ in range(chance.randint(1, 6)):
            at, drop = chance.randrange(len(text)), chance.choice((0, 1, 3, 20))
            text = text[:at] + chance.choice(parts) + text[at + drop :]
        return Answer(body=text)

    with LLMServer(spoil) as server:
        made = decide(server.url, times=200)
    assert {d.source for d in made} <= {"llm", "llm_repaired", "rules"}
    assert all(d.source != "rules" or d.fallback for d in made)


def test_the_model_s_time_is_the_only_time_limit_and_nothing_is_sent_twice() -> None:
    with LLMServer([Answer(GOOD, delay_s=1.2)]) as server:
        assert decide(server.url, max_retries=2, total_timeout_s=10.0)[0].source == "llm"
        assert decide(server.url, max_retries=2, total_timeout_s=0.3)[0].fallback == "timeout"
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_prompt_or_the_key_elsewhere(status: int) -> None:
    with (
        LLMServer([GOOD]) as other,
        LLMServer([Answer(status=status, headers={"Location": f"{other.url}/chat/completions"})]) as server,
    ):
        (decision,) = decide(server.url)
        assert (decision.source, decision.fallback) == ("rules", f"http_{status}")
        assert other.requests == []


def test_a_key_that_the_endpoint_echoes_is_not_kept(tmp_path: Path) -> None:
    echo = action("restart_service", "db", reason=f"Authorization: Bearer {KEY}")
    with LLMServer([echo, f"no {KEY}"]) as server:
        made = decide(server.url, times=2, cache_dir=tmp_path)
    assert made[0].source == "llm" and KEY not in repr(made)
    assert all(KEY not in file.read_text() for file in tmp_path.iterdir())


def test_a_base_url_with_a_query_keeps_it_with_each_request() -> None:
    with LLMServer([GOOD]) as server:
        (decision,) = decide(server.url + "?api-version=2024-06-01&empty=#part")
        assert server.paths == ["/v1/chat/completions?api-version=2024-06-01&empty="]
    assert decision.source == "llm"


@pytest.mark.parametrize(
    "spoilt", [b"", b"{", b"[1]", b'{"text": 3}', b"\xff\xfe", DEEP.encode(), b'{"text": "\\ud800"}']
)
def test_a_damaged_cache_is_asked_anew(tmp_path: Path, spoilt: bytes) -> None:
    with LLMServer([GOOD]) as server:
        decide(server.url, cache_dir=tmp_path)
        (file,) = tmp_path.iterdir()
        file.write_bytes(spoilt)
        (decision,) = decide(server.url, cache_dir=tmp_path)
    assert decision.source in ("llm", "llm_repaired")


def test_a_cache_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with LLMServer([GOOD]) as server:
        (decision,) = decide(server.url, cache_dir=tmp_path / "file")
    assert decision.source == "llm"
