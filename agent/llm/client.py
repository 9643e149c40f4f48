"""The only file that talks to a model: any OpenAI-compatible endpoint, with limits, budgets and a cache."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.llm.budget import Budget, Ledger, Price
from agent.llm.sanitize import writable
from agent.policies.decision import Message, Usage
from data.actions import ACTION_TYPES
from data.errors import FirewatchError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

CHARACTERS_PER_TOKEN = 4  # where an endpoint does not count for us


class ModelFault(FirewatchError):
    """The model gave no answer. The message is a short cause without anything of the request in it."""


@dataclass(frozen=True)
class LlmSettings:
    """Everything about the models of one run."""

    base_url: str
    api_key: str = field(repr=False)
    models: tuple[str, ...]  # in order of preference
    temperature: float = 0.3
    max_tokens: int = 256
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    total_timeout_s: float = 120.0  # one question, its retries and all models together
    max_retries: int = 2  # of one request; waits as the server asks, at most a minute each
    prices: Mapping[str, Price] = field(default_factory=dict)  # {model: price}
    task_budget: Budget = field(default_factory=Budget)
    run_budget: Budget = field(default_factory=Budget)
    structured: bool = True  # ask for an action in JSON where the endpoint can be held to it
    cache_dir: Path | None = None  # keep replies here and give them again for the very same request


@dataclass(frozen=True)
class Reply:
    """What a model said."""

    text: str
    model: str
    usage: Usage = field(default_factory=Usage)
    cached: bool = False


class Model(Protocol):
    """Who answers prompts."""

    def new_ledger(self) -> Ledger:
        """An empty ledger with the budget of one task."""

    async def ask(self, messages: Sequence[Message], seed: int, ledger: Ledger) -> Reply:
        """Answers, and notes the cost in `ledger`.

        Raises:
            ModelFault: no answer; what was spent on the attempt is noted all the same.
        """


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action_type": {"type": "string", "enum": list(ACTION_TYPES)},
        "target_service": {"type": ["string", "null"]},
        "reason": {"type": "string"},
    },
    "required": ["action_type", "target_service", "reason"],
    "additionalProperties": False,
}
_JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "action", "strict": True, "schema": _SCHEMA}}
# What is asked of an endpoint beyond the plain question, most first; a step down for each time it says 400.
_FORMS: tuple[Mapping[str, Any], ...] = (
    {"response_format": _JSON_SCHEMA},
    {"response_format": {"type": "json_object"}},
    {},
)
_NOT_OFFERED = (400, 404, 415, 422)


class ChatModel:
    """An OpenAI-compatible endpoint with one or more models."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.run_budget)
        self._client: AsyncOpenAI | None = None
        self._form: dict[str, int] = {}  # {model: index of the richest form it accepted}

    def __repr__(self) -> str:
        return f"ChatModel({', '.join(self.settings.models)})"

    def new_ledger(self) -> Ledger:
        """An empty ledger with the budget of one task."""
        return Ledger(self.settings.task_budget)

    async def ask(self, messages: Sequence[Message], seed: int, ledger: Ledger) -> Reply:
        """Asks the models in order until one answers.

        Raises:
            ModelFault: a budget is spent, or no model answered: the last one's cause.
        """
        spent = ledger.exceeded or self.ledger.exceeded
        if spent is not None:
            raise ModelFault(spent)
        started = time.monotonic()
        usage = Usage()
        most = self._most(messages)
        try:
            with ledger.reserving(most), self.ledger.reserving(most):
                async with asyncio.timeout(self.settings.total_timeout_s):
                    reply = await self._first_answer(messages, seed)
            usage = reply.usage
            return reply
        except TimeoutError:
            raise ModelFault("timeout") from None
        finally:
            seconds = time.monotonic() - started
            for book in (ledger, self.ledger):
                book.add(usage, seconds)

    def _most(self, messages: Sequence[Message]) -> Usage:
        """The most that a question may come to, as far as its tokens can be told beforehand."""
        usage = Usage(1, _asked_tokens(messages), self.settings.max_tokens)
        prices = (self.settings.prices.get(model) for model in self.settings.models)
        cost_usd = max((price.of(usage) for price in prices if price is not None), default=0.0)
        return replace(usage, cost_usd=cost_usd)

    async def aclose(self) -> None:
        """Gives back the connections; safe to call twice."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _first_answer(self, messages: Sequence[Message], seed: int) -> Reply:
        fault = ModelFault("no_model")
        for model in self.settings.models:
            try:
                return await self._ask_one(model, messages, seed)
            except ModelFault as error:
                fault = error
        raise fault

    async def _ask_one(self, model: str, messages: Sequence[Message], seed: int) -> Reply:
        """Asks one model, stepping down to the richest form of request that it accepts."""
        import openai

        start = self._form.get(model, 0 if self.settings.structured else len(_FORMS) - 1)
        for level in range(start, len(_FORMS)):
            request = self._request(model, messages, seed, _FORMS[level])
            cached = self._from_cache(request)
            if cached is not None:
                return Reply(cached, model, cached=True)
            try:
                completion = await self._connected().chat.completions.create(**request)
            except openai.APIStatusError as error:
                if error.status_code in _NOT_OFFERED and level + 1 < len(_FORMS):
                    continue
                raise ModelFault(f"http_{error.status_code}") from None
            except openai.APITimeoutError:
                raise ModelFault("timeout") from None
            except openai.APIConnectionError:
                raise ModelFault("connection") from None
            except (openai.OpenAIError, ValueError):
                raise ModelFault("bad_response") from None
            self._form[model] = level
            reply = self._read(completion, model, messages)
            self._to_cache(request, reply.text)
            return reply
        raise AssertionError("unreachable: the last form answers or raises")

    def _request(
        self, model: str, messages: Sequence[Message], seed: int, form: Mapping[str, Any]
    ) -> dict[str, Any]:
        settings = self.settings
        return {
            "model": model,
            "messages": list(messages),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": seed,
            **form,
        }

    def _read(self, completion: "ChatCompletion", model: str, messages: Sequence[Message]) -> Reply:
        """Takes text and usage out of an answer that some endpoint only claims to be a completion."""
        choices = getattr(completion, "choices", None)
        message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
        if message is None or not hasattr(message, "content"):
            raise ModelFault("bad_response")
        text = writable(message.content) if isinstance(message.content, str) else ""
        counted = getattr(completion, "usage", None)
        prompt = getattr(counted, "prompt_tokens", None)
        answer = getattr(counted, "completion_tokens", None)
        usage = Usage(
            1,
            prompt if isinstance(prompt, int) else _asked_tokens(messages),
            answer if isinstance(answer, int) else len(text) // CHARACTERS_PER_TOKEN,
        )
        price = self.settings.prices.get(model)
        if price is not None:
            usage = replace(usage, cost_usd=price.of(usage))
        return Reply(text, model, usage)

    def _connected(self) -> "AsyncOpenAI":
        if self._client is None:
            from openai import AsyncOpenAI, Timeout

            settings = self.settings
            timeout = Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
            self._client = AsyncOpenAI(
                api_key=settings.api_key,
                base_url=settings.base_url,
                timeout=timeout,
                max_retries=settings.max_retries,
            )
        return self._client

    def _cache_file(self, request: Mapping[str, Any]) -> Path | None:
        if self.settings.cache_dir is None:
            return None
        whole = json.dumps([self.settings.base_url, request], sort_keys=True, ensure_ascii=False)
        return self.settings.cache_dir / f"{hashlib.sha256(whole.encode()).hexdigest()}.json"

    def _from_cache(self, request: Mapping[str, Any]) -> str | None:
        file = self._cache_file(request)
        if file is None or not file.exists():
            return None
        text = json.loads(file.read_text(encoding="utf-8"))["text"]
        return str(text)

    def _to_cache(self, request: Mapping[str, Any], text: str) -> None:
        file = self._cache_file(request)
        if file is None or not text:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{id(request)}.new")
        scratch.write_text(
            json.dumps({"text": text, "request": request}, ensure_ascii=False), encoding="utf-8"
        )
        scratch.replace(file)


def _asked_tokens(messages: Sequence[Message]) -> int:
    return sum(len(m["content"]) for m in messages) // CHARACTERS_PER_TOKEN
