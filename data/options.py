"""Options: one frozen model is what a command takes, what the library takes, and what is recorded."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.errors import SettingsError

LABELS = (
    'Root causes known from elsewhere: {"<task_id>" or "<difficulty>/<seed>" or "<incident_id>": '
    r"\[services]}."
)


def option(
    default: Any,
    text: str,
    *,
    name: str | None = None,
    short: str | None = None,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    panel: str | None = None,
    recorded: bool = True,
    positional: bool = False,
    separated: bool = False,
    **bounds: Any,
) -> Any:
    """A field of a model that is an option of a command, too.

    Args:
        default: its value where nothing is given.
        text: the help.
        name: how it is typed, where that is not "--" and the field's name.
        short: such as "-q".
        metavar: stands for the value in the help.
        choices: the words to choose from, where the field's type does not say them.
        panel: the heading that it is listed under.
        recorded: whether it decides what comes out, and so is kept beside it.
        positional: typed without a name.
        separated: several names typed as one word, with commas between them.
        bounds: as of pydantic's `Field`.
    """
    shown: Any = {"name": name, "short": short, "metavar": metavar, "choices": choices, "panel": panel}
    return Field(
        default,
        description=text,
        exclude=not recorded,
        json_schema_extra={"cli": {**shown, "positional": positional, "separated": separated}},
        **bounds,
    )


class Options(BaseModel):
    """The base of all: fields without a description are no options but what was made of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def cli(cls, field: str) -> dict[str, Any]:
        """How an option is typed and shown, as `option` was told."""
        extra = cls.model_fields[field].json_schema_extra
        assert isinstance(extra, dict)
        shown: Any = extra["cli"]
        return {**shown, "name": shown["name"] or "--" + field.replace("_", "-")}


class Common(Options):
    """What every command takes."""

    seed: int = option(0, "Random seed; the same seed gives the same result.", ge=0)
    json_to: Path | None = option(
        None,
        "Write the results as JSON to this file, or '-' for stdout.",
        name="--json",
        metavar="FILE",
        recorded=False,
    )
    quiet: bool = option(False, "Print no progress, summary or warnings.", short="-q", recorded=False)


class Cases(Options):
    """What is learnt from or scored on."""

    episodes_from: tuple[Path, ...] = option(
        (), "Stored episodes: a file or folder, .jsonl or .jsonl.gz; repeatable.", metavar="PATH"
    )
    incidents: tuple[Path, ...] = option(
        (), "Incidents: a file or folder, .jsonl or .jsonl.gz; repeatable.", metavar="PATH"
    )
    simulate: int = option(0, "Use N freshly simulated incidents.", metavar="N", ge=0)
    labels: Path | None = option(None, LABELS, metavar="FILE")


class Resumable(Options):
    """Writes a folder, and goes on in one."""

    out: Path | None = option(None, "Folder for the results.", metavar="DIR", recorded=False)
    resume: Path | None = option(
        None, "Continue in this folder and do only what is missing.", metavar="DIR", recorded=False
    )

    @model_validator(mode="after")
    def _one_folder(self) -> Self:
        if self.resume and self.out and self.out.resolve() != self.resume.resolve():
            raise ValueError(
                f"--out {self.out} and --resume {self.resume} name different folders: drop --out"
            )
        return self

    def refuse_changes(self, started: Options, free: Collection[str] = ()) -> None:
        """Refuses options that would mix two results in the folder of `--resume`.

        Args:
            started: how the work in the folder was started.
            free: options that may be others now.

        Raises:
            SettingsError: names the option and what the work was started with.
        """
        for field in sorted(self.model_fields_set):
            if type(self).model_fields[field].exclude or field in free:
                continue
            before = getattr(started, field)
            if getattr(self, field) != before:
                shown = (" ".join(map(str, before)) or "none") if isinstance(before, tuple) else before
                raise SettingsError(
                    f"{self.cli(field)['name']}: {self.resume} was started with {shown}; leave it out"
                )
