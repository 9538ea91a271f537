"""How a job's progress is shown: a live bar on a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from pipeline.cli.faults import note

if TYPE_CHECKING:
    from pipeline.producer import Progress

#: Plain lines: one when so much more is done, but not sooner than this; and a sign of life.
STEP, SOONEST_S, LATEST_S = 0.10, 2.0, 30.0


#: The speed shown is that of the last so many seconds: starting up says nothing of the rest.
WINDOW_S = 15.0


class Pace:
    """The speed of late, and the time left at that speed; reused results do not count."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, progress: "Progress") -> tuple[float, float | None]:
        """Return files per second and the seconds left, None when unknown."""
        now, linted = time.monotonic(), progress.done - progress.reused
        self._seen.append((now, linted))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = (linted - before) / (now - since) if now - since >= 1.0 else progress.rate_per_s
        left = progress.total - progress.done
        known = rate > 0 and left > 0 and progress.planned
        return rate, left / rate if known else None


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
        self._pace = Pace()

    def show(self, progress: "Progress") -> None:
        rate, left_s = self._pace.see(progress)
        share = progress.done / progress.total if progress.total and progress.planned else 0.0
        since = time.monotonic() - self._told_at
        moved = share - self._told[0] >= STEP or progress.stage != self._told[1]
        if since < SOONEST_S or not (moved or since >= LATEST_S):
            return
        self._told_at, self._told = time.monotonic(), (share, progress.stage)
        percent = f" ({share:.0%})" if progress.planned else ""
        told = [f"{progress.done}/{progress.total} files{percent}", told_rate(rate)]
        told += [progress.stage, told_left(left_s)]
        note(f"{self._title}: {', '.join(part for part in told if part)}")

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
        self._pace = Pace()
        self._task = self._bar.add_task(
            escaped(title), total=None, files="", rate="", note="queued"
        )
        self._bar.start()

    def show(self, progress: "Progress") -> None:
        rate, left_s = self._pace.see(progress)
        planned = progress.planned and progress.total
        self._bar.update(
            self._task,
            total=progress.total if planned else None,
            completed=progress.done,
            files=f"{progress.done}/{progress.total}{'' if progress.planned else '+'} files",
            rate=told_rate(rate),
            note=escaped(told_left(left_s) or progress.stage),
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


def told_rate(rate_per_s: float) -> str:
    """Return the speed, ``""`` while there is none."""
    return f"{rate_per_s:.1f} files/s" if rate_per_s > 0 else ""


def told_left(seconds: float | None) -> str:
    """Return the time left, ``""`` when it is not known."""
    return "" if seconds is None else f"{told_duration(seconds)} left"


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
