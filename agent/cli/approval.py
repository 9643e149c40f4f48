"""`--approve`: a person on the terminal says yes or no to each remedy."""

import asyncio
import sys

from agent.policies.guard import Approve
from agent.situation.decision import Situation
from agent.terminal_text import printable
from data.errors import SettingsError
from data.observation import Action


def ask_on_terminal(players: int) -> Approve:
    """A question on stderr, answered with a line on stdin; anything but "y" or "yes" is a no.

    Raises:
        SettingsError: nobody is there to answer, or several tasks would ask at once.
    """
    if not sys.stdin.isatty():
        raise SettingsError("--approve asks on the terminal, and stdin is none")
    if players > 1:
        raise SettingsError("--approve asks about one task at a time: use --concurrency 1")

    async def ask(action: Action, situation: Situation) -> bool:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()
        print(_question(action, situation), end=" ", file=sys.stderr, flush=True)
        # A reader, not a thread: Ctrl+C must not wait for the Enter key.
        loop.add_reader(sys.stdin, lambda: answered.set_result(sys.stdin.readline()))
        try:
            return (await answered).strip().lower() in ("y", "yes")
        finally:
            loop.remove_reader(sys.stdin)

    return ask


def _question(action: Action, situation: Situation) -> str:
    """One line: what is to be done to whom, and how that service is doing."""
    target = situation.now.services[str(action.target_service)]
    state = f"{target.status}, {target.error_rate:.0%} errors, p99 {target.latency_p99_s:.2f} s"
    return printable(f"Tick {situation.now.sim_tick}: {action} ({state}) – send it? [y/N]")
