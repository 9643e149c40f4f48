"""How TRL's trainers are set up here: quiet, offline, resumable, and with a small adapter."""

import json
import time
from pathlib import Path
from typing import Any

from agent.finetune.options import CHECKPOINTS, LOGS, TeachingOptions, Tell, last_whole_checkpoint
from agent.llm.weights import ADAPTER_CONFIG
from data.files.json_file import read_object
from data.files.whole_file import write_whole

# What is told of a training's progress.
_TOLD = ("loss", "eval_loss", "reward", "kl", "completions/mean_length", "fallback_rate")


def trainer_arguments(options: TeachingOptions, folder: Path) -> dict[str, Any]:
    """The arguments that every trainer gets."""
    return {
        "output_dir": str(folder / CHECKPOINTS),
        "report_to": [],  # but see `made_quiet`
        "per_device_train_batch_size": options.batch,
        "per_device_eval_batch_size": options.batch,
        "activation_checkpointing": False,
        "bf16": False,  # the weights themselves are, where the machine is quick with it
        "logging_steps": 5,
        "save_strategy": "steps",
        "save_total_limit": 2,
        "seed": options.seed,
        "data_seed": options.seed,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def adapter_config(rank: int) -> Any:
    """A LoRA adapter: Hu et al., "LoRA", ICLR 2022."""
    import peft

    return peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def reply_trainer() -> Any:
    """TRL's trainer on examples; on a CPU its own loss scores every token of the prompts, only to drop it."""
    import torch
    import trl

    class ReplyTrainer(trl.SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs.pop("labels")[:, 1:]  # (B, T-1)
            scored = (labels != -100).any(0).nonzero()[:, 0]  # (R,): where any reply has a token
            outputs = model(**inputs, use_cache=False, logits_to_keep=scored)
            wanted = labels[:, scored]  # (B, R)
            logits = outputs.logits.float().flatten(0, 1)  # (B*R, vocabulary)
            total = torch.nn.functional.cross_entropy(logits, wanted.flatten(), reduction="sum")
            many = (wanted != -100).sum() if num_items_in_batch is None else num_items_in_batch
            return (total / many, outputs) if return_outputs else total / many

    return ReplyTrainer


def outcome_trainer() -> Any:
    """TRL's trainer on outcomes, for which the same holds."""
    import torch
    import trl

    class OutcomeTrainer(trl.GRPOTrainer):  # type: ignore[misc]
        def _get_per_token_logps_and_entropies(
            self,
            model: Any,
            input_ids: Any,
            attention_mask: Any,
            logits_to_keep: int,
            batch_size: int | None = None,
            compute_entropy: bool = False,
            **_: Any,
        ) -> tuple[Any, Any, None]:
            outputs = model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                use_cache=False,
                logits_to_keep=logits_to_keep + 1,
            )
            logits = outputs.logits[:, :-1].float() / self.temperature  # (B, R, vocabulary)
            chances = torch.log_softmax(logits, dim=-1)
            drawn = chances.gather(-1, input_ids[:, -logits_to_keep:, None])[..., 0]  # (B, R)
            entropies = -(chances.exp() * chances).sum(-1) if compute_entropy else None
            return drawn, entropies, None

    return OutcomeTrainer


def made_quiet(trainer: Any, folder: Path, tell: Tell, minutes: float | None) -> Any:
    """The trainer, which tells instead of printing, writes curves for TensorBoard, and keeps to its time."""
    import transformers
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    class Teller(transformers.TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            told = [f"{name} {logs[name]:.4g}" for name in _TOLD if name in logs]
            if told:
                tell(f"Step {state.global_step} of {state.max_steps}: {', '.join(told)}.")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if minutes is not None and time.monotonic() - began >= 60.0 * minutes:
                control.should_training_stop = control.should_evaluate = control.should_save = True

    began = time.monotonic()
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(Teller)
    trainer.add_callback(TensorBoardCallback(SummaryWriter(folder / LOGS)))
    return trainer


def trained(trainer: Any, folder: Path) -> float:
    """Trains to the end, from the last whole checkpoint in `folder`; returns the seconds that it took."""
    import transformers

    newest = last_whole_checkpoint(folder)
    if newest:
        state = transformers.TrainerState.load_from_json(str(Path(newest) / "trainer_state.json"))
        if state.global_step >= trainer.args.max_steps:  # it would go one step further
            trainer.model.load_adapter(state.best_model_checkpoint or newest, "default")
            trainer.state = state
            return 0.0
    seconds: float = trainer.train(resume_from_checkpoint=newest).metrics["train_runtime"]
    return round(seconds, 1)


def save_adapter(trainer: Any, folder: Path, model: Path) -> None:
    """Writes the adapter alone, at half precision, as one of `model`."""
    import torch

    network = trainer.model.to(torch.bfloat16)
    network.save_pretrained(folder, save_embedding_layers=False)
    file = folder / ADAPTER_CONFIG  # which holds where the model lay on this machine
    config = {**read_object(file), "base_model_name_or_path": str(model)}
    write_whole(file, json.dumps(config, indent=2) + "\n")
    (folder / "README.md").unlink(missing_ok=True)  # a form that nobody filled in
