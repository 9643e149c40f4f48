"""`--approve`: asks on the terminal before each remedy."""

import asyncio
import sys

from agent.policies.guard import Approve
from agent.situation.decision import Situation
from agent.situation.service_trends import number_text
from agent.terminal_text import printable
from data.errors import SettingsError
from data.observation import Action


def ask_on_terminal(players: int) -> Approve:
    """Asks on stderr and reads a line from stdin; anything but "y" or "yes" means no.

    Raises:
        SettingsError: stdin is not a terminal, or several tasks would ask at once.
    """
    if not sys.stdin.isatty():
        raise SettingsError("--approve asks on the terminal, and stdin is not a terminal")
    if players > 1:
        raise SettingsError("--approve asks about one task at a time: use --concurrency 1")

    async def ask(action: Action, situation: Situation) -> bool:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()
        print(question(action, situation), end=" ", file=sys.stderr, flush=True)
        # A reader rather than a thread, so that Ctrl+C works without the Enter key.
        loop.add_reader(sys.stdin, lambda: answered.set_result(sys.stdin.readline()))
        try:
            return (await answered).strip().lower() in ("y", "yes")
        finally:
            loop.remove_reader(sys.stdin)

    return ask


def question(action: Action, situation: Situation) -> str:
    """The question in one line: the action, and the state of its target."""
    target = situation.now.services[str(action.target_service)]
    told = {"errors": "http_server_error_rate", "p99 s": "http_server_request_duration_p99"}
    known = {label: target.number(metric) for label, metric in told.items()}
    state = ", ".join(f"{k} {'not measured' if v is None else number_text(v, 2)}" for k, v in known.items())
    parameters = f" {action.parameters}" if action.parameters else ""
    return printable(f"Tick {situation.now.sim_tick}: {action}{parameters} ({state}) – send it? [y/N]")
