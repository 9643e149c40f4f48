"""Lets the model decide: one question, one repair question, then the rules; three failures turn it off."""

import time
from dataclasses import replace

from agent.llm.client import Model, ModelFault
from agent.llm.prompt import build_prompt, repair_question
from agent.llm.prompt_budget import PromptBudget
from agent.llm.reply import WAIT, Choice, UnusableReply, Wanted, parse_reply
from agent.policies.guard import Guard
from agent.policies.rules import RulesPolicy
from agent.situation.decision import Decision, Message, Refusal, Situation, Source, Usage

MAX_FAILURES_IN_A_ROW = 3
GAVE_UP = "gave_up"


class LlmPolicy:
    """A model with the rules as fallback, for one task."""

    name = "llm"

    def __init__(
        self,
        model: Model,
        seed: int = 0,
        guard: Guard | None = None,
        hints: bool = True,
        prompt_budget: int | None = None,
        rules: RulesPolicy | None = None,
    ) -> None:
        self._model = model
        self._budget = PromptBudget(prompt_budget, model.tokens_in) if prompt_budget else None
        self._ledger = model.new_ledger()
        self._seed = seed
        self._guard = guard or Guard()
        self._rules = rules or RulesPolicy(self._guard)
        self._hints = hints
        self._failures_in_a_row = 0

    async def decide(self, situation: Situation) -> Decision:
        """The model's action if one of two attempts is usable, else the rules'."""
        if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            return await self._by_rules(_Exchange(), GAVE_UP, situation)
        started = time.monotonic()
        ruled = self._rules.proposals(situation) if self._hints else ()
        exchange = _Exchange(messages=build_prompt(situation, self._hints, ruled, self._budget))
        choice = Choice.of(situation)
        source: Source = "llm"
        cause = ""
        for source in ("llm", "llm_repaired"):
            try:
                reply = await self._model.ask(exchange.messages, self._seed, self._ledger, choice)
            except ModelFault as fault:
                cause = str(fault)
                break
            exchange.add_reply(reply.text, reply.model, reply.usage)
            try:
                wanted = self._permitted(reply.text, situation, exchange)
            except UnusableReply as unusable:
                cause = unusable.cause
                if source == "llm":
                    exchange.messages += repair_question(reply.text, unusable.problem)
                continue
            self._failures_in_a_row = 0
            return await self._by_model(wanted, source, situation, exchange, time.monotonic() - started)
        self._failures_in_a_row += 1
        return await self._by_rules(exchange, cause, situation, time.monotonic() - started)

    def _permitted(self, text: str, situation: Situation, exchange: "_Exchange") -> Wanted:
        """The action that the reply asks for, if the guard permits it.

        Raises:
            UnusableReply: it does not parse, or the guard refuses it.
        """
        wanted = parse_reply(text, situation)
        if wanted.action.action_type == WAIT:
            wanted = wanted._replace(action=self._rules.idle_action(situation))
        refusal = self._guard.refusal(wanted.action, situation)
        if refusal is not None:
            exchange.refusals += (Refusal(wanted.action, refusal),)
            # Prompts must not contain service names outside of a fence.
            anonymous = refusal.replace(wanted.action.target_service or "\n", "the service")
            raise UnusableReply("refused", f"the action is not permitted: {anonymous}")
        return wanted

    async def _by_model(
        self, wanted: Wanted, source: Source, situation: Situation, exchange: "_Exchange", latency_s: float
    ) -> Decision:
        sent, reason = wanted
        recommended = None
        withheld = await self._guard.withheld(sent, situation)
        if withheld is not None:
            sent, recommended, reason = self._rules.idle_action(situation), sent, withheld
        told = Decision(sent, source, reason=reason, recommended=recommended)
        return exchange.recorded(told, latency_s)

    async def _by_rules(
        self, exchange: "_Exchange", cause: str, situation: Situation, latency_s: float = 0.0
    ) -> Decision:
        ruled = await self._rules.decide(situation)
        return exchange.recorded(replace(ruled, why_not_model=cause), latency_s)


class _Exchange:
    """The conversation of one decision."""

    def __init__(self, messages: tuple[Message, ...] = ()) -> None:
        self.messages = messages
        self.reply: str | None = None
        self.model: str | None = None
        self.usage = Usage()
        self.refusals: tuple[Refusal, ...] = ()

    def add_reply(self, reply: str, model: str, usage: Usage) -> None:
        """Records a reply."""
        self.reply, self.model, self.usage = reply, model, self.usage + usage

    def recorded(self, decision: Decision, latency_s: float) -> Decision:
        """The decision with this conversation."""
        return replace(
            decision,
            prompt=self.messages,
            reply=self.reply,
            model=self.model,
            usage=self.usage,
            latency_s=latency_s,
            refusals=self.refusals + decision.refusals,
        )
