"""What both ways of teaching a model share: options, the folder they write, and how they go on in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self, TypeVar

from agent.llm.weights import ADAPTER_CARD
from data.errors import SettingsError
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.observation import Task, parse
from data.options import Common, Resumable, option
from data.simulator.catalogue import random_tasks
from gnn.options import Checkpoint
from gnn.registry import RANKERS

# In the folder of a training: what was asked for, and what its trainer needs to go on.
REQUEST, CHECKPOINTS, LOGS = "request.json", "checkpoints", "logs"
BEFORE = "before.json"  # what was measured before the first step

Tell = Callable[[str], None]
O = TypeVar("O", bound="TeachingOptions")  # noqa: E741


class TeachingOptions(Common, Resumable):
    """What `sft` and `grpo` share."""

    model: Path = option(
        Path("smol"), "Model to teach: 'smol', a folder, or a .gguf file.", metavar="smol|FOLDER"
    )
    adapter: Path | None = option(None, "Adapter to start from.", metavar="DIR")
    episodes: int = option(120, "Play N random tasks.", metavar="N", ge=1)
    difficulty: Literal["easy", "medium", "hard", "all"] = option("all", "Difficulty of those tasks.")
    ranker: str = option("gnn", "What ranks the suspects.", choices=RANKERS)
    checkpoint: Checkpoint | None = option(
        None, "The ranker's weights. Default: the shipped ones.", metavar="DIR"
    )
    hinted_share: float = option(0.7, "Share of the tasks whose prompts show hints.", ge=0.0, le=1.0)
    prompt_budget: int = option(384, "Longest prompt, in tokens.", metavar="N", ge=128)
    batch: int = option(4, "Prompts a step.", ge=1)
    rank: int = option(16, "Rank of the new adapter.", ge=1)
    minutes: float | None = option(
        None, "Stop after N minutes, with what was learnt so far.", metavar="N", ge=0.0, recorded=False
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks to learn from."""
        return random_tasks(self.episodes, self.difficulty, self.seed)

    def begun(self, folder: Path) -> Self:
        """The options of the training in `folder`: these where it is new, else those it was started with.

        Raises:
            SettingsError: there is nothing to go on with, or there is something already.
        """
        file = folder / REQUEST
        if self.resume is None:
            if (folder / CHECKPOINTS).exists():  # until then, nothing was learnt
                raise SettingsError(
                    f"{folder} holds a training already: use --resume {folder}, or another --out"
                )
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, self.model_dump_json(indent=2) + "\n")
            return self
        if not file.exists():
            raise SettingsError(f"{folder} holds nothing to go on with: there is no {REQUEST}")
        started = parse(type(self), read_object(file), str(file))
        self.refuse_changes(started)
        return started.model_copy(update={"minutes": self.minutes})


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest of a trainer's checkpoints that was written to its end."""
    whole = []
    for state in (folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json"):
        try:
            json.loads(state.read_text(encoding="utf-8"))
        except ValueError:
            continue
        whole.append(state.parent)
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return str(newest) if newest else None


def write_card(folder: Path, card: dict[str, object]) -> None:
    """Says beside an adapter how it was made."""
    write_whole(folder / ADAPTER_CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
