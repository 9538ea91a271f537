"""How a job's progress is shown: a live bar on a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from typing import TYPE_CHECKING, Protocol

from pipeline.cli.faults import note

if TYPE_CHECKING:
    from pipeline.producer import Progress

#: Plain lines: one when so much more is done, but not sooner than this; and a sign of life.
STEP, SOONEST_S, LATEST_S = 0.10, 2.0, 30.0


class Display(Protocol):
    """What shows the progress of one job."""

    def show(self, progress: "Progress") -> None:
        """Show how far the job is."""

    def say(self, text: str) -> None:
        """Say something beside the progress."""

    def close(self) -> None:
        """Take the progress away."""


class Silence:
    """Shows nothing but what must be said."""

    def show(self, progress: "Progress") -> None:
        pass

    def say(self, text: str) -> None:
        note(text)

    def close(self) -> None:
        pass


class PlainLines:
    """A line now and then, for logs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._told_at = time.monotonic()
        self._told = (0.0, "")

    def show(self, progress: "Progress") -> None:
        share = progress.done / progress.total if progress.total and progress.planned else 0.0
        since = time.monotonic() - self._told_at
        moved = share - self._told[0] >= STEP or progress.stage != self._told[1]
        if since < SOONEST_S or not (moved or since >= LATEST_S):
            return
        self._told_at, self._told = time.monotonic(), (share, progress.stage)
        percent = f" ({share:.0%})" if progress.planned else ""
        note(
            f"{self._title}: {progress.done}/{progress.total} files{percent},"
            f" {told_rate(progress)}, {progress.stage}{told_eta(progress, ', ', ' left')}"
        )

    def say(self, text: str) -> None:
        note(text)

    def close(self) -> None:
        pass


class LiveBar:
    """One line that moves: stage, bar, files, files/s and the time left."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bar = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("[bold]{task.description}", markup=True),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[files]}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TextColumn("[dim]{task.fields[note]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            refresh_per_second=10,
        )
        self._task = self._bar.add_task(
            escaped(title), total=None, files="", rate="", note="queued"
        )
        self._bar.start()

    def show(self, progress: "Progress") -> None:
        planned = progress.planned and progress.total
        self._bar.update(
            self._task,
            total=progress.total if planned else None,
            completed=progress.done,
            files=f"{progress.done}/{progress.total}{'' if progress.planned else '+'} files",
            rate=told_rate(progress),
            note=escaped(told_eta(progress, "", " left") or progress.stage),
        )

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


def display_for(title: str, *, quiet: bool) -> Display:
    """Return what suits standard error."""
    if quiet:
        return Silence()
    if sys.stderr.isatty():
        from rich.console import Console

        if not Console(stderr=True).is_dumb_terminal:
            return LiveBar(title[:40])
    return PlainLines(title)


def told_rate(progress: "Progress") -> str:
    """Return the speed in files per second."""
    return f"{progress.rate_per_s:.1f} files/s" if progress.rate_per_s else ""


def told_eta(progress: "Progress", before: str, after: str) -> str:
    """Return the time left, ``""`` when it is not known or nothing is left."""
    if progress.eta_s is None or progress.done >= progress.total:
        return ""
    return f"{before}{told_duration(progress.eta_s)}{after}"


def told_duration(seconds: float) -> str:
    """Return a time span as a clock shows it."""
    whole = int(seconds + 0.999)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def escaped(text: str) -> str:
    """Return the text without markup of rich's."""
    from rich.markup import escape

    return escape(text)
