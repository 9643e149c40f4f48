"""Fine-tunes a model on good decisions: LoRA, loss on the reply alone, early stopping on held-out tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.finetune.examples import TaughtReply, Teacher, recorded_examples, taught_examples
from agent.finetune.options import TeachingOptions, Tell, write_card
from agent.finetune.trainer import (
    adapter_config,
    made_quiet,
    reply_trainer,
    save_adapter,
    trained,
    trainer_arguments,
)
from agent.llm.prompt_budget import PromptBudget
from agent.llm.weights import load_weights
from agent.records.provenance import git_revision, versions
from data.errors import SettingsError
from data.extras import needs
from data.options import option
from gnn.registry import make_ranker


class SftOptions(TeachingOptions):
    """Everything that decides what a model learns from examples."""

    runs: tuple[Path, ...] = option(
        (), "Run folders to learn from, instead of a teacher.", positional=True, metavar="[RUN]..."
    )
    teacher: Teacher = option("rules", "Who plays the random tasks; the expert knows the root cause.")
    min_score: float = option(0.5, "Lowest score of the tasks to learn from.", ge=0.0, le=1.0)
    held_out: float = option(0.1, "Share of the tasks to stop early on.", gt=0.0, lt=1.0)
    epochs: float = option(1.0, "Times that each example is seen.", gt=0.0)
    learning_rate: float = option(8e-4, "Highest learning rate.", gt=0.0, lt=1.0)
    checks: int = option(4, "Times to look at the held-out tasks.", ge=1)
    patience: int = option(2, "Stop after so many looks without a gain.", ge=1)


def teach(options: SftOptions, folder: Path, tell: Tell) -> dict[str, Any]:
    """Trains an adapter in `folder`, or goes on training it there.

    Args:
        options: what to learn, from what and how.
        folder: gets the adapter with its card, and what is needed to go on.
        tell: hears how it goes.

    Returns:
        The card.

    Raises:
        SettingsError: a package is missing, or there is nothing to learn from.
    """
    with needs("finetune"):
        import datasets
        import transformers
        import trl
    datasets.disable_progress_bars()
    options = options.begun(folder)
    weights = load_weights(options.model, options.adapter, trainable=True)
    examples = _examples(options, PromptBudget(options.prompt_budget, weights.count))
    learnt, held_out = split_by_task(examples, options.held_out)
    if not learnt or not held_out:
        raise SettingsError(f"{len(examples)} examples are too few to learn from: play more --episodes")
    tell(f"{len(learnt)} examples to learn from, {len(held_out)} of held-out tasks.")
    steps = max(1, round(options.epochs * len(learnt) / options.batch))
    every = max(1, steps // options.checks)
    trainer = reply_trainer()(
        model=weights.network,
        processing_class=weights.tokenizer,
        args=trl.SFTConfig(
            **trainer_arguments(options, folder),
            max_steps=steps,
            learning_rate=options.learning_rate,
            warmup_steps=steps // 20,
            lr_scheduler_type="cosine",
            completion_only_loss=True,
            max_length=None,
            eval_strategy="steps",
            eval_steps=every,
            save_steps=every,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
        ),
        train_dataset=datasets.Dataset.from_list(_rows(learnt)),
        eval_dataset=datasets.Dataset.from_list(_rows(held_out)),
        peft_config=None if options.adapter else adapter_config(options.rank),
        callbacks=[transformers.EarlyStoppingCallback(options.patience)],
    )
    made_quiet(trainer, folder, tell, options.minutes)
    seconds = trained(trainer, folder)
    losses = [line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line]
    save_adapter(trainer, folder, options.model)
    card = {
        "how": "sft",
        "options": options.model_dump(mode="json"),
        "prompt_budget": options.prompt_budget,
        "examples": len(learnt),
        "held_out_examples": len(held_out),
        "steps": trainer.state.global_step,
        "seconds": seconds,
        "held_out_losses": [round(loss, 4) for loss in losses],
        "held_out_loss": round(min(losses), 4),
        "versions": versions(),
        "git": git_revision(),
    }
    write_card(folder, card)
    return card


def split_by_task(
    examples: Sequence[TaughtReply], held_out: float
) -> tuple[Sequence[TaughtReply], Sequence[TaughtReply]]:
    """The examples to learn from, and those of the last tasks, which are held out."""
    tasks = list(dict.fromkeys(example.task for example in examples))
    kept = frozenset(tasks[: len(tasks) - max(1, round(held_out * len(tasks)))])
    return [e for e in examples if e.task in kept], [e for e in examples if e.task not in kept]


def _examples(options: SftOptions, budget: PromptBudget) -> list[TaughtReply]:
    if options.runs:
        return list(recorded_examples(options.runs, options.min_score))
    return list(
        taught_examples(
            options.tasks,
            options.teacher,
            make_ranker(options.ranker, options.checkpoint, options.seed),
            budget,
            options.hinted_share,
            options.min_score,
            options.seed,
        )
    )


def _rows(examples: Sequence[TaughtReply]) -> list[dict[str, Any]]:
    return [
        {"prompt": list(e.prompt), "completion": [{"role": "assistant", "content": e.reply}]}
        for e in examples
    ]
