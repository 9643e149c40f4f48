"""A model in this process: no server, no key; the decoder lets it write nothing but usable replies."""

import asyncio
import json
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.llm.client import BudgetedModel, LlmSettings, ModelFault, Reply
from agent.llm.reply import LONGEST_REASON, WAIT, Choice
from agent.llm.weights import LocalWeights, load_weights
from agent.situation.decision import Message, Usage
from data.actions import takes_target
from data.extras import needs

if TYPE_CHECKING:
    import torch

_load = cache(load_weights)


class LocalModel(BudgetedModel):
    """Weights that answer on this machine, one question at a time.

    Args:
        settings: limits, budgets and sampling.
        model: "smol", a folder or a GGUF file.
        adapter: what was learnt on top of it.

    Raises:
        SettingsError: a package or a file is missing.
    """

    def __init__(self, settings: LlmSettings, model: Path, adapter: Path | None = None) -> None:
        super().__init__(settings)
        self._weights = _load(model, adapter)
        self._decoder = Decoder(self._weights)

    def tokens_in(self, messages: Sequence[Message]) -> int:
        """The tokenizer's own count."""
        return self._weights.count(messages)

    async def _first_answer(self, messages: Sequence[Message], seed: int, choice: Choice | None) -> Reply:
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._answer, messages, seed, choice, stop)
        finally:
            stop.set()  # nobody waits any longer: the thread need not go on

    def _answer(
        self, messages: Sequence[Message], seed: int, choice: Choice | None, stop: threading.Event
    ) -> Reply:
        prompt = self._weights.tokens_of(list(messages))
        settings = self.settings
        written = self._decoder.write(
            prompt,
            grammar_of(choice) if choice else _ANYTHING,
            settings.max_tokens,
            settings.temperature,
            seed,
            stop,
        )
        text = self._weights.tokenizer.decode(written, skip_special_tokens=True)
        return Reply(text, settings.models[0], Usage(1, len(prompt), len(written)))


class Decoder:
    """Writes token by token what a grammar allows; what two prompts begin with is read once."""

    def __init__(self, weights: LocalWeights) -> None:
        with needs("local"):
            import llguidance.hf
            from transformers import DynamicCache
        self._network = weights.network
        size = int(self._network.config.vocab_size)
        self._grammar_tokens = llguidance.hf.from_tokenizer(weights.tokenizer, n_vocab=size)
        self._end = int(weights.tokenizer.eos_token_id)
        self._read: list[int] = []  # the tokens that `_memory` holds
        self._memory: Any = DynamicCache(config=self._network.config)
        self._lock = threading.Lock()

    def write(
        self,
        prompt: list[int],
        grammar: str,
        most: int,
        temperature: float,
        seed: int,
        stop: threading.Event,
    ) -> list[int]:
        """The tokens of a reply, at most so many.

        Raises:
            ModelFault: stopped from outside, or the grammar allows nothing.
        """
        import torch
        from llguidance import LLMatcher

        matcher = LLMatcher(self._grammar_tokens, grammar)
        chance = torch.Generator().manual_seed(seed)
        # What can only go on in one way costs no drawing.
        written: list[int] = matcher.compute_ff_tokens()
        matcher.consume_tokens(written)
        with self._lock, torch.inference_mode():
            while len(written) < most:
                if stop.is_set():
                    raise ModelFault("timeout")
                if matcher.is_error():
                    raise ModelFault("bad_grammar")
                if matcher.is_stopped():
                    break
                logits = self._after([*prompt, *written])
                allowed = torch.frombuffer(bytearray(matcher.compute_logit_bias()), dtype=torch.uint8) > 0
                token = _drawn(logits.masked_fill(~allowed, -torch.inf), temperature, chance)
                if token == self._end:
                    break
                matcher.consume_token(token)
                forced = matcher.compute_ff_tokens()
                matcher.consume_tokens(forced)
                written += [token, *forced]
        return written[:most]

    def _after(self, tokens: list[int]) -> "torch.Tensor":
        """What may come after `tokens`: a value for each token of the vocabulary."""
        import torch

        same = 0
        for old, new in zip(self._read, tokens[:-1], strict=False):
            if old != new:
                break
            same += 1
        if same < len(self._read):
            self._memory.crop(same - len(self._read))
        self._read = self._read[:same]  # holds should the next line fail
        rest = torch.tensor([tokens[same:]], device=self._network.device)
        last = torch.tensor([rest.shape[1] - 1], device=rest.device)  # a number, 1, would copy the whole head
        answer = self._network(input_ids=rest, cache=self._memory, use_cache=True, logits_to_keep=last)
        self._read = list(tokens)
        logits: torch.Tensor = answer.logits[0, -1].float().cpu()
        return logits


_ANYTHING = r"start: /(.|\n)*/"


def grammar_of(choice: Choice) -> str:
    """The replies that can be used, as a grammar for the decoder: JSON with its fields in order."""
    aimed = [kind for kind in choice.menu if kind != WAIT and takes_target(kind)]
    free = [kind for kind in choice.menu if kind not in aimed]
    forms = []
    if choice.services:
        forms.append(
            f'({_any_of(aimed)}) "\\", \\"target_service\\": \\"" ({_any_of(choice.services)}) "\\""'
        )
    if free:
        forms.append(f'({_any_of(free)}) "\\", \\"target_service\\": null"')
    return (
        f'start: "{{\\"action_type\\": \\"" ({" | ".join(forms)}) ", \\"reason\\": \\"" reason "\\"}}"\n'
        f'reason: /[^"\\\\\\x00-\\x1f]{{0,{LONGEST_REASON}}}/\n'
    )


def _any_of(words: Sequence[str]) -> str:
    return " | ".join(json.dumps(word) for word in words)


def _drawn(logits: "torch.Tensor", temperature: float, chance: "torch.Generator") -> int:
    import torch

    if temperature == 0.0:
        return int(logits.argmax())
    weights = torch.softmax(logits / temperature, dim=-1)
    return int(torch.multinomial(weights, 1, generator=chance))
