"""PostgreSQL's own programs that dump and restore a database, as child processes with a limit.

The password goes in the environment: a command line can be read by everybody on the machine.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from pipeline.errors import Permanent, Refused

#: No dump or restore takes longer, in seconds.
LIMIT_S = 12 * 3600.0
#: Asking a program for its version, in seconds.
ASK_S = 10.0
#: One wait for its end, in seconds.
WAIT_S = 0.5

#: Where Debian and Red Hat keep every version that is installed.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


def dump(url: str, to: Path, *, snapshot: str, server: int) -> None:
    """The database as it is in the snapshot lies in the file, which is flushed to the disk.

    ``server``: the server's major version. Raises ``Refused`` where the program is missing or older
    than that, ``Permanent`` with its words where it fails; the file may be there in part then.
    """
    options = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    _run(_program("pg_dump", server), url, *options, f"--file={to}")


def restore(url: str, source: Path, *, server: int) -> None:
    """The database holds what the file does, in place of what had the same names; or it is as it
    was: all happens in one transaction.

    Raises as ``dump`` does.
    """
    options = ("--single-transaction", "--exit-on-error", "--clean", "--if-exists", "--no-owner")
    _run(_program("pg_restore", server), url, *options, "--no-privileges", str(source))


def _program(name: str, server: int) -> str:
    """Return the path of the oldest that knows the server; a newer one writes what that may not."""
    found = {path: _major(path) for path in _paths(name)}
    fitting = [(major, path) for path, major in found.items() if major >= server]
    if fitting:
        return min(fitting)[1]
    mend = f"Install PostgreSQL's client programs, version {server} or newer."
    if not found:
        raise Refused(f"{name} is not installed here. {mend}")
    raise Refused(f"{name} here has version {max(found.values())}, the server {server}. {mend}")


def _paths(name: str) -> list[str]:
    on_path = shutil.which(name)
    more = [str(path) for place in _PLACES for path in Path("/").glob(f"{place[1:]}/{name}")]
    return list(dict.fromkeys([*([on_path] if on_path else []), *more]))


def _major(path: str) -> int:
    """Return its major version; 0 for one that does not tell."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    told = re.search(r"\(PostgreSQL\) ([0-9]+)", done.stdout)
    return int(told[1]) if told else 0


def _run(program: str, url: str, *arguments: str) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    told: dict[str, Any] = conninfo_to_dict(url)
    password = told.pop("password", None)
    env = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    command = [program, "--no-password", *arguments, f"--dbname={make_conninfo(**told)}"]
    name = Path(program).name
    try:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise Permanent(f"{name} cannot be run: {error}.") from error
    with process:
        try:
            lines = _said(process).decode("utf-8", "replace").strip().splitlines()
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Permanent(f"{name} took longer than {LIMIT_S / 3600:.0f} hours.") from error
        except BaseException:
            process.kill()
            process.wait()  # Popen itself does not, after a KeyboardInterrupt.
            raise
    if process.returncode != 0:
        why = next((line for line in lines if "error" in line.lower()), "it said nothing")
        raise Permanent(f"{name} failed: {why.removeprefix(f'{name}: ').rstrip('.')}.")


def _said(process: subprocess.Popen[bytes]) -> bytes:
    """Return what it said once it has ended. Whoever is to end a worker's thread can do so only
    between two waits."""
    ends_at = time.monotonic() + LIMIT_S
    while True:
        try:
            return process.communicate(timeout=WAIT_S)[1]
        except subprocess.TimeoutExpired:
            if time.monotonic() > ends_at:
                raise
