"""The real ``quayline`` in processes and terminals of its own, linting with the real SQLFluff."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pexpect
import psutil
import pytest

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
#: The installed script where there is one, so that its entry point is proved as well.
SCRIPT = shutil.which("quayline", path=str(Path(sys.executable).parent))
QUAYLINE = [SCRIPT] if SCRIPT else [sys.executable, "-m", "pipeline.cli"]

SLOW = "SELECT a.id, b.name  from tbl a JOIN other b on a.id=b.id WHERE a.x IN (1,2,3,4);\n" * 10

SHOP = {
    ".sqlfluff": "[sqlfluff]\ndialect = ansi\n",
    "good.sql": "SELECT 1\n",
    "bad/one.sql": "SELECT a  from b\n",
}


class Shell:
    """A folder to work in, and an environment whose Quayline is this test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "here"
        self.folder.mkdir()
        self.state = folder / "state"
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("QUAYLINE_", "NO_COLOR"))}
        self.env = {
            **plain,
            **{"QUAYLINE_STATE_DIR": str(self.state), "HOME": str(folder), "TERM": "xterm"},
            **{"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"},
        }

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def popen(self, *told: str, log: TextIO | None = None) -> "subprocess.Popen[str]":
        """Start a command; what it writes comes by two pipes, or stands in the log."""
        return subprocess.Popen(
            [*QUAYLINE, *told],
            cwd=self.folder,
            env=self.env,
            stdout=log or subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
        )

    def run(self, *told: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*QUAYLINE, *told],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def terminal(self, *told: str) -> pexpect.spawn:
        return pexpect.spawn(
            QUAYLINE[0],
            [*QUAYLINE[1:], *told],
            cwd=str(self.folder),
            env=self.env,
            dimensions=(30, 100),
            encoding="utf-8",
            timeout=60,
        )

    def processes(self) -> list[psutil.Process]:
        """The living processes that work on this state folder."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mine = process.environ().get("QUAYLINE_STATE_DIR") == str(self.state)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def jobs(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(self.run("jobs", "--json").stdout)
        return listed


def code_of(terminal: pexpect.spawn) -> int:
    """Return the exit code once the process in the terminal has ended."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.signalstatus is None
    return int(terminal.exitstatus)


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    """Yield a shell of which no process may be left afterwards."""
    made = Shell(folder)
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    assert left == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with shell_in(tmp_path) as made:
        yield made


@pytest.fixture
def shop(shell: Shell) -> Shell:
    shell.write(SHOP)
    return shell


@pytest.fixture(scope="module")
def same_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One shop for many tests: SQLFluff starts once, what it found is reused."""
    with shell_in(tmp_path_factory.mktemp("shop")) as made:
        made.write(SHOP)
        yield made


def slow_files(numbers: range) -> dict[str, str]:
    return {f"{number:02}.sql": f"-- {number}\n{SLOW}" for number in numbers}


@pytest.fixture
def slow(shell: Shell) -> Shell:
    shell.write(slow_files(range(40)))
    return shell


@pytest.fixture
def long(slow: Shell) -> Shell:
    """Far from its end when its first line is told, after two seconds, on a fast machine, too."""
    slow.write(slow_files(range(40, 200)))
    return slow


def test_exit_codes_are_those_of_sqlfluff(shop):
    assert shop.run("lint", "good.sql").returncode == 0
    assert shop.run("lint", ".").returncode == 1
    assert shop.run("lint", "none.sql").returncode == 2
    assert shop.run("lint", "good.sql", "--dialect", "klingon").returncode == 2
    assert shop.run("lint", "--no-such-option").returncode == 2


def test_the_text_report_tells_what_sqlfluff_tells(shop):
    sqlfluff = [sys.executable, "-m", "sqlfluff", "lint", "--processes", "1", "--nocolor", "."]
    theirs = subprocess.run(
        sqlfluff, cwd=shop.folder, env=shop.env, capture_output=True, text=True, check=False
    )
    ours = shop.run("lint", ".")

    def places(text: str) -> list[str]:
        return re.findall(r"^(?:== \[.*\] FAIL|L: +\d+ \| P: +\d+ \| +\w+)", text, re.MULTILINE)

    assert places(ours.stdout) == places(theirs.stdout) != []


def test_a_terminal_sees_colours_a_pipe_does_not(shop):
    terminal = shop.terminal("lint", "bad")
    terminal.expect(re.escape("\x1b[1m\x1b[31mFAIL"))
    assert code_of(terminal) == 1
    assert "\x1b" not in shop.run("lint", "bad").stdout
    shop.env["NO_COLOR"] = "1"
    terminal = shop.terminal("lint", "bad")
    terminal.expect(r"== \[bad/one.sql\] FAIL")
    assert code_of(terminal) == 1


def test_a_terminal_sees_progress_with_speed_and_time_left(slow):
    terminal = slow.terminal("lint", ".", "-d", "ansi", "-f", "html", "-o", "report.html")
    terminal.expect(r"\d+/40 files")
    terminal.expect(r"\d+\.\d files/s")
    terminal.expect(r"\d+:\d\d left")
    terminal.expect(r"Gate \(fail on any\): FAILED")
    terminal.expect("Report: report.html")
    assert code_of(terminal) == 1
    assert (slow.folder / "report.html").read_bytes().lower().startswith(b"<!doctype html")


def test_a_log_gets_plain_lines(slow):
    done = slow.run("lint", ".", "-d", "ansi", "-f", "json", "-o", "report.json")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(r"^here: \d+/40 files", done.stderr, re.MULTILINE), done.stderr
    assert len(json.loads((slow.folder / "report.json").read_text())["files"]) == 40


def test_ctrl_c_cancels_the_job_and_leaves_nothing_running(slow):
    terminal = slow.terminal("lint", ".", "-d", "ansi")
    terminal.expect(r" [1-9]\d*/40 files")
    terminal.sendintr()
    terminal.expect(r"Cancelling job (\S+);")
    terminal.expect(r"Cancelled job \S+: \d+ of 40 files were done\.")
    assert code_of(terminal) == 130
    [job] = slow.jobs()
    assert job["state"] == "cancelled"
    eventually(lambda: not slow.processes(), within_s=5, what="no process is left")


def test_a_second_ctrl_c_leaves_at_once(slow):
    terminal = slow.terminal("lint", ".", "-d", "ansi")
    terminal.expect(r" [1-9]\d*/40 files")
    terminal.sendintr()
    terminal.expect("Cancelling job")
    terminal.sendintr()
    assert code_of(terminal) == 130
    eventually(lambda: not slow.processes(), within_s=5, what="no process is left")


def test_sigterm_cancels_the_job(long):
    process = long.popen("lint", ".", "-d", "ansi")
    assert process.stderr is not None
    assert "/200 files" in process.stderr.readline()
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Cancelled job" in errors
    assert [job["state"] for job in long.jobs()] == ["cancelled"]


def test_a_killed_lint_leaves_no_process_and_wait_goes_on(long):
    long.env.update(QUAYLINE_LEASE_S="2", QUAYLINE_SWEEP_S="0.5", QUAYLINE_BACKOFF_S="0.1")
    process = long.popen("lint", ".", "-d", "ansi")
    assert process.stderr is not None
    assert "/200 files" in process.stderr.readline()
    process.kill()
    process.communicate()
    eventually(lambda: not long.processes(), within_s=10, what="no process is left")
    [job] = long.jobs()
    assert job["state"] == "running"
    done = long.run("wait", str(job["id"]))
    assert done.returncode == 1, done.stderr
    [job] = long.jobs()
    assert (job["state"], job["done"]) == ("succeeded", 200)


def test_a_reader_that_leaves_is_no_error(slow):
    line = " ".join([*QUAYLINE, "lint", "0*.sql", "-d", "ansi", "-q", "|", "head", "-n", "1"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}}"],
        cwd=slow.folder,
        env=slow.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["== [00.sql] FAIL", "1"]
    assert done.stderr == ""


def test_standard_input_is_linted_with_the_configuration_here(shop):
    done = shop.run("lint", "-", stdin="SELECT a  from b\n")
    assert done.returncode == 1
    assert "== [stdin.sql] FAIL" in done.stdout
    assert shop.run("lint", "-", stdin="SELECT 1\n").returncode == 0


def test_a_baseline_survives_moved_lines_and_catches_new_ones(shop):
    assert shop.run("lint", ".", "--write-baseline", "known.json").returncode == 1
    assert shop.run("lint", ".", "--baseline", "known.json").returncode == 0
    shop.write({"bad/one.sql": "\n\n-- moved\nSELECT a  from b\n"})
    assert shop.run("lint", "bad", "--baseline", "known.json").stdout.count("NEW") <= 1
    shop.write({"bad/two.sql": "SELECT c  from d\n"})
    done = shop.run("lint", ".", "--baseline", "known.json", "--fail-on", "new")
    assert done.returncode == 1
    assert "NEW" in done.stdout


@pytest.mark.parametrize("form", "json sarif junit gitlab github csv html text diff".split())
def test_every_format_reaches_standard_output_and_a_file_alike(same_shop, form):
    shown = same_shop.run("lint", "bad", "--fix", "-f", form)
    assert shown.returncode == 1, shown.stderr
    same_shop.run("report", str(same_shop.jobs()[0]["id"]), "-f", form, "-o", form)
    assert (same_shop.folder / form).read_text() == shown.stdout != ""


def test_run_works_on_what_others_submit_until_sigterm(shop):
    shop.env.update(QUAYLINE_HINT_AGAIN_S="1", QUAYLINE_SWEEP_S="0.2")
    service = shop.popen("run")
    assert service.stderr is not None
    assert "Quayline works on" in service.stderr.readline()
    job_id = shop.run("submit", ".").stdout.strip()
    eventually(
        lambda: json.loads(shop.run("show", job_id, "--json").stdout)["finalized_at"],
        within_s=30,
        what="the job has ended",
    )
    service.terminate()
    service.communicate(timeout=30)
    assert service.returncode == 0


def command_lines(processes: Sequence[psutil.Process]) -> list[str]:
    told = []
    for process in processes:
        with suppress(psutil.Error):
            told.append(" ".join(process.cmdline()))
    return told


class TestDistributed:
    """On RabbitMQ and PostgreSQL: `quayline worker` supervises `dramatiq actors`."""

    @pytest.fixture
    def fleet_shell(self, slow: Shell, database: str, vhost: str) -> Shell:
        slow.env.update(
            QUAYLINE_DATABASE_URL=database,
            QUAYLINE_BROKER_URL=vhost,
            QUAYLINE_LEASE_S="3",
            QUAYLINE_HINT_AGAIN_S="2",
            QUAYLINE_BACKOFF_S="0.1",
        )
        assert slow.run("jobs").returncode == 0
        return slow

    @pytest.fixture
    def scheduler(self, fleet_shell: Shell) -> Iterator[None]:
        """The sweep, which gives a lost worker's files to another."""
        command = [sys.executable, "-m", "schedules"]
        process = subprocess.Popen(command, env=fleet_shell.env, stderr=subprocess.DEVNULL)
        yield
        process.terminate()
        process.wait(30)

    @pytest.fixture
    def worker(self, fleet_shell: Shell, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
        with (tmp_path / "worker.log").open("w") as log:
            process = fleet_shell.popen(
                *("worker", "-p", "2", "--worker-shutdown-timeout", "5000"), log=log
            )
        try:
            self.ready(tmp_path, 2)
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait(60)
            print((tmp_path / "worker.log").read_text()[-6000:])

    @staticmethod
    def ready(folder: Path, times: int) -> None:
        eventually(
            lambda: (folder / "worker.log").read_text().count("ready for action") >= times,
            within_s=60,
            what=f"{times} worker processes were ready",
        )

    @staticmethod
    def children(worker: "subprocess.Popen[str]") -> list[psutil.Process]:
        """Dramatiq's master and the processes below it."""
        return psutil.Process(worker.pid).children(recursive=True)

    def test_lint_waits_for_the_workers_and_a_killed_child_is_replaced(
        self, fleet_shell, worker, scheduler, tmp_path
    ):
        lint = fleet_shell.popen("lint", ".", "-d", "ansi")
        assert lint.stderr is not None
        assert "/40 files" in lint.stderr.readline()
        [master] = psutil.Process(worker.pid).children()
        victim = next(
            each for each in master.children() if "resource_tracker" not in " ".join(each.cmdline())
        )
        victim.kill()
        self.ready(tmp_path, 4)
        assert not master.is_running() or master.status() == psutil.STATUS_ZOMBIE
        output, errors = lint.communicate(timeout=100)
        assert lint.returncode == 1, errors
        assert "Files: 40 in all, 0 clean, 40 with violations" in output

    def test_sigterm_ends_every_process(self, fleet_shell, worker):
        family = self.children(worker)
        assert len(family) >= 3
        worker.terminate()
        assert worker.wait(60) == 0
        assert command_lines([each for each in family if each.is_running()]) == []

    def test_a_killed_supervisor_leaves_no_worker(self, fleet_shell, worker):
        family = self.children(worker)
        worker.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert command_lines(alive) == []

    def test_doctor_tells_queues_and_consumers(self, fleet_shell, worker):
        done = fleet_shell.run("doctor")
        assert done.returncode == 0, done.stdout
        assert "✓ queue sql_analysis:" in done.stdout
        assert "2 consumers" in done.stdout
        assert "guest:guest" not in done.stdout

    def test_ctrl_c_cancels_for_the_workers_too(self, fleet_shell, worker):
        terminal = fleet_shell.terminal("lint", ".", "-d", "ansi")
        terminal.expect(r" [1-9]\d*/40 files")
        terminal.sendintr()
        terminal.expect(r"Cancelled job \S+: \d+ of 40 files were done\.")
        assert code_of(terminal) == 130
        assert [job["state"] for job in fleet_shell.jobs()] == ["cancelled"]
