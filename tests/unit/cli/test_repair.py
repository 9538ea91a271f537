"""fsck and dead-letters at the command line."""

import re
import uuid
from pathlib import Path

from pipeline import broker
from pipeline.core import dead_letters
from pipeline.core.context import close_context, open_context
from pipeline.settings import get_settings
from pipeline.store import database
from tests.unit.cli.conftest import Quayline, StandIn


def letters(count: int, *more: bytes) -> None:
    """Put dead letters into the database of the command line."""
    open_context(get_settings())
    ids = [str(uuid.UUID(int=n)) for n in range(count)]
    bodies = [broker.message("monitoring", "finish_job", told).encode() for told in ids]
    dead_letters._store("monitoring", [*bodies, *more])
    close_context()


def test_fsck_of_a_healthy_service_is_clean(
    quayline: Quayline, here: Path, engine: StandIn
) -> None:
    quayline("lint", "a", "-d", "ansi")
    done = quayline("fsck")
    assert done.exit_code == 0
    assert "jobs checked: 1" in done.stdout


def test_fsck_tells_and_mends_wrong_counters(
    quayline: Quayline, here: Path, engine: StandIn
) -> None:
    quayline("lint", "a", "-d", "ansi")
    open_context(get_settings())
    with database.session():
        database.execute("UPDATE jobs SET total = 5, succeeded = 5")
    close_context()
    told = quayline("fsck")
    assert told.exit_code == 1
    assert "wrong counters: job" in told.stdout
    assert quayline("fsck", "--repair").exit_code == 0
    assert quayline("fsck").exit_code == 0


def test_dead_letters_are_listed_shown_sent_again_and_thrown_away(
    quayline: Quayline, here: Path
) -> None:
    letters(3)
    listed = quayline("dead-letters", "list").stdout
    ids = re.findall(r"^[0-9a-f-]{36}", listed, re.MULTILINE)
    assert len(ids) == 3
    assert "finish_job" in quayline("dead-letters", "show", ids[0]).stdout
    assert quayline("dead-letters", "replay", ids[0]).exit_code == 0
    assert quayline("dead-letters", "list").stdout.count("yes") == 1
    assert "thrown away: 1" in quayline("dead-letters", "purge", ids[1]).stdout
    assert "thrown away: 2" in quayline("dead-letters", "purge", "--all").stdout


def test_dead_letter_with_bad_arguments_says_so_and_is_not_sent_again(
    quayline: Quayline, here: Path
) -> None:
    letters(1, broker.message("monitoring", "finish_job", 3).encode())
    listed = quayline("dead-letters", "list").stdout
    [bad] = [line.split() for line in listed.splitlines() if "bad_arguments" in line]
    shown = quayline("dead-letters", "show", bad[0]).stdout
    assert "not taken: job_id: Input should be a valid string\n" in shown
    done = quayline("dead-letters", "replay", bad[0])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: finish_job does not take the arguments of this message")
    assert "Traceback" not in done.output
    assert "yes" not in quayline("dead-letters", "list").stdout


def test_dead_letters_refuse_what_cannot_be_meant(quayline: Quayline, here: Path) -> None:
    for told in (("purge",), ("purge", "x", "--all"), ("show", "nonsense"), ("replay", "nonsense")):
        done = quayline("dead-letters", *told)
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: ")
