"""The state file of an interrupted training: whole or absent, tensors and JSON, no pickle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from data.errors import FirewatchError
from data.files.whole_file import write_whole
from gnn.network.batch import Example
from gnn.network.model import RootCauseNet

FORMAT_VERSION = 1
_NET, _BEST, _OPTIMIZER = "net/", "best/", "optimizer/"


class ResumeError(FirewatchError):
    """An interrupted training that cannot go on: damaged, or other than what was asked for."""


@dataclass(frozen=True)
class Best:
    """The best weights so far; without any nothing was selected yet."""

    ac1: float = -1.0
    since: int = 0  # the epoch that first ranked so well, 0 for the start
    weights: dict[str, Tensor] = field(default_factory=dict)


def training_fingerprint(
    examples: Sequence[Example], dev: Sequence[Example], init: RootCauseNet | None
) -> str:
    """Tells apart what runs learn from, select on and start with."""
    digest = hashlib.sha256()
    for part in (examples, dev):
        digest.update(f"{len(part)} examples\0".encode())
        for example in part:
            graph = example.graph
            digest.update(f"{graph.mode} {example.fault} {graph.x.shape}\0".encode())
            labels = (example.is_root, example.taught)
            for array in (graph.x, graph.edge_index, graph.edge_attr, *labels):
                digest.update(array.tobytes() if array is not None else b"")
    for tensor in init.state_dict().values() if init is not None else ():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


class StateFile:
    """The state of one run after its last finished epoch.

    Args:
        path: the file.
        config: what decides the run; another one is refused.
        data: the `fingerprint` of what it learns from; other data are refused.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], data: str) -> None:
        self._path, self._config, self._data = path, config, data

    def save(
        self,
        finished: int,
        net: RootCauseNet,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        best: Best,
    ) -> None:
        """Replaces the file at once: whatever kills the process, the old state or the new one is there."""
        learner = optimizer.state_dict()
        tensors = {_NET + name: value for name, value in net.state_dict().items()}
        tensors |= {_BEST + name: value for name, value in best.weights.items()}
        for number, moments in learner["state"].items():
            tensors |= {f"{_OPTIMIZER}{number}/{name}": value for name, value in moments.items()}
        facts = {
            "format_version": FORMAT_VERSION,
            "config": self._config,
            "data": self._data,
            "finished": finished,
            "best": {"ac1": best.ac1, "since": best.since},
            "param_groups": learner["param_groups"],
            "schedule": schedule.state_dict(),
            "scaler": scaler.state_dict(),
        }
        whole = save(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
            metadata={"state": json.dumps(facts)},
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, whole)

    def restore(
        self,
        net: RootCauseNet,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        best: Best,
    ) -> tuple[int, Best]:
        """Restores the saved state; returns the number of finished epochs and the best one.

        Without a file nothing is changed: no epoch is finished, and `best` stays.

        Raises:
            ResumeError: the file is damaged, or of another configuration or other data.
        """
        if not self._path.exists():
            return 0, best
        try:
            with safe_open(self._path, "pt") as file:
                facts = json.loads((file.metadata() or {}).get("state", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise ResumeError(f"{self._path}: {error} – remove it and start again") from None
        self._refuse_another(facts)
        net.load_state_dict(_under(_NET, tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(_OPTIMIZER, tensors).items():
            number, _, moment = name.partition("/")
            state.setdefault(int(number), {})[moment] = value
        groups = [{**group, "betas": tuple(group["betas"])} for group in facts["param_groups"]]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        schedule.load_state_dict(facts["schedule"])
        scaler.load_state_dict(facts["scaler"])
        device = next(net.parameters()).device
        weights = {name: value.to(device) for name, value in _under(_BEST, tensors).items()}
        return facts["finished"], Best(**facts["best"], weights=weights)

    def _refuse_another(self, facts: Mapping[str, Any]) -> None:
        if facts.get("format_version") != FORMAT_VERSION:
            raise ResumeError(f"{self._path}: this version cannot continue that training – start again")
        theirs = facts["config"]
        for name, ours in self._config.items():
            if theirs.get(name) != ours:
                raise ResumeError(
                    f"{self._path}: that training was started with {name} {theirs.get(name)}, not {ours}"
                    " – use the same options, or start again in another folder"
                )
        if facts["data"] != self._data:
            raise ResumeError(
                f"{self._path}: that training was started with other data – give the same sources and "
                "teachers, or start again in another folder"
            )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
