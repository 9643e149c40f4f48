"""Where training runs: on which device, in which precision, and in how many processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from data.errors import SettingsError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """The processes that train one network together; this one is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of `items`; all shares together are the whole, and some may be empty."""
        return items[self.rank :: self.size]

    def total(self, *numbers: float, device: torch.device) -> list[float]:
        """The sum of each number over all processes, the same everywhere."""
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return [float(number) for number in summed.tolist()]

    def wrap(self, net: nn.Module) -> nn.Module:
        """The network to call in each step: after `backward` its gradient is the mean over all processes."""
        if self.size == 1:
            return net
        return DistributedDataParallel(net)


ALONE = Workers()


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Joins the processes that `torchrun` started; without it this process is alone.

    Args:
        device: "auto", "cpu" or "cuda"; they talk through gloo on the CPU and through nccl on CUDA.

    Raises:
        SettingsError: there is no such device.
    """
    place = pick_device(device)
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    if place.type == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Workers(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def pick_device(choice: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        SettingsError: CUDA was asked for and there is none.
    """
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    if choice == "cuda" and not torch.cuda.is_available():
        raise SettingsError("--device cuda: no CUDA device is available here – use auto or cpu")
    return torch.device(choice)


def device_name(device: torch.device) -> str:
    """The device in words: `cpu`, or `cuda: ` and the name of the card."""
    return f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def pick_precision(choice: Precision, device: torch.device) -> torch.dtype:
    """`auto` is half precision on CUDA, as good as the card has it, and full precision on the CPU.

    Raises:
        SettingsError: fp16 without CUDA, where its gradients would only be slow.
    """
    if choice == "fp16" and device.type != "cuda":
        raise SettingsError("--precision fp16 needs CUDA – use auto, fp32 or bf16")
    if choice == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[choice]
