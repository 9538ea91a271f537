"""What went wrong, as one sentence on standard error and exit code 2; never a traceback."""

import os
import signal
import sys
import traceback
from typing import Any

import typer

from pipeline.cli.exits import SIGNAL, UNABLE
from pipeline.cli.interrupts import Interrupted
from pipeline.cli.panels import PanelGroup
from pipeline.errors import QuaylineError


class Faults(PanelGroup):
    """The command group in which every error of a command ends as a sentence.

    With ``--debug`` the traceback is shown before it.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, SystemExit):
            raise
        except BrokenPipeError:
            silence_stdout()
            raise typer.Exit(UNABLE) from None
        except Interrupted as interrupted:
            raise typer.Exit(interrupted.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(SIGNAL + signal.SIGINT) from None
        except Exception as error:
            if _is_usage(error):
                raise
            if debugging():
                traceback.print_exc()
            say(sentence(error))
            raise typer.Exit(UNABLE) from None


_debug = False


def set_debugging(on: bool) -> None:
    """From now on tracebacks and all log lines are shown, or not."""
    global _debug
    _debug = on


def debugging() -> bool:
    """Tell whether ``--debug`` was given."""
    return _debug


def sentence(error: Exception) -> str:
    """Return what the user can do about the error, as one sentence."""
    if isinstance(error, QuaylineError):
        return error.message
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}."
    hint = "" if _debug else " Run it as `quayline --debug …` for the traceback."
    return f"Quayline failed unexpectedly ({type(error).__name__}: {error}).{hint}"


def say(text: str, *, mark: str = "Error: ") -> None:
    """Write one line to standard error; a closed one is no error."""
    try:
        sys.stderr.write(f"{mark}{text}\n")
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        pass


def note(text: str) -> None:
    """Write one line to standard error that is no error."""
    say(text, mark="")


def silence_stdout() -> None:
    """Let the rest of standard output go nowhere: its reader (``| head``) has left."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def _is_usage(error: Exception) -> bool:
    """Tell a wrong use of options, which typer itself shows with the command's usage.

    By name: typer's own click is private in some versions and the package in others.
    """
    return any(each.__name__ == "ClickException" for each in type(error).__mro__)
