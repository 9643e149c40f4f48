"""The command line, one file per command; only this package prints or reads the process environment."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from agent.terminal_text import printable

# Rewords pydantic's messages, which are for programmers.
_WORDS = (
    ("Value error, ", ""),
    ("Input should be greater", "give a number greater"),
    ("Input should be less", "give a number less"),
    ("Input should be", "give"),
)
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)


def main() -> None:
    """The console script `firewatch`; SIGTERM ends it as Ctrl+C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", message=".*torch.jit.*")  # PyTorch Geometric's own
    if sys.stderr is None:  # closed by `2>&-`
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.exit(_unusable("stdout is closed: redirect it to /dev/null if you do not need it"))
    if isinstance(sys.stdout, TextIOWrapper):  # escape characters that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    status = answer(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again at exit
        status = _unusable(f"stdout: {error.strerror}")
    sys.exit(status)


def answer(arguments: Sequence[str]) -> int:
    """Runs one command line: 0 done, 1 a check or task failed, 2 unusable input, 130 interrupted."""
    import typer

    from agent.cli.app import app
    from data.errors import FirewatchError

    command = typer.main.get_command(app)
    line = list(arguments) or ["--help"]
    try:
        return int(command.main(line, prog_name="firewatch", standalone_mode=False) or 0)
    except typer.TyperException as error:
        message = error.format_message()
        for theirs, ours in _WORDS:
            message = message.replace(theirs, ours)
        return _unusable(message)
    except FirewatchError as error:
        return _unusable(str(error))
    except OSError as error:
        # All writers name their file, so a "disk full" without a name comes from stdout.
        what = error.filename or ("stdout" if error.errno in _FULL else "")
        return _unusable(f"{what}: {error.strerror}" if what else str(error))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    finally:
        logging.disable(logging.NOTSET)  # of --quiet


def _unusable(message: str) -> int:
    print("firewatch:", printable(message), file=sys.stderr)
    return 2
