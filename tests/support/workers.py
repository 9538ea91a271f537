"""Real processes of Quayline: workers, the scheduler, a supervisor over them.

Each runs in a process group of its own that is killed at the end, its output in a file that is
printed when the test ends (pytest shows it only when the test failed).
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from pipeline.settings import Settings
from tests.support import reaper
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
READY = "Worker process is ready for action."
STOP_S = 30.0


def environment(settings: Settings) -> dict[str, str]:
    """Return an environment whose Quayline settings are exactly those that were given."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("QUAYLINE_")}
    given = settings.model_dump(mode="json", include=settings.model_fields_set - {"worker_name"})
    told = {f"QUAYLINE_{name.upper()}": str(value) for name, value in given.items()}
    # A consumer that lost its connection tries again after this pause (milliseconds).
    return {**plain, **told, "PYTHONPATH": str(ROOT), "dramatiq_restart_delay": "500"}


class Process:
    """One process group, with its output in a file."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log_path = logs / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id, which is that of its group as well."""
        assert self._popen is not None
        return self._popen.pid

    def start(self) -> Self:
        """Start the process; it is not awaited."""
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        reaper.started(self.pid)
        return self

    def said(self, text: str) -> int:
        """Return how often the text stands in the output."""
        return self.log_path.read_text(errors="replace").count(text)

    def running(self) -> bool:
        """Tell whether the process runs."""
        return self._popen is not None and self._popen.poll() is None

    def wait(self, within_s: float = STOP_S) -> int:
        """Return the exit code once the process has ended."""
        assert self._popen is not None
        return self._popen.wait(within_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its group."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole group, as a supervisor does with what is left of a service."""
        # A supervisor may start the next one before this one's end was waited for.
        popen = self._popen
        if popen is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait(STOP_S)
        reaper.ended(popen.pid)

    def family(self) -> list[psutil.Process]:
        """Return the processes below this one, its children first."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def show(self) -> None:
        """Print the end of the output."""
        if self.log_path.exists():
            print(f"--- {self.name}: {' '.join(self.command[1:])}")
            print(self.log_path.read_text(errors="replace")[-12_000:])


class Worker(Process):
    """``dramatiq MODULE``: a master and ``processes`` worker processes."""

    def __init__(
        self,
        name: str,
        env: Mapping[str, str],
        logs: Path,
        *,
        module: str = "actors",
        processes: int = 1,
        threads: int = 4,
        queues: Sequence[str] = (),
    ) -> None:
        command = [sys.executable, "-m", "dramatiq", module, "-p", str(processes)]
        command += ["-t", str(threads), "--worker-shutdown-timeout", "30000"]
        command += ["--queues", *queues] if queues else []
        super().__init__(name, command, env, logs)
        self.processes = processes

    def ready(self, *, within_s: float = 60) -> Self:
        """Return once every worker process takes messages."""

        def booted() -> bool:
            assert self.running(), f"{self.name} ended at its start"
            return self.said(READY) >= self.processes

        eventually(booted, within_s=within_s, what=f"{self.name} is ready")
        return self

    def worker_pids(self) -> list[int]:
        """Return the ids of the worker processes, the master's children that consume."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            return [child.pid for child in children if "resource_tracker" not in _command(child)]
        return []


def scheduler(
    env: Mapping[str, str], logs: Path, *, module: str = "schedules", name: str = "scheduler"
) -> Process:
    """Return the scheduler process, not yet started."""
    return Process(name, [sys.executable, "-m", module], env, logs)


def script(name: str, code: str, env: Mapping[str, str], logs: Path) -> Process:
    """Return a process that runs Python code, not yet started."""
    return Process(name, [sys.executable, "-c", code], env, logs)


class Supervisor:
    """Keeps a process running as a service manager does: when it ends, its group is killed, and it
    starts again."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.restarts = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"supervise {process.name}")

    def __enter__(self) -> Self:
        """Start the process and watch over it."""
        self.process.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the process end for good."""
        self._ended.set()
        self._thread.join()
        self.process.kill()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            if not self.process.running():
                self.process.kill()
                self.restarts += 1
                self.process.start()


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Run the processes inside the block; kill them and print their output at its end."""
    try:
        for process in processes:
            process.start()
        for process in processes:
            if isinstance(process, Worker):
                process.ready()
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.show()


class Census:
    """Every process that ever belonged to the deployment, to see that none is left."""

    def __init__(self, *roots: Process) -> None:
        self._roots = roots
        self._known: set[psutil.Process] = set()

    def take(self) -> None:
        """Note who lives now."""
        for root in self._roots:
            self._known.update(root.family())

    def left(self) -> list[psutil.Process]:
        """Return who lives still, after a moment to die."""
        return psutil.wait_procs(self._known, timeout=10)[1]


@contextmanager
def supervised(*processes: Process) -> Iterator[list[Supervisor]]:
    """Keep the processes running inside the block, as a service manager would."""
    try:
        with ExitStack() as stack:
            supervisors = [stack.enter_context(Supervisor(process)) for process in processes]
            for process in processes:
                if isinstance(process, Worker):
                    process.ready()
            yield supervisors
    finally:
        for process in processes:
            process.show()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
