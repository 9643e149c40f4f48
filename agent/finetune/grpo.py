"""Teaches a model by what its decisions come to: GRPO on embedded tasks, from an adapter that can answer."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from agent.finetune.options import BEFORE, TeachingOptions, Tell, write_card
from agent.finetune.rollouts import Branch, RewardWeights, Rollout, branches, reward_of, rollout_by_worker
from agent.finetune.trainer import (
    adapter_config,
    made_quiet,
    outcome_trainer,
    save_adapter,
    trained,
    trainer_arguments,
)
from agent.llm.prompt_budget import PromptBudget
from agent.llm.weights import load_weights
from agent.play.workers import Job, WorkerPool, run_jobs
from agent.records.provenance import git_revision, versions
from data.extras import needs
from data.files.whole_file import write_whole
from data.observation import Task, parse
from data.options import WorkerOptions, option
from gnn.evaluation.metrics import interval
from gnn.registry import make_ranker


class GrpoOptions(WorkerOptions, TeachingOptions):
    """Everything that decides what a model learns from outcomes."""

    batch: int = option(2, "Prompts a step.", ge=1)
    steps: int = option(100, "Steps to train.", ge=1)
    group: int = option(4, "Replies to each prompt, compared with each other.", ge=2)
    learning_rate: float = option(2e-5, "Highest learning rate.", gt=0.0, lt=1.0)
    kl: float = option(0.02, "Weight of the distance from the model it starts from.", ge=0.0, lt=100.0)
    reply_tokens: int = option(64, "Longest reply, in tokens.", ge=16)
    temperature: float = option(1.0, "Sampling temperature of the replies.", gt=0.0, le=2.0)
    held_out: int = option(8, "Prompts of other tasks to measure before and after.", ge=1)


def reinforce(options: GrpoOptions, folder: Path, pool: WorkerPool, tell: Tell) -> dict[str, Any]:
    """Trains an adapter in `folder`, or goes on training it there.

    Args:
        options: what to learn and how.
        folder: gets the adapter with its card, and what is needed to go on.
        pool: plays the tasks.
        tell: hears how it goes.

    Returns:
        The card: rewards of held-out prompts before and after, and the curve between.

    Raises:
        SettingsError: a package is missing, or the folder is not as asked for.
    """
    with needs("finetune"):
        import datasets
        import transformers
        import trl
    datasets.disable_progress_bars()
    options = options.begun(folder)
    weights = load_weights(options.model, options.adapter, trainable=True)
    ranker = (options.ranker, options.checkpoint, options.seed)
    budget = PromptBudget(options.prompt_budget, weights.count)
    asked = list(branches(options.tasks, make_ranker(*ranker), budget, options.hinted_share, options.seed))
    tasks = list(dict.fromkeys(branch.task for branch in asked))
    others = frozenset(tasks[-max(1, len(tasks) // 5) :])
    held_out = _spread([b for b in asked if b.task in others], options.held_out)
    learnt = [b for b in asked if b.task not in others] or asked
    tell(f"{len(learnt)} prompts to learn from, {len(held_out)} held out.")
    # One epoch, however long: TRL draws every epoch in the order of the first where it goes on.
    passes = math.ceil(options.steps * options.batch / len(learnt))
    rewards: list[float] = []
    trainer = outcome_trainer()(
        model=weights.network,
        processing_class=weights.tokenizer,
        reward_funcs=outcome_reward(pool, ranker, RewardWeights(), rewards),
        args=trl.GRPOConfig(
            **trainer_arguments(options, folder)
            | {
                "per_device_train_batch_size": options.batch * options.group,
                "per_device_eval_batch_size": options.group,
                "logging_steps": 1,
            },
            max_steps=options.steps,
            save_steps=max(1, options.steps // 10),
            learning_rate=options.learning_rate,
            num_generations=options.group,
            max_completion_length=options.reply_tokens,
            temperature=options.temperature,
            beta=options.kl,
        ),
        train_dataset=datasets.Dataset.from_list(_rows(learnt) * passes),
        eval_dataset=datasets.Dataset.from_list(_rows(held_out)),
        peft_config=None if options.adapter else adapter_config(options.rank),
    )
    made_quiet(trainer, folder, tell, options.minutes)

    def measured() -> list[float]:
        """The mean reward of each held-out prompt; the same draws for every model."""
        rewards.clear()
        transformers.set_seed(options.seed)
        trainer.evaluate()
        return [mean(rewards[k : k + options.group]) for k in range(0, len(rewards), options.group)]

    if not (folder / BEFORE).exists():
        write_whole(folder / BEFORE, json.dumps(measured()))
    before = json.loads((folder / BEFORE).read_text(encoding="utf-8"))
    transformers.set_seed(options.seed)
    seconds = trained(trainer, folder)
    after = measured()
    gains = [new - old for old, new in zip(before, after, strict=True)]
    save_adapter(trainer, folder, options.model)
    card = {
        "how": "grpo",
        "options": options.model_dump(mode="json"),
        "prompt_budget": options.prompt_budget,
        "steps": trainer.state.global_step,
        "seconds": seconds,
        "held_out_prompts": len(gains),
        "held_out_reward_before": round(mean(before), 4),
        "held_out_reward_after": round(mean(after), 4),
        "held_out_gain": round(mean(gains), 4),
        "held_out_gain_ci95": interval(gains),
        "curve": [
            {name: round(line[name], 4) for name in _CURVE if name in line}
            for line in trainer.state.log_history
            if "reward" in line
        ],
        "versions": versions(),
        "git": git_revision(),
    }
    write_card(folder, card)
    return card


_CURVE = ("step", "reward", "kl", "completions/mean_length", "fallback_rate")


_NO_RANKER = ("none", None, 0)


def outcome_reward(
    pool: WorkerPool, ranker: tuple[str, Path | None, int], weights: RewardWeights, given: list[float]
) -> Callable[..., Any]:
    """The reward of each completion, noted in `given`: what its task comes to, played by the workers."""

    def outcome(
        completions: Sequence[Any],
        task: Sequence[str],
        step: Sequence[int],
        hinted: Sequence[bool],
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        played: dict[int, Rollout] = {}
        jobs = [
            Job(
                rollout_by_worker,
                (parse(Task, told, "task"), at, completion[-1]["content"], ranker if knows else _NO_RANKER),
                partial(played.__setitem__, number),
            )
            for number, (completion, told, at, knows) in enumerate(
                zip(completions, task, step, hinted, strict=True)
            )
        ]
        run_jobs(pool, jobs)
        if log_metric:
            log_metric("fallback_rate", mean(not one.usable for one in played.values()))
        rewards = [reward_of(played[number], weights) for number in range(len(jobs))]
        given.extend(rewards)
        return rewards

    return outcome


def _rows(asked: Sequence[Branch]) -> list[dict[str, Any]]:
    return [
        {"prompt": list(b.prompt), "task": b.task.model_dump(), "step": b.step, "hinted": b.hinted}
        for b in asked
    ]


def _spread(asked: Sequence[Branch], most: int) -> list[Branch]:
    """As many of them as asked for, from start to end."""
    return list(asked[:: max(1, len(asked) // most)][:most])
