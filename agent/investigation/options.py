"""The options of `investigate`: telemetry as in `diagnose` or a saved incident, logs, and who decides."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from agent.live_diagnosis import LookOptions
from agent.play.config import ModelOptions
from agent.settings import Settings
from data.options import option

_ACTING = "Acting"


class InvestigateOptions(LookOptions, ModelOptions):
    """What to investigate, who decides, and what may be done."""

    incident: tuple[Path, ...] = option(
        (), "Investigate this instead: whatever rank reads; repeatable.", metavar="FILE"
    )
    loki: str | None = option(None, "Loki, for log lines.", metavar="URL")
    logs: tuple[Path, ...] = option(
        (), "A file or folder of log lines; named after a service, or with its name in each line.",
        metavar="PATH",
    )  # fmt: skip
    kubernetes: str | None = option(
        None,
        "Ask kubectl for owners, changes, warnings and logs in this context; 'current' for the one in use.",
        metavar="CONTEXT",
    )
    policy: Literal["auto", "llm", "rules"] = option(
        "auto", "auto: the model, with the rules as fallback; only the rules if no model is set up."
    )
    looks: int = option(12, "Look at most this many times.", metavar="N", ge=1, le=100)
    allow_remedies: bool = option(
        False, "Carry out a remedy that you approve. Needs --approve.", panel=_ACTING
    )
    approve: bool = option(False, "Ask on the terminal before a remedy. See --allow-remedies.", panel=_ACTING)
    markdown: bool = option(False, "Print Markdown, for a chat or a ticket.", recorded=False)
    out: Path | None = option(
        None, "Keep the incident and every step here, to label and export.", metavar="FOLDER", recorded=False
    )

    @model_validator(mode="after")
    def _both_switches(self) -> Self:
        if self.allow_remedies != self.approve:
            raise ValueError("a remedy is carried out with --allow-remedies and --approve together only")
        if self.allow_remedies and self.kubernetes is None:
            raise ValueError("remedies are carried out by kubectl: name a context with --kubernetes")
        return self

    def completed(self, settings: Settings) -> Self:
        """A copy with the configured model filled in."""
        return self.model_copy(update=self.model_facts(settings, self.policy))
