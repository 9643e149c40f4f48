"""A language model of a few thousand weights that reads bytes, for tests."""

from pathlib import Path

_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tiny_adapter(model: Path, folder: Path) -> Path:
    """Writes an adapter of that model that changes nothing yet."""
    import warnings

    import peft
    from transformers import AutoModelForCausalLM

    from agent.finetune.trainer import adapter_config

    network = AutoModelForCausalLM.from_pretrained(model)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        peft.get_peft_model(network, adapter_config(2)).save_pretrained(folder)
    return folder


def make_tiny_model(folder: Path) -> Path:
    """Writes a Llama with two layers of width 32; its random weights are always the same."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(special + letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    told = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special[0], eos_token=special[1], pad_token=special[1]
    )
    told.chat_template = _TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    told.save_pretrained(folder)
    return folder
