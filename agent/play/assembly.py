"""Makes what a run's configuration names: the model that takes part and where a ranker's weights lie."""

import math
from pathlib import Path

from agent.llm.budget import Budget, Price
from agent.llm.client import ChatModel, LlmSettings
from agent.records.trajectory import RunConfig, Spending
from agent.settings import Settings
from data.errors import SettingsError
from gnn.registry import shipped


def make_model(config: RunConfig, settings: Settings) -> ChatModel | None:
    """The model that takes part, if one does."""
    if not config.models or settings.key is None:
        return None
    limits_money = config.task_budget.usd is not None or config.run_budget.usd is not None
    unpriced = [name for name in config.models if name not in config.prices]
    if limits_money and unpriced:
        raise SettingsError(
            f"a budget in dollars needs prices: set MODEL_PRICES={unpriced[0]}=PROMPT/COMPLETION"
        )
    return ChatModel(
        LlmSettings(
            base_url=settings.api_base_url,
            api_key=settings.key,
            models=config.models,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            total_timeout_s=config.llm_timeout_s,
            prices={name: Price(*price) for name, price in config.prices.items()},
            task_budget=_budget(config.task_budget),
            run_budget=_budget(config.run_budget),
            cache_dir=Path(config.llm_cache) if config.llm_cache else None,
        )
    )


def _budget(spending: Spending) -> Budget:
    limits = (spending.tokens, spending.usd, spending.seconds)
    return Budget(*(math.inf if limit is None else limit for limit in limits))


def weights_folder(ranker: str, checkpoint: Path | None) -> Path | None:
    """The folder of the weights that a ranker uses, if it uses any."""
    if ranker == "mlp":
        return shipped("mlp")
    return (checkpoint or shipped("ranker")) if ranker in ("gnn", "untrained") else None
