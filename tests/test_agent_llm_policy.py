"""Every path from a model's answer, or its lack, to the documented decision, over a real HTTP endpoint."""

import asyncio
import json
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import openai  # noqa: F401 – takes longer to import than a question may take
import pytest
from llm_server import Answer, LLMServer, action
from situations import observation, service, situation

from agent.llm.budget import Budget, Price
from agent.llm.client import ChatModel, LlmSettings
from agent.llm.reply import Choice
from agent.policies.registry import make_policy
from agent.situation.decision import Decision, PastStep, Situation
from data.actions import LOOKS
from data.errors import SettingsError
from data.observation import Action

KEY = "sk-very-secret-key"
BROKEN = situation(observation(api=service(), db=service(error_rate=0.9)), calls={"api": ("db",)})
GOOD = action("restart_service", "db", reason="db is failing")


def settings(server: LLMServer, **changes: Any) -> LlmSettings:
    defaults: dict[str, Any] = {
        "models": ("first",),
        "total_timeout_s": 20.0,
        "max_retries": 0,
    }
    return LlmSettings(server.url, KEY, **{**defaults, **changes})


def decisions(
    server: LLMServer, situations: Iterable[Situation] = (BROKEN,), **changes: Any
) -> list[Decision]:
    """The model policy's decisions in `situations`, played as one task."""

    async def play() -> list[Decision]:
        model = ChatModel(settings(server, **changes))
        policy = make_policy("llm", model=model, seed=7)
        made = [await policy.decide(s) for s in situations]
        await model.aclose()
        return made

    return asyncio.run(play())


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"I think the database is broken.\n\n{GOOD}\nGood luck!",
        json.dumps({"action": "restart_service", "targets": ["db"]}),
        json.dumps({"action": "restart_service", "targets": "db", "parameters": {}}),
    ],
)
def test_a_usable_reply_is_the_decision(reply: str) -> None:
    with LLMServer([reply]) as server:
        (decision,) = decisions(server)
    assert (str(decision.action), decision.source) == ("restart_service:db", "llm")
    assert decision.why_not_model is None and decision.fallback is None
    assert decision.reply == reply and decision.usage.prompt_tokens == 100
    assert decision.prompt[0]["role"] == "system" and len(server.requests) == 1


def test_an_endpoint_is_held_to_the_menu_and_the_services_of_the_prompt() -> None:
    with LLMServer([GOOD]) as server:
        decisions(server)
    (request,) = server.requests
    fields = request["response_format"]["json_schema"]["schema"]["properties"]
    assert fields["action_type"]["enum"] == [*BROKEN.menu, "wait"]
    assert set(fields["target_service"]["enum"]) == {*BROKEN.now.services, None}


def test_prompts_fit_their_budget_by_what_the_endpoint_counted() -> None:
    """This endpoint counts a token for every five characters of a prompt."""

    def counting(request: Mapping[str, Any]) -> Answer:
        characters = sum(len(message["content"]) for message in request["messages"])
        return Answer(GOOD, usage={"prompt_tokens": characters // 5, "completion_tokens": 9})

    async def play(server: LLMServer) -> list[Decision]:
        model = ChatModel(settings(server))
        policy = make_policy("llm", model=model, prompt_budget=250)
        made = [await policy.decide(BROKEN) for _ in range(2)]
        await model.aclose()
        return made

    with LLMServer(counting) as server:
        first, second = asyncio.run(play(server))
    assert first.usage.prompt_tokens < second.usage.prompt_tokens <= 250


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ("", "empty"),
        ("I would restart the database.", "invalid_json"),
        ('{"action_type": "restart_service", "target_service": "db"', "invalid_json"),
        (action("restart_service", "nonsense"), "unknown_target"),
        (action("restart_service"), "no_target"),
        (action("drop_database", "db"), "unknown_action"),
        (action("restart_service", "api"), "refused"),
    ],
)
def test_an_unusable_reply_is_repaired_once_or_the_rules_answer(reply: str, cause: str) -> None:
    with LLMServer([reply, GOOD]) as server:
        (repaired,) = decisions(server)
        question = server.requests[1]["messages"][-1]["content"]
    assert (str(repaired.action), repaired.source) == ("restart_service:db", "llm_repaired")
    assert "cannot be used" in question and repaired.usage.calls == 2

    with LLMServer([reply]) as server:
        (ruled,) = decisions(server)
        assert len(server.requests) == 2
    assert (ruled.source, ruled.why_not_model, ruled.fallback) == ("rules", cause, cause)
    assert ruled.action.target_service in ("db", None)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(status=429), "http_429"),
        (Answer(status=503), "http_503"),
        (Answer(status=401), "http_401"),
        (Answer(delay_s=5.0), "timeout"),
        (Answer(reset=True), "connection"),
        (Answer(GOOD, cut=True), "connection"),
        (Answer(GOOD, drip_s=0.05), "timeout"),
        (Answer(body="not json at all"), "bad_response"),
        (Answer(body="[]"), "bad_response"),
        (Answer(body='{"choices": []}'), "bad_response"),
        (Answer(body='{"choices": [{"message": null}]}'), "bad_response"),
    ],
)
def test_an_endpoint_that_fails_leaves_the_step_to_the_rules(answer: Answer, cause: str) -> None:
    with LLMServer([answer]) as server:
        (decision,) = decisions(server, total_timeout_s=1.0 if cause == "timeout" else 20.0)
        assert len(server.requests) == 1
    assert (decision.source, decision.fallback) == ("rules", cause)
    assert str(decision.action) == "restart_service:db" or decision.action.action_type == "fetch_logs"


def test_an_endpoint_that_is_not_there_leaves_the_step_to_the_rules() -> None:
    with LLMServer([GOOD]) as server:
        pass
    (decision,) = decisions(server)
    assert (decision.source, decision.fallback) == ("rules", "connection")


def test_an_endpoint_that_does_not_let_us_in_is_given_up_in_time() -> None:
    # The backlog is full: the next connection is neither accepted nor refused.
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())

        async def decide() -> Decision:
            url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
            limits = LlmSettings(url, KEY, ("first",), total_timeout_s=0.3, max_retries=0)
            model = ChatModel(limits)
            decision = await make_policy("llm", model=model).decide(BROKEN)
            await model.aclose()
            return decision

        decision = asyncio.run(decide())
    assert (decision.source, decision.fallback) == ("rules", "timeout")
    assert decision.latency_s >= 0.3


def test_a_failing_endpoint_is_asked_a_bounded_number_of_times() -> None:
    with LLMServer([Answer(status=503)]) as server:
        (decision,) = decisions(server, max_retries=1)
        assert len(server.requests) == 2
    assert decision.fallback == "http_503"


def test_nobody_waits_for_an_endpoint_that_asks_for_a_day() -> None:
    with LLMServer([Answer(status=429, headers={"Retry-After": "86400"})]) as server:
        (decision,) = decisions(server, max_retries=1)
        assert len(server.requests) <= 2
    assert decision.fallback == "http_429" and decision.latency_s < 60.0


def test_the_third_failure_in_a_row_ends_the_models_part() -> None:
    with LLMServer([Answer(status=503), Answer(status=503), GOOD, *[Answer(status=503)] * 9]) as server:
        made = decisions(server, [BROKEN] * 8)
        asked = len(server.requests)
    assert [d.source for d in made] == ["rules", "rules", "llm", *["rules"] * 5]
    assert asked == 6
    assert [d.why_not_model for d in made[-3:]] == ["http_503", "gave_up", "gave_up"]
    assert made[-1].fallback is None and made[-1].prompt == ()


def test_a_retry_waits_as_long_as_the_server_asks() -> None:
    with LLMServer([Answer(status=429, headers={"Retry-After": "1"}), GOOD]) as server:
        (decision,) = decisions(server, max_retries=2, total_timeout_s=20.0)
    assert decision.source == "llm" and decision.latency_s >= 1.0


def test_retries_end_with_the_total_time() -> None:
    with LLMServer([Answer(status=429, headers={"Retry-After": "30"})]) as server:
        (decision,) = decisions(server, max_retries=5, total_timeout_s=0.5)
    assert decision.fallback == "timeout" and decision.latency_s < 20.0


def test_the_next_model_answers_when_the_first_does_not() -> None:
    def only_second(request: Any) -> Answer | str:
        return GOOD if request["model"] == "second" else Answer(status=503)

    with LLMServer(only_second) as server:
        (decision,) = decisions(server, models=("first", "second"))
    assert (decision.source, decision.model) == ("llm", "second")


FORMS = ["json_schema", "json_object with schema", "forced call", "json_object", "plain"]


def form_of(request: Any) -> str:
    form = request.get("response_format")
    if form is None:
        return "forced call" if "tools" in request else "plain"
    return form["type"] + (" with schema" if "schema" in form else "")


@pytest.mark.parametrize("status", [400, 500])
def test_each_form_of_structured_output_is_tried_once_and_the_one_that_works_is_remembered(
    status: int,
) -> None:
    for known in range(len(FORMS)):
        refused = {"refused_formats": FORMS[:known], "refuses": ["tools"] if known > 2 else []}
        with LLMServer([GOOD], refusing_status=status, **refused) as server:
            made = decisions(server, [BROKEN, BROKEN], max_retries=2)
            assert [form_of(r) for r in server.requests] == [*FORMS[: known + 1], FORMS[known]]
        assert [d.source for d in made] == ["llm", "llm"]


def test_a_forced_call_s_arguments_are_the_reply() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "act", "arguments": GOOD}}
    body = json.dumps({"choices": [{"message": {"content": None, "tool_calls": [call]}}]})
    with LLMServer([Answer(body=body)], refused_formats=FORMS[:2]) as server:
        (decision,) = decisions(server)
    assert (decision.source, decision.reply) == ("llm", GOOD)


def test_the_request_carries_the_settings_and_the_tasks_seed() -> None:
    with LLMServer([GOOD]) as server:
        decisions(server)
        (request,) = server.requests
    assert (request["temperature"], request["max_tokens"], request["seed"]) == (0.3, 256, 7)


def test_budgets_end_the_questions() -> None:
    with LLMServer([GOOD]) as server:
        made = decisions(server, [BROKEN] * 3, task_budget=Budget(tokens=200))
        assert [d.fallback or d.source for d in made] == ["llm", "llm", "budget_tokens"]
        made = decisions(
            server, [BROKEN] * 2, run_budget=Budget(cost_usd=0.0001), prices={"first": Price(1.0, 1.0)}
        )
        assert [d.fallback or d.source for d in made] == ["llm", "budget_money"]
        assert made[0].usage.cost_usd == pytest.approx(120e-6)
        made = decisions(server, task_budget=Budget(seconds=0.0))
        assert made[0].fallback == "budget_seconds"


def test_tasks_that_ask_at_once_do_not_overrun_the_runs_budget_together() -> None:
    async def ask_at_once(url: str, budget: Budget) -> list[Decision]:
        prices = {"first": Price(1.0, 1.0)}
        model = ChatModel(LlmSettings(url, KEY, ("first",), run_budget=budget, prices=prices))
        policies = [make_policy("llm", model=model) for _ in range(8)]
        made = await asyncio.gather(*(policy.decide(BROKEN) for policy in policies))
        await model.aclose()
        return list(made)

    for budget, cause in ((Budget(tokens=300), "budget_tokens"), (Budget(cost_usd=300e-6), "budget_money")):
        with LLMServer([Answer(GOOD, delay_s=0.2)]) as server:
            made = asyncio.run(ask_at_once(server.url, budget))
            assert len(server.requests) == 1
        assert [d.fallback or d.source for d in made] == ["llm", *[cause] * 7]


def test_tokens_are_estimated_where_the_endpoint_does_not_count() -> None:
    with LLMServer([Answer(GOOD, usage=False)]) as server:
        (decision,) = decisions(server)
    assert decision.usage.prompt_tokens > 100 and decision.usage.completion_tokens > 5


def test_the_cache_answers_the_very_same_request_only(tmp_path: Any) -> None:
    other = situation(observation(api=service(), db=service(error_rate=0.8)))
    with LLMServer([GOOD]) as server:
        first = decisions(server, [BROKEN], cache_dir=tmp_path)
        again = decisions(server, [BROKEN], cache_dir=tmp_path)
        assert len(server.requests) == 1
        decisions(server, [other], cache_dir=tmp_path)
        decisions(server, [BROKEN], cache_dir=tmp_path, temperature=0.0)
        assert len(server.requests) == 3
    assert again[0].action == first[0].action
    assert again[0].usage.calls == 0
    assert all(KEY not in file.read_text() for file in tmp_path.iterdir())


def test_the_key_is_sent_and_appears_nowhere_else() -> None:
    with LLMServer([Answer(status=401, body=json.dumps({"error": f"bad key {KEY}"}))]) as server:
        (decision,) = decisions(server)
        assert server.authorizations == [f"Bearer {KEY}"]
        shown = [repr(decision), repr(settings(server)), repr(ChatModel(settings(server)))]
    assert not any(KEY in text for text in shown)


def test_hints_can_be_left_out() -> None:
    ranked = situation(observation(api=service(), db=service(error_rate=0.9)), ranked=("db",))
    with LLMServer([GOOD]) as server:

        async def ask(hints: bool) -> None:
            model = ChatModel(settings(server))
            await make_policy("llm", model=model, hints=hints).decide(ranked)
            await model.aclose()

        asyncio.run(ask(True))
        asyncio.run(ask(False))
        shown, hidden = ("Hints" in r["messages"][1]["content"] for r in server.requests)
    assert shown and not hidden


def test_a_model_that_follows_the_history_is_told_its_last_actions() -> None:
    past = (PastStep(Action(action_type="fetch_logs", target_service="db"), "Fetched 5 log lines"),)
    later = situation(observation(api=service(), db=service(error_rate=0.9)), steps=past)
    with LLMServer([GOOD]) as server:
        decisions(server, [later])
        assert "fetch_logs db: Fetched 5 log lines" in server.requests[0]["messages"][1]["content"]


def test_a_policy_that_cannot_be_made_says_why() -> None:
    with pytest.raises(SettingsError, match="needs a model"):
        make_policy("llm")
    with pytest.raises(SettingsError, match="unknown"):
        make_policy("clever")


def test_to_wait_is_to_send_a_look_that_harms_nobody() -> None:
    with LLMServer(
        [json.dumps({"action_type": "wait", "target_service": None, "reason": "it heals"})]
    ) as server:
        [made] = decisions(server)
    assert (made.source, made.reason) == ("llm", "it heals") and made.action.action_type in LOOKS
    live = replace(BROKEN, offered={"get_metrics_detail": "read its metrics"})
    assert "wait" in Choice.of(BROKEN).menu and "wait" not in Choice.of(live).menu
