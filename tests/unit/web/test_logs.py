"""Parts of logs: what ends one, and where the next begins."""

import pytest

from pipeline.adapters.engines.model import LogEntry
from pipeline.web import logs

ENTRIES = [LogEntry(str(number), "stdout", b"long\n") for number in range(1, 4)]


def told(since: str, **more: int) -> tuple[list[str], str, bool]:
    """Return the times of a part, where the next begins, and whether it is the last."""
    rest = [entry for entry in ENTRIES if entry.timestamp > since]
    part = logs._part(rest, None, since, more.get("limit", 100))
    return [each.timestamp for each in part.items], part.next_since, part.complete


def test_entry_larger_than_a_part_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 1)
    assert told("") == (["1"], "1", False)
    assert told("1") == (["2"], "2", False)
    assert told("2") == (["3"], "3", True)


def test_part_is_complete_only_when_nothing_is_left() -> None:
    assert told("", limit=2) == (["1", "2"], "2", False)
    assert told("", limit=3) == (["1", "2", "3"], "3", True)
    assert told("3") == ([], "3", True)
