"""Submits one lint job of so many small files and prints its id once it is accepted.

``python -m tests.support.submitter FILES SALT``; the same numbers make the same files.
"""

import sys

from pipeline import Client


def files(number: int, salt: str) -> dict[str, bytes]:
    """Return distinct SQL files with violations that do not depend on the salt's digits."""
    return {
        f"d{n % 10}/{n}.sql": f"SELECT a{n},  b FROM t{n} WHERE x>{n} -- {salt}\n".encode()
        for n in range(number)
    }


if __name__ == "__main__":
    with Client() as client:
        job = client.lint(files(int(sys.argv[1]), sys.argv[2]), dialect="ansi", cache=False)
        print("accepted", job.id, flush=True)
