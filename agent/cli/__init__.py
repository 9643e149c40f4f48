"""The command line: one small file a command; only this package prints or reads the process environment."""

import signal
import sys
from collections.abc import Sequence

from agent.wording import printable


def main() -> None:
    """The console script `firewatch`; SIGTERM ends it as Ctrl+C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(answer(sys.argv[1:]))


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
        return _unusable(error.format_message())
    except FirewatchError as error:
        return _unusable(str(error))
    except OSError as error:
        return _unusable(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _unusable(message: str) -> int:
    print("firewatch:", printable(message), file=sys.stderr)
    return 2
