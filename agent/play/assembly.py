"""Builds the parts that a run's configuration names: environment, ranker, model and policies."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from agent.llm.budget import Budget, Price
from agent.llm.client import BudgetedModel, ChatModel, LlmSettings
from agent.play.config import ModelOptions, PlayOptions
from agent.policies.guard import Guard
from agent.policies.registry import make_policy
from agent.settings import NO_KEY, Settings
from agent.situation.decision import Policy
from data.clients.discovery import Endpoint, locate
from data.errors import SettingsError
from data.observation import Task
from gnn.ranker import Ranker


@dataclass(frozen=True)
class Parts:
    """The parts of a run."""

    endpoint: Endpoint
    ranker: Ranker
    model: BudgetedModel | None
    new_policy: Callable[[Task], Policy]

    @property
    def policy_name(self) -> str:
        """The policy's name."""
        return self.new_policy(Task(difficulty="easy", seed=0, max_ticks=1)).name


async def assemble(
    config: PlayOptions, settings: Settings, concurrency: int = 1, guard: Guard | None = None
) -> Parts:
    """Builds every part, so that errors show before anything is written.

    Raises:
        FirewatchError: a part cannot be built; says what to do.
    """
    model = make_model(config, settings)

    def new_policy(task: Task) -> Policy:
        return make_policy(
            config.policy,
            model=model,
            seed=task.seed + config.seed,
            guard=guard,
            hints=config.hints,
            prompt_budget=config.prompt_budget,
        )

    ranker, _ = config.open_ranker(config.ranker, config.seed)
    endpoint = await locate(config.env, config.transport, settings.space_url)
    if concurrency > 1 and not endpoint.has_sessions:
        raise SettingsError(f"{endpoint} has one episode for all: use --concurrency 1, or --transport ws")
    return Parts(endpoint, ranker, model, new_policy)


def make_model(config: ModelOptions, settings: Settings) -> BudgetedModel | None:
    """The model, if the run uses one.

    Raises:
        SettingsError: a budget in dollars, but a model without a price; or a model that doesn't exist.
    """
    if not config.models or (settings.key is None and config.model is None):
        return None
    limits_money = config.task_usd is not None or config.run_usd is not None
    unpriced = [name for name in config.models if name not in config.prices]
    if limits_money and unpriced:
        raise SettingsError(
            f"a budget in dollars needs prices: set MODEL_PRICES={unpriced[0]}=PROMPT/COMPLETION"
        )
    limits = LlmSettings(
        base_url=settings.api_base_url,
        api_key=settings.key or NO_KEY,
        models=config.models,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        total_timeout_s=config.llm_timeout_s,
        prices={name: Price(*price) for name, price in config.prices.items()},
        task_budget=_budget(config.task_tokens, config.task_usd, config.task_seconds),
        run_budget=_budget(config.run_tokens, config.run_usd, config.run_seconds),
        cache_dir=config.llm_cache,
    )
    if config.model is None:
        return ChatModel(limits)
    from agent.llm.local import LocalModel

    return LocalModel(limits, config.model, config.adapter)


def _budget(*limits: float | None) -> Budget:
    return Budget(*(math.inf if limit is None else limit for limit in limits))
