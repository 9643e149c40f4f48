"""Makes the parts of a run – environment, ranker, model, policies – from its configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.cli.approval import ask_on_terminal
from agent.cli.console import note
from agent.llm.client import ChatModel
from agent.play.assembly import make_model
from agent.policies.decision import Policy
from agent.policies.guard import Guard, GuardSettings
from agent.policies.registry import make_policy
from agent.records.trajectory import RunConfig
from agent.settings import Settings
from data.clients.discovery import Endpoint, locate
from data.errors import SettingsError
from data.observation import Task
from gnn.checkpoint import channel_map_for
from gnn.ranker import Ranker
from gnn.registry import make_ranker

NO_MODEL = "No model is set up (HF_TOKEN, OPENAI_API_KEY or a local API_BASE_URL): the rules decide."


@dataclass(frozen=True)
class Parts:
    """What plays."""

    endpoint: Endpoint
    ranker: Ranker
    model: ChatModel | None
    new_policy: Callable[[Task], Policy]

    @property
    def policy_name(self) -> str:
        """Who decides, when no model takes part."""
        return self.new_policy(Task(difficulty="easy", seed=0, max_ticks=1)).name


async def assemble(config: RunConfig, settings: Settings, players: int, quiet: bool) -> Parts:
    """Makes every part once, so that whatever cannot be made is known before anything is written.

    Raises:
        FirewatchError: a part that cannot be made, with what to do.
    """
    approve = ask_on_terminal(players) if config.approve else None
    guard = Guard(GuardSettings(dry_run=config.dry_run), approve)
    model = make_model(config, settings)

    def new_policy(task: Task) -> Policy:
        return make_policy(
            config.policy, model=model, seed=task.seed + config.seed, guard=guard, hints=config.hints
        )

    if config.policy == "auto" and model is None:
        note(NO_MODEL, quiet)
    checkpoint = Path(config.checkpoint) if config.checkpoint else None
    names = channel_map_for(Path(config.rules) if config.rules else None, [checkpoint] if checkpoint else ())
    ranker = make_ranker(config.ranker, checkpoint, config.seed, names)
    endpoint = await locate(config.env, config.transport, settings.space_url)
    if players > 1 and not endpoint.has_sessions:
        raise SettingsError(f"{endpoint} has one episode for all: use --concurrency 1, or --transport ws")
    parts = Parts(endpoint, ranker, model, new_policy)
    note(f"Environment {endpoint}, ranker {ranker.name}, policy {parts.policy_name}.", quiet)
    return parts
