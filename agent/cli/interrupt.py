"""Ends a running command cleanly on Ctrl+C and SIGTERM, with exit status 130."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work`; the first signal cancels it, a second one kills the process as usual.

    Raises:
        KeyboardInterrupt: after a signal, once `work` has cleaned up.
    """

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        working = asyncio.ensure_future(work)

        def cancel() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            working.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel)
        return await working

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
