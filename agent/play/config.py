"""The options of `run` and `collect`, which are saved in the run folder."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from agent.llm.weights import SMOL, can_run_smol, prompt_budget_of
from agent.settings import Settings
from data.errors import SettingsError
from data.observation import Task
from data.options import LABELS, Common, Options, Resumable, WorkerOptions, option
from data.simulator import catalogue
from gnn.options import Weights
from gnn.registry import RANKERS, shipped

POLICIES = ("auto", "llm", "rules", "legacy-rules", "explore")
_MODEL = "The model"


def _limit(span: str, unit: str) -> Any:
    return option(None, f"Limit in {unit} {span}; after that the rules decide.", panel=_MODEL, ge=0)


class TaskChoice(Options):
    """Which tasks to play; the whole catalogue by default."""

    test_run: bool = option(False, "The three smoke tasks: one easy, medium, hard.")
    task: tuple[str, ...] = option((), "A catalogue task; repeatable.", metavar="ID")
    tasks_file: Path | None = option(
        None, 'JSON list of {"task_id","difficulty","seed","max_ticks"}.', name="--tasks", metavar="FILE"
    )
    episodes: int | None = option(None, "N random episodes from --seed.", metavar="N", ge=1)
    difficulty: Literal["easy", "medium", "hard", "all"] = option(
        "all", "Difficulty of the random episodes or catalogue tasks."
    )

    def chosen(self, seed: int) -> tuple[Task, ...]:
        """The chosen tasks, without duplicates.

        Raises:
            SettingsError: tasks named in two ways, or an unknown task id.
        """
        ways = {
            "--test-run": self.test_run,
            "--task": self.task,
            "--tasks": self.tasks_file,
            "--episodes": self.episodes,
        }
        used = [name for name, value in ways.items() if value]
        if len(used) > 1:
            raise SettingsError(f"{' and '.join(used)} name different tasks: use one of them")
        if self.test_run:
            return tuple(catalogue.smoke_tasks())
        if self.episodes:
            return catalogue.random_tasks(self.episodes, self.difficulty, seed)
        if self.task:
            tasks = tuple(map(catalogue.task, self.task))
        elif self.tasks_file:
            tasks = catalogue.read_tasks(self.tasks_file)
        else:
            tasks = tuple(t for t in catalogue.catalogue() if self.difficulty in ("all", t.difficulty))
        if not tasks:
            raise SettingsError(f"{self.tasks_file}: no task in it")
        return tuple(dict.fromkeys(tasks))


def env_option(default: str | None) -> Any:
    """The option `--env`."""
    found = default or "localhost:8000, localhost:7860, $SPACE_URL, else the embedded one"
    return option(default, f"The environment. Default: {found}.", metavar="URL|embedded")


class Place(Options):
    """Where to play."""

    env: str | None = env_option(None)
    transport: Literal["auto", "http", "ws"] = option(
        "auto", "How to talk to the server; auto asks what it supports."
    )


class Asking(Options):
    """How to ask a model, if there is one."""

    model: Path | None = option(
        None,
        "A model to run here, without server or key: 'smol' (SmolLM2-135M), a folder, or a .gguf file.",
        panel=_MODEL,
        metavar="smol|FOLDER",
    )
    adapter: Path | None = option(
        None, "A fine-tuned adapter for that model: its folder.", panel=_MODEL, metavar="DIR"
    )
    prompt_budget: int | None = option(
        None,
        "Longest prompt, in tokens; the least important parts are left out. Default: the adapter's.",
        panel=_MODEL,
        metavar="N",
        ge=128,
    )
    temperature: float = option(0.3, "Sampling temperature of the replies.", panel=_MODEL, ge=0.0, le=2.0)
    max_tokens: int = option(256, "Longest reply, in tokens.", panel=_MODEL, ge=16)

    # From the options and from environment variables.
    models: tuple[str, ...] = ()  # in order of preference; empty without a model
    api_base_url: str = ""  # without credentials
    prices: dict[str, tuple[float, float]] = Field(default_factory=dict)  # as in Settings

    def model_facts(self, settings: Settings, policy: str) -> dict[str, Any]:
        """The fields of this model for a policy: a local model, or else the endpoint.

        For "llm" without an endpoint, the shipped small model is used if possible.
        """
        model, adapter = self.model, self.adapter
        ours = shipped("policy")
        nothing_is_set_up = model is None and policy == "llm" and settings.key is None
        if nothing_is_set_up and ours.is_dir() and can_run_smol():
            model, adapter = Path(SMOL), adapter or ours
        if model is None or policy not in ("auto", "llm"):
            return {
                "models": settings.models_for(policy),
                "api_base_url": settings.public_api_base_url,
                "prices": dict(settings.prices),
            }
        name = f"{model}+{adapter.name}" if adapter else str(model)
        budget = self.prompt_budget or prompt_budget_of(adapter)
        return {"models": (name,), "model": model, "adapter": adapter, "prompt_budget": budget}


class ModelOptions(Asking):
    """How to ask a model, and what it may cost."""

    llm_timeout_s: float = option(
        120.0,
        "Time limit for one question, retries included.",
        name="--llm-timeout",
        metavar="SECONDS",
        panel=_MODEL,
        gt=0,
        allow_inf_nan=False,
    )
    llm_cache: Path | None = option(
        None, "Cache replies here; the same question gets the same reply.", metavar="DIR", panel=_MODEL
    )
    # Budgets; None is unlimited.
    task_tokens: int | None = _limit("per task", "tokens")
    task_usd: float | None = _limit("per task", "US dollars (MODEL_PRICES)")
    task_seconds: float | None = _limit("per task", "seconds of model time")
    run_tokens: int | None = _limit("for the run", "tokens")
    run_usd: float | None = _limit("for the run", "US dollars (MODEL_PRICES)")
    run_seconds: float | None = _limit("for the run", "seconds of model time")


class Playing(Place, TaskChoice, Asking):
    """Where and how to play tasks, with any policy."""

    concurrency: int = option(
        1,
        "Tasks to play at once, if the environment has sessions.",
        metavar="N",
        ge=1,
        le=256,
        recorded=False,
    )
    task_timeout_s: float = option(
        1800.0,
        "Give up on a task after this long.",
        name="--task-timeout",
        metavar="SECONDS",
        gt=0,
        allow_inf_nan=False,
    )
    tasks: tuple[Task, ...] = ()  # derived from the options


class PlayOptions(Common, Resumable, Weights, Playing, ModelOptions):
    """The common options of `run` and `collect`."""

    ranker: str = option("gnn", "What ranks the suspects.", choices=RANKERS)
    policy: str = option(
        "auto",
        "auto: the model, with the rules as fallback; only the rules if no model is set up.",
        choices=POLICIES,
    )
    hints: bool = True  # show the ranking to the model

    def completed(self, settings: Settings) -> Self:
        """A copy with the chosen tasks and the configured model filled in.

        Raises:
            SettingsError: tasks named in two ways, or an unknown task.
        """
        return self.model_copy(
            update={"tasks": self.chosen(self.seed), **self.model_facts(settings, self.policy)}
        )

    def resumed(self, environment: str | None, settings: Settings) -> Self:
        """A copy for resuming a run in the environment where it was started.

        Raises:
            SettingsError: the model endpoint differs or is missing.
        """
        if self.models and not self.model and self.api_base_url != settings.public_api_base_url:
            raise SettingsError(f"the run was started with API_BASE_URL={self.api_base_url}: set it again")
        if self.models and not self.model and settings.key is None:
            raise SettingsError("the run was started with a model: set HF_TOKEN or OPENAI_API_KEY again")
        return self.model_copy(update={"env": self.env or environment})


class RunConfig(PlayOptions):
    """All options of a run; a resumed run takes them from its folder."""

    dry_run: bool = option(False, "Recommend remedies but send none.")
    approve: bool = option(False, "Ask before each remedy.")
    watch: bool = option(False, "Show each step as it is taken: suspects, decision, budget.", recorded=False)
    pace: float = option(
        1.0, "With --watch: pause before each step.", metavar="SECONDS", ge=0.0, recorded=False
    )


class CollectOptions(PlayOptions, WorkerOptions):
    """All options of `collect`; saved with the episodes for --resume."""

    ranker: str = option("heuristic", "What ranks the suspects.", choices=RANKERS)
    policy: str = option("explore", "Who decides.", choices=POLICIES)
    labels: Path | None = option(None, LABELS, metavar="FILE")

    environment: str | None = None  # where it was started
