"""Figures by hand: ``python -m tests.unit.adapters.archives.measure mutations|zip|tar COUNT``.

Prints seconds and the peak memory of this process; for the ZIP and the tar in a process of its
own, so that making the archive does not count.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from pipeline.adapters.archives import open_archive, write_bundle
from tests.unit.adapters.archives.building import many_zipped
from tests.unit.adapters.archives.mutating import mutated, survive


def mutations(count: int) -> None:
    """Damages ``count`` archives, reproducibly."""
    results: Counter[str] = Counter()
    longest = 0.0
    for seed in range(count):
        data = mutated(Random(seed))
        started = time.monotonic()
        results[survive(data)] += 1
        longest = max(longest, time.monotonic() - started)
    _say(f"longest {longest:.3f} s", dict(results.most_common()))


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
    # Not getrusage: its peak outlives exec and would be the parent's.
    status = Path("/proc/self/status").read_text()
    peak_mib = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(*what, f"(peak {peak_mib} MiB)", flush=True)


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    begun = time.monotonic()
    if command == "mutations":
        mutations(int(argument))
    elif command == "read":
        read(argument)
    else:
        archive(command, int(argument))
    if command != "read":
        _say(f"{command} {argument}: {time.monotonic() - begun:.1f} s in all")
