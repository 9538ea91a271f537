"""Where the reports go: standard output, a file per format, or a folder."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.cli.faults import silence_stdout
from pipeline.cli.paint import Painter
from pipeline.errors import Refused
from pipeline.store.spool import publish, spooled

if TYPE_CHECKING:
    from pipeline.producer import Job

#: Of these, only the first makes sense on a terminal.
TEXT, BINARY = "text", frozenset({"fixed"})


@dataclass(frozen=True)
class Output:
    """One report to write: a format, and a file (None: standard output)."""

    form: str
    path: Path | None


def planned_outputs(
    forms: Sequence[str], outputs: Sequence[str], *, jobs: Sequence[str] = ("",)
) -> list[list[Output]]:
    """Return, for each of the named jobs, what to write where; ``Refused`` when that is unclear.

    One format goes to standard output or to the file; several go to a folder, or each to the
    ``-o`` of its own. With several jobs every job has a folder in the folder.
    """
    forms = list(dict.fromkeys(forms)) or [_form_of(outputs)]
    if not outputs:
        return [_to_stdout(forms, len(jobs)) for _ in jobs]
    if len(jobs) == 1 and len(outputs) == len(forms) and not _is_folder(outputs[0], forms):
        return [[Output(*pair) for pair in zip(forms, map(_path, outputs), strict=True)]]
    if len(outputs) > 1:
        raise Refused(
            f"{len(outputs)} outputs do not match {len(jobs)} jobs and {len(forms)} formats;"
            " give one folder."
        )
    folder = Path(outputs[0])
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file; several reports need a folder.")
    names = _distinct(jobs) if len(jobs) > 1 else [""]
    return [
        [Output(form, folder / name / f"report{_suffix(form)}") for form in forms] for name in names
    ]


def _to_stdout(forms: Sequence[str], jobs: int) -> list[Output]:
    if len(forms) > 1:
        raise Refused(f"{len(forms)} formats need a folder: -o FOLDER.")
    if jobs > 1 and forms[0] not in (TEXT, "github"):
        raise Refused(f"{jobs} jobs give {jobs} {forms[0]} reports; they need a folder: -o FOLDER.")
    if forms[0] in BINARY and sys.stdout.isatty():
        raise Refused(f"The format {forms[0]} is no text for a terminal; name a file: -o FILE.")
    return [Output(forms[0], None)]


def _form_of(outputs: Sequence[str]) -> str:
    """The format that a file name asks for, text when it asks for none."""
    from pipeline.kinds.sql_lint.reports import FORMATS

    if not outputs:
        return TEXT
    ranked = sorted(FORMATS.values(), key=lambda form: -len(form.suffix))
    lower = outputs[0].lower()
    return next((form.name for form in ranked if lower.endswith(form.suffix)), TEXT)


def _is_folder(output: str, forms: Sequence[str]) -> bool:
    return len(forms) == 1 and (output.endswith(os.sep) or Path(output).is_dir())


def _path(output: str) -> Path | None:
    return None if output == "-" else Path(output)


def _suffix(form: str) -> str:
    from pipeline.kinds.sql_lint.reports import FORMATS

    return FORMATS[form].suffix


def _distinct(names: Sequence[str]) -> list[str]:
    """Return folder names for the jobs; equal ones are numbered."""
    seen: dict[str, int] = {}
    told = []
    for name in (each.replace(os.sep, "_") for each in names):
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return told


def write(job: "Job", outputs: Sequence[Output]) -> list[Path]:
    """Write the reports; return the files. A reader of standard output that left is no error."""
    written = []
    for output in outputs:
        if output.path is None:
            try:
                job.write_report(output.form, _stdout(output.form))
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                silence_stdout()
        else:
            with whole_file(output.path) as stream:
                job.write_report(output.form, stream)
            written.append(output.path)
    return written


def _stdout(form: str) -> Any:
    sys.stdout.flush()
    if form == TEXT and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        return Painter(sys.stdout.buffer)
    return sys.stdout.buffer


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose content stands whole at ``path`` after the block, or not at all.

    Missing folders are made. What is no plain file (``/dev/stdout``, a pipe) is written as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    target = path.resolve()
    with spooled(target.parent) as file:
        yield file
        os.fchmod(file.fileno(), _mode(target))
        publish(file, target)


def _mode(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
