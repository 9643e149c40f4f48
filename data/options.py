"""Options: the same frozen model serves the command line, the library and the record of a run."""

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
    """A field that is also a command-line option.

    Args:
        name: on the command line, if not "--" and the field's name.
        short: such as "-q".
        metavar: placeholder for the value in the help.
        choices: the allowed words, if the field's type doesn't list them.
        panel: the heading in the help.
        recorded: the option affects the results, so it is saved with them.
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
    """Base class of all options; fields without a description are derived values, not options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def cli(cls, field: str) -> dict[str, Any]:
        """The command-line properties of a field, as given to `option`."""
        extra = cls.model_fields[field].json_schema_extra
        assert isinstance(extra, dict)
        shown: Any = extra["cli"]
        return {**shown, "name": shown["name"] or "--" + field.replace("_", "-")}


class Common(Options):
    """Options of every command."""

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
    """The incidents to train or evaluate on."""

    episodes_from: tuple[Path, ...] = option(
        (), "Stored episodes: a file or folder, .jsonl or .jsonl.gz; repeatable.", metavar="PATH"
    )
    incidents: tuple[Path, ...] = option(
        (), "Incidents, or telemetry (see import): a file or a folder; repeatable.", metavar="PATH"
    )
    simulate: int = option(0, "Use N freshly simulated incidents.", metavar="N", ge=0)
    labels: Path | None = option(None, LABELS, metavar="FILE")


class WorkerOptions(Options):
    """How many workers share the work, and where they run."""

    jobs: int = option(1, "Processes, or actors with --ray.", metavar="N", ge=1, le=256, recorded=False)
    ray: str | None = option(
        None,
        "Use actors of this Ray cluster; local starts one on this machine (extra 'ray').",
        metavar="ADDRESS|local",
        recorded=False,
    )


class Resumable(Options):
    """Options of commands that write a folder and can resume in it."""

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
        """Refuses options that would mix different results in the folder of `--resume`.

        Raises:
            SettingsError: names the option and its original value.
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
