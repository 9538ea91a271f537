"""One big job and fifty smaller ones: archives of made SQL, every content of them another one.

Made once, deterministic, and kept; no content occurs twice, so that nothing is won by reuse.
"""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

#: As the goal has it: one job of 100,000 files, and 50 of 2,000.
BIG_FILES = 100_000
SMALL_JOBS = 50
QUICK_FILES = 1000

CONFIG = "[sqlfluff]\ndialect = ansi\n"
#: A line with one violation (CP01): about two milliseconds of a core.
LINE = "select amount_{0} FROM payments\n"
#: What people keep in a file; about 40 milliseconds of a core.
QUERY = """\
WITH recent AS (
    SELECT o.id, o.customer_id, o.total_{0}
    FROM orders AS o
    WHERE o.created_at > '2024-01-01' AND o.status <> 'void'
),

spent AS (
    SELECT r.customer_id, sum(r.total_{0}) AS total, count(*) AS number
    FROM recent AS r
    GROUP BY r.customer_id
)

SELECT
    c.id,
    c.name,
    s.total,
    CASE WHEN s.number > 10 THEN 'often' ELSE 'rarely' END AS how_often
FROM customers AS c
INNER JOIN spent AS s ON c.id = s.customer_id
LEFT JOIN countries AS n ON c.country_id = n.id
WHERE s.total > {0}
ORDER BY s.total DESC
"""


def line(number: int) -> bytes:
    """Return a file of one line."""
    return LINE.format(number).encode()


def query(number: int) -> bytes:
    """Return a file of one query."""
    return QUERY.format(number).encode()


def archive(folder: Path, files: int, first: int, content: Callable[[int], bytes] = line) -> Path:
    """Return a ZIP of so many files, the contents numbered from ``first``."""
    path = folder / f"{content.__name__}-{first}-{files}.zip"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
            out.writestr(".sqlfluff", CONFIG)
            for number in range(first, first + files):
                out.writestr(f"{number % 500}/{number}.sql", content(number))
        part.rename(path)
    return path


def crowd(
    folder: Path, files: int, content: Callable[[int], bytes] = line
) -> tuple[Path, list[Path]]:
    """Return the archive of the big job, and those of the small ones: as many files together."""
    each = max(1, files // SMALL_JOBS)
    small = [archive(folder, each, files + n * each, content) for n in range(SMALL_JOBS)]
    return archive(folder, files, 0, content), small
