"""What an ablation combines: rankers with their weights, and policies with their models."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.llm.weights import ADAPTER_CONFIG, prompt_budget_of
from agent.play.config import Asking
from agent.settings import NO_HINTS, Settings
from data.errors import SettingsError
from data.files.json_file import read_object
from gnn.registry import known_folder, shipped, weights_folder

WRONG = "wrong"


class Arm(NamedTuple):
    """One combination of a ranker and a policy."""

    ranker: str
    policy: str

    @property
    def name(self) -> str:
        """Such as "gnn+rules"."""
        return f"{self.ranker}+{self.policy}"

    @staticmethod
    def all(rankers: Sequence[str], policies: Sequence[str]) -> tuple["Arm", ...]:
        """Every ranker with every policy; a policy without hints is a single arm."""
        arms = (
            Arm("none", policy.replace(NO_HINTS, "", 1))
            if policy.partition("@")[0].endswith(NO_HINTS)
            else Arm(ranker, policy)
            for policy in policies
            for ranker in rankers
        )
        return tuple(dict.fromkeys(arms))


class RankerSpec(NamedTuple):
    """A ranker by name, with the folder of its weights unless they are the shipped ones."""

    name: str
    checkpoint: Path | None

    @staticmethod
    def read(text: str, default: Path | None) -> "RankerSpec":
        """Reads a name or name@folder; without a folder the weights come from `default`."""
        name, _, own = text.partition("@")
        return RankerSpec(name, known_folder(Path(own)) if own else default)

    @property
    def real_name(self) -> str:
        """The ranker behind it; "wrong" uses the network."""
        return "gnn" if self.name == WRONG else self.name

    @property
    def weights(self) -> Path | None:
        """The folder of its weights, if it has any."""
        return weights_folder(self.real_name, self.checkpoint)

    @property
    def weights_name(self) -> str | None:
        """The folder for a result file; that of shipped weights is relative, the same on every machine."""
        if self.weights is None:
            return None
        tree = shipped("").parent
        return str(self.weights.relative_to(tree) if self.weights.is_relative_to(tree) else self.weights)


class PolicySpec(NamedTuple):
    """A policy by name, with a model or adapter of its own if it names one."""

    name: str
    own: Path | None

    @staticmethod
    def read(text: str) -> "PolicySpec":
        """Reads a name or name@folder.

        Raises:
            SettingsError: a policy without a model names a folder.
        """
        name, _, own = text.partition("@")
        if own and name != "llm":
            raise SettingsError(f"--policy {text}: only llm takes a model or an adapter, as llm@DIR")
        return PolicySpec(name, Path(own) if own else None)

    def asking(self, default: Asking) -> Asking:
        """How to ask its model.

        Args:
            default: how to ask if it names nothing. A named adapter is put on the default model, or else on
                the one that it was trained on.
        """
        if self.own is None:
            budget = default.prompt_budget or prompt_budget_of(default.adapter)
            return default.model_copy(update={"prompt_budget": budget})
        config = self.own / ADAPTER_CONFIG
        model, adapter = self.own, None
        if config.is_file():
            trained_on = read_object(config).get("base_model_name_or_path")
            if default.model is None and not trained_on:
                raise SettingsError(f"{config} doesn't say which model it is for: name it with --model")
            model, adapter = default.model or Path(str(trained_on)), self.own
        own = Asking(model=model, adapter=adapter, prompt_budget=default.prompt_budget)
        return default.model_copy(update=own.model_facts(Settings(), self.name))
