"""The only file that talks to a model: any OpenAI-compatible endpoint, with limits, budgets and a cache."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx

from agent.llm.budget import Budget, Ledger, Price
from agent.llm.completion import Completion, forms
from agent.llm.reply import Choice
from agent.llm.reply_cache import ReplyCache
from agent.situation.decision import Message, Usage
from data.bounded import PACKED_HEADER, bounded
from data.errors import FirewatchError, SchemaError
from data.files.json_text import read_json
from data.limits import MIB, limits
from data.observation import parse

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CHARACTERS_PER_TOKEN = 4  # if an endpoint does not count
# For a prompt full of figures, a cautious value until the endpoint has counted one.
CAUTIOUS_CHARACTERS_PER_TOKEN = 2.5
_MARGIN = 1.05  # because no two prompts have the same characters
# characters; replies are cut to so many per token, which likely tokens do not exceed
LONGEST_TOKEN = 16
MOST_MEMORY_BYTES = 64 * 2**20  # that a decoded answer may take
_SHORTEST_SECRET = 8  # anything shorter could be an ordinary word


class ModelFault(FirewatchError):
    """The model gave no answer. The message is a short cause that quotes nothing from the request."""


@dataclass(frozen=True)
class LlmSettings:
    """Everything about the models of one run."""

    base_url: str
    api_key: str = field(repr=False)
    models: tuple[str, ...]  # in order of preference
    temperature: float = 0.3
    max_tokens: int = 256
    total_timeout_s: float = 120.0  # for one question, including retries and all models
    largest_answer_bytes: int = field(default_factory=lambda: limits().model_answer_mib * MIB)
    max_retries: int = 2  # of one request; waits as the server asks, at most a minute each
    prices: Mapping[str, Price] = field(default_factory=dict)  # {model: price}
    task_budget: Budget = field(default_factory=Budget)
    run_budget: Budget = field(default_factory=Budget)
    cache_dir: Path | None = None  # replies are kept here and used again for the same request


@dataclass(frozen=True)
class Reply:
    """A model's reply."""

    text: str
    model: str
    usage: Usage = field(default_factory=Usage)
    cached: bool = False


class Model(Protocol):
    """Answers prompts."""

    def new_ledger(self) -> Ledger:
        """An empty ledger with the budget of one task."""

    def tokens_in(self, messages: Sequence[Message]) -> int:
        """The number of tokens in the prompt, as far as is known."""

    async def ask(
        self, messages: Sequence[Message], seed: int, ledger: Ledger, choice: Choice | None = None
    ) -> Reply:
        """Answers, and notes the cost in `ledger`.

        Args:
            seed: of the sampling.
            choice: what the reply may name, if it must be an action.

        Raises:
            ModelFault: no answer; the cost of the attempt is noted all the same.
        """


# Statuses of a form that the server does not know; some answer 500.
_NOT_OFFERED = (400, 404, 415, 422, 500, 501)
# Whether the server may not know the form of the current request, so that it must not be retried.
_trying: ContextVar[bool] = ContextVar("trying", default=False)


class BudgetedModel(ABC):
    """The base of all models: budgets, a time limit for questions, and a ledger."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.run_budget)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.settings.models)})"

    def new_ledger(self) -> Ledger:
        """An empty ledger with the budget of one task."""
        return Ledger(self.settings.task_budget)

    @abstractmethod
    def tokens_in(self, messages: Sequence[Message]) -> int:
        """How many tokens the prompt has."""

    async def ask(
        self, messages: Sequence[Message], seed: int, ledger: Ledger, choice: Choice | None = None
    ) -> Reply:
        """Answers within the budgets.

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
                    reply = await self._first_answer(messages, seed, choice)
            usage = reply.usage
            return reply
        except TimeoutError:
            raise ModelFault("timeout") from None
        finally:
            seconds = time.monotonic() - started
            for book in (ledger, self.ledger):
                book.add(usage, seconds)

    def _most(self, messages: Sequence[Message]) -> Usage:
        """The most that a question may cost."""
        usage = Usage(1, _estimate(messages), self.settings.max_tokens)
        prices = (self.settings.prices.get(model) for model in self.settings.models)
        cost_usd = max((price.of(usage) for price in prices if price is not None), default=0.0)
        return replace(usage, cost_usd=cost_usd)

    async def aclose(self) -> None:  # noqa: B027 – a model may have nothing to release
        """Releases resources; safe to call twice."""

    @abstractmethod
    async def _first_answer(self, messages: Sequence[Message], seed: int, choice: Choice | None) -> Reply:
        """The model's answer to one question."""


class ChatModel(BudgetedModel):
    """An OpenAI-compatible endpoint with one or more models."""

    def __init__(self, settings: LlmSettings) -> None:
        super().__init__(settings)
        self._client: AsyncOpenAI | None = None
        self._cache = ReplyCache(settings.cache_dir, settings.base_url) if settings.cache_dir else None
        self._form: dict[str, int] = {}  # {model: index of the richest form it accepted}
        self._characters_per_token = CAUTIOUS_CHARACTERS_PER_TOKEN

    def tokens_in(self, messages: Sequence[Message]) -> int:
        """An estimate, from the endpoint's count for the latest prompt."""
        return math.ceil(_MARGIN * _characters(messages) / self._characters_per_token)

    async def aclose(self) -> None:
        """Closes the connections; safe to call twice."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _first_answer(self, messages: Sequence[Message], seed: int, choice: Choice | None) -> Reply:
        fault = ModelFault("no_model")
        for model in self.settings.models:
            try:
                return await self._ask_one(model, messages, seed, choice)
            except ModelFault as error:
                fault = error
        raise fault

    async def _ask_one(
        self, model: str, messages: Sequence[Message], seed: int, choice: Choice | None
    ) -> Reply:
        """Asks one model, with the richest form of request that it accepts."""
        import openai

        offered = forms(choice)
        last = len(offered) - 1
        known = self._form.get(model) if choice else last
        for level in range(known or 0, len(offered)):
            request = self._request(model, messages, seed, offered[level])
            kept = self._cache.get(request) if self._cache else None
            if kept is not None:
                return Reply(self._kept(kept), model, cached=True)
            _trying.set(known is None and level < last)
            try:
                answer = await self._connected().chat.completions.with_raw_response.create(**request)
            except openai.APIStatusError as error:
                if error.status_code in _NOT_OFFERED and _trying.get():
                    continue
                raise ModelFault(f"http_{error.status_code}") from None
            except openai.APIConnectionError as error:
                unreadable = isinstance(error.__cause__, httpx.DecodingError)
                raise ModelFault("bad_response" if unreadable else "connection") from None
            except (openai.OpenAIError, ValueError):
                raise ModelFault("bad_response") from None
            if choice:
                self._form[model] = level
            reply = self._read(answer.content, model, messages)
            if self._cache and reply.text:
                self._cache.put(request, reply.text)
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

    def _read(self, body: bytes, model: str, messages: Sequence[Message]) -> Reply:
        """Reads text and usage from an answer that may not be a completion at all."""
        try:
            completion = parse(Completion, read_json(body, MOST_MEMORY_BYTES), "the answer")
        except (ValueError, SchemaError):
            raise ModelFault("bad_response") from None
        text = self._kept(completion.text)
        usage = Usage(
            1,
            completion.count("prompt_tokens", _estimate(messages)),
            completion.count("completion_tokens", len(text) // CHARACTERS_PER_TOKEN),
        )
        if counted := completion.count("prompt_tokens", 0):
            self._characters_per_token = max(1.0, _characters(messages) / counted)
        price = self.settings.prices.get(model)
        if price is not None:
            usage = replace(usage, cost_usd=price.of(usage))
        return Reply(text, model, usage)

    def _kept(self, text: str) -> str:
        """The reply, cut to the requested length and without the API key, which an endpoint may echo."""
        key = self.settings.api_key
        text = text.replace(key, "[key]") if len(key) >= _SHORTEST_SECRET else text
        return text[: self.settings.max_tokens * LONGEST_TOKEN]

    def _connected(self) -> "AsyncOpenAI":
        if self._client is None:
            from openai import AsyncOpenAI

            settings, parts = self.settings, urlsplit(self.settings.base_url)
            # A redirect would send the key and the prompt to someone else.
            http: Any = httpx.AsyncClient(
                timeout=None,
                follow_redirects=False,
                headers=PACKED_HEADER,
                event_hooks={"response": [bounded(settings.largest_answer_bytes), _try_once]},
            )
            self._client = AsyncOpenAI(
                api_key=settings.api_key,
                base_url=parts._replace(query="", fragment="").geturl(),
                default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                timeout=None,
                max_retries=settings.max_retries,
                http_client=http,
            )
        return self._client


async def _try_once(response: httpx.Response) -> None:
    """Stops retries of a form that the endpoint does not know."""
    if _trying.get() and response.status_code in _NOT_OFFERED:
        response.headers["X-Should-Retry"] = "false"


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(m["content"]) for m in messages)


def _estimate(messages: Sequence[Message]) -> int:
    """An estimate of the number of tokens."""
    return _characters(messages) // CHARACTERS_PER_TOKEN
