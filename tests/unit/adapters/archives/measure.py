"""Figures by hand: ``python -m tests.unit.adapters.archives.measure mutations|zip|tar COUNT``.

``mutations`` prints one line and fails unless it is sound. The ZIP and the tar are read in a
process of their own, so that making the archive does not count.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.adapters.archives import open_archive, write_bundle
from tests.unit.adapters.archives.building import many_zipped
from tests.unit.adapters.archives.enduring import Figures, endure, peak_mib


def mutations(count: int) -> bool:
    """Hurts ``count`` archives in a process of its own, in a folder and a home of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", __spec__.name, "endure", f"{count}", name]
        own = {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}
        environment = {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    found = Figures.of(done.stdout.decode())
    print(found)
    for line in (*found.tracebacks[:20], *found.outside[:20]):
        print(" ", line)
    return found.sound


def archive(kind: str, count: int) -> None:
    """Makes an archive of ``count`` files and reads it in another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "archive")
        with path.open("wb") as file:
            if kind == "zip":
                file.write(many_zipped(count))
            else:
                names = ((i, f"d{i % 500}/q{i}.sql") for i in range(count))
                write_bundle(file, ((name, b"select %d\n" % i) for i, name in names))
        subprocess.run([sys.executable, "-m", __spec__.name, "read", str(path)], check=True)


def read(path: str) -> None:
    """Opens, lists and reads everything, timing each."""
    _say("before")
    with open(path, "rb") as file:
        started = time.monotonic()
        opened = open_archive(file)
        _say(f"open {time.monotonic() - started:.2f} s")
        started = time.monotonic()
        count = sum(1 for _ in opened)
        _say(f"list {count} in {time.monotonic() - started:.2f} s")
        started = time.monotonic()
        size = sum(len(member.read()) for member in opened)
        _say(f"read {size} bytes in {time.monotonic() - started:.2f} s")


def _say(*what: object) -> None:
    print(*what, f"(peak {peak_mib()} MiB)", flush=True)


if __name__ == "__main__":
    command, argument, *more = sys.argv[1:]
    if command == "mutations":
        sys.exit(not mutations(int(argument)))
    elif command == "endure":
        print(endure(int(argument), Path(*more)).told())
    elif command == "read":
        read(argument)
    else:
        begun = time.monotonic()
        archive(command, int(argument))
        _say(f"{command} {argument}: {time.monotonic() - begun:.1f} s in all")
