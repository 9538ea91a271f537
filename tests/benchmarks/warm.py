"""The same archive again: with 5 % of its files changed, and with none."""

import zipfile
from pathlib import Path

from tests.benchmarks import sqlfluff_command
from tests.benchmarks.cold import PYTHON, RUST, lint
from tests.benchmarks.corpus import Corpus, corpora
from tests.benchmarks.figures import Figure
from tests.benchmarks.registry import Plan
from tests.benchmarks.service import service

#: One file in so many is changed.
EVERY = 20


def run(plan: Plan) -> list[Figure]:
    """Return both figures of the first corpus; the peers lint everything anew each time.

    The Python parser's command is slow and runs once, beside the last pair.
    """
    corpus = corpora(plan.folder / "corpus", own=plan.corpus, quick=plan.quick)[0]
    changed: list[tuple[float, float]] = []
    unchanged: list[tuple[float, float]] = []
    with service(plan.folder) as running:
        running.schedule()
        running.work(processes=plan.processes)
        fresh = lint(running, corpus)
        for turn in range(plan.pairs):
            other = _changed(corpus, plan.folder / f"changed-{turn}.zip", f"-- turn {turn}\n")
            theirs = sqlfluff_command.run(corpus, plan.folder)
            again = lint(running, other)
            changed.append((again.seconds, theirs.seconds))
            same = lint(running, corpus)
            unchanged.append((same.seconds, theirs.seconds))
            other.archive.unlink()
        plain = sqlfluff_command.run(corpus, plan.folder, rust=False).seconds
    differ, _ = sqlfluff_command.differing(fresh.records, same.records)
    return [
        Figure.of_pairs(
            f"warm {corpus.name}: 5 % changed", corpus.files, RUST, changed, **again.parts
        ),
        Figure.of_pairs(
            f"warm {corpus.name}: unchanged",
            corpus.files,
            RUST,
            unchanged,
            **same.parts,
            files_other_than_when_fresh=len(differ),
        ),
        *(
            Figure.of_pairs(
                f"warm {corpus.name}: {what}: Python parser",
                corpus.files,
                PYTHON,
                [(pairs[-1][0], plain)],
            )
            for what, pairs in (("5 % changed", changed), ("unchanged", unchanged))
        ),
    ]


def _changed(corpus: Corpus, target: Path, line: str) -> Corpus:
    """Return the corpus with a line before every twentieth file."""
    with zipfile.ZipFile(corpus.archive) as source, zipfile.ZipFile(target, "w", 8) as out:
        for number, entry in enumerate(source.infolist()):
            content = source.read(entry)
            if number % EVERY == 0 and entry.filename.endswith(".sql"):
                content = line.encode() + content
            out.writestr(entry.filename, content)
    return Corpus(corpus.name, corpus.folder, target, corpus.files, corpus.size_bytes)
