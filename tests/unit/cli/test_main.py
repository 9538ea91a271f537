"""The entry point: help, version, where options may stand."""

import subprocess
import sys

import pytest

from pipeline.cli import main as entry
from pipeline.cli.main import app

COMMANDS = "lint submit jobs show wait cancel retry report run worker sweep doctor settings".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(quayline, command):
    result = quayline(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: quayline {command} " in result.stdout


def test_help_names_every_command(quayline):
    told = quayline("--help").stdout
    assert all(f"  {command} " in told for command in COMMANDS)


def test_help_loads_nothing_heavy():
    heavy = "rich pydantic peewee dramatiq fsspec sqlfluff docker pika".split()
    code = (
        "import sys; from pipeline.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        (["lint", "x", "--debug"], ["--debug", "lint", "x"]),
        (["--debug", "lint", "x"], ["--debug", "lint", "x"]),
        (["lint", "--", "--debug"], ["lint", "--", "--debug"]),
        (["lint", "--debug", "--", "x"], ["--debug", "lint", "--", "x"]),
    ],
)
def test_debug_may_stand_anywhere(monkeypatch, told, passed):
    seen = []
    monkeypatch.setattr(entry, "app", lambda args, **_more: seen.extend(args))
    monkeypatch.setattr(sys, "argv", ["quayline", *told])
    entry.main()
    assert seen == passed


def test_a_worker_needs_a_broker_and_run_needs_none(quayline, monkeypatch):
    alone = quayline("worker")
    assert alone.exit_code == 2
    assert "QUAYLINE_BROKER_URL" in alone.stderr
    monkeypatch.setenv("QUAYLINE_BROKER_URL", "amqp://127.0.0.1:9")
    joined = quayline("run")
    assert joined.exit_code == 2
    assert "quayline worker" in joined.stderr


def test_the_app_is_the_package_entry_point():
    assert app.info.name == "quayline"
