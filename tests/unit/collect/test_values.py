"""Values on their way: JSON, output files, columns, marks, numbers, waits, secrets."""

import csv
import io
import json
import logging
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.config import ApiConfig
from pipeline.collect.crawler.numbers import number_in
from pipeline.collect.database import marks
from pipeline.collect.database.checksum import checksum
from pipeline.collect.database.columns import Column, Kind
from pipeline.collect.database.values import adapted
from pipeline.collect.errors import CollectFailed, ConfigRefused
from pipeline.collect.http.retry_after import retry_after_s
from pipeline.collect.output import write_records
from pipeline.collect.plainjson import dumped, loaded
from pipeline.collect.progress import Progress
from pipeline.collect.secrets import Redaction, shown

NOW = datetime(2024, 1, 1, tzinfo=UTC)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(ANYTHING)
def test_everything_dumps_as_json_that_any_reader_takes(value: Any) -> None:
    text = dumped(value)

    json.loads(text.encode(), parse_constant=lambda name: pytest.fail(name))


def test_nesting_beyond_reason_is_no_json() -> None:
    with pytest.raises(ValueError, match="deep"):
        loaded("[" * 100_000)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Mon, 01 Jan 2024 00:01:00 GMT", 60.0),
        ("Mon, 01 Jan 2024 01:01:00 +0100", 60.0),
        ("Sun, 31 Dec 2023 00:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Mon, 99 Jan 2024 00:01:00 GMT", None),
        ("9" * 5000, 999999999999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(told: str | None, seconds: float | None) -> None:
    assert retry_after_s(told, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,299.50 €", 1299.5),
        ("EUR 1.299,50", 1299.5),
        ("1 299,5", 1299.5),
        ("1,299", 1299),
        ("12,5", 12.5),
        ("1.299", 1.299),
        ("1.299.000", 1299000),
        ("-3", -3),
        ("−3.5", -3.5),
        ("CHF 1'299.-", 1299),
        ("¥12,345,678", 12345678),
        ("n/a", None),
        ("9" * 400, None),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: float | None) -> None:
    assert number_in(text) == number


def test_csv_has_stable_columns_and_exact_quoting(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"b": 'x,"y"\r\nz', "a": [1]},
        {"a": None, "c": True, "d": "漢"},
    ]

    name = write_records(tmp_path, "out", "csv", lambda: records, ["a"])

    text = (tmp_path / name).read_bytes().decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["a", "b", "c", "d"],
        ["[1]", 'x,"y"\r\nz', "", ""],
        ["", "", "true", "漢"],
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_output_is_one_array(tmp_path: Path, count: int) -> None:
    records = [{"n": number} for number in range(count)]

    name = write_records(tmp_path, "out", "json", lambda: records)

    assert json.loads((tmp_path / name).read_bytes()) == records
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Kind.BOOLEAN, 1, True),
        (Kind.INTEGER, Decimal("5.0"), 5),
        (Kind.INTEGER, "7", 7),
        (Kind.DECIMAL, 0.1, Decimal("0.1")),
        (Kind.TEXT, 5, "5"),
        (Kind.BYTES, memoryview(b"x"), b"x"),
        (Kind.DATE, "2024-02-29", date(2024, 2, 29)),
        (Kind.DATE, datetime(2024, 2, 29, tzinfo=UTC), date(2024, 2, 29)),
        (Kind.TIME, timedelta(hours=1, microseconds=1), time(1, 0, 0, 1)),
        (
            Kind.TIMESTAMP,
            datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            datetime.fromisoformat("2024-01-01 00:00:00"),
        ),
        (Kind.TIMESTAMPTZ, "2024-01-01 00:00:00", NOW),
        (Kind.JSON, {"a": 1}, '{"a": 1}'),
        (Kind.JSON, None, None),
    ],
)
def test_value_fits_the_column_it_goes_to(kind: Kind, value: Any, result: Any) -> None:
    assert adapted(value, Column("c", kind)) == result


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.BOOLEAN, 2),
        (Kind.INTEGER, 1.5),
        (Kind.INTEGER, "x"),
        (Kind.TEXT, b"\x00"),
        (Kind.DATE, datetime(2024, 1, 1, 5, tzinfo=UTC)),
        (Kind.TIME, timedelta(hours=30)),
        (Kind.TIME, timedelta(seconds=-1)),
        (Kind.TIMESTAMP, 5),
        (Kind.DECIMAL, "many"),
        (Kind.FLOAT, "x"),
    ],
)
def test_value_is_never_bent(kind: Kind, value: Any) -> None:
    with pytest.raises(CollectFailed, match="column 'c'"):
        adapted(value, Column("c", kind))


@pytest.mark.parametrize(
    ("kind", "scale", "value"),
    [
        (Kind.DECIMAL, 2, "1.2300"),
        (Kind.DECIMAL, 2, Decimal(10) ** 40),
        (Kind.DECIMAL, 0, "Infinity"),
        (Kind.DECIMAL, None, "0.123456789"),
        (Kind.TIMESTAMP, 0, "2024-01-01 00:00:01.000"),
        (Kind.TIMESTAMPTZ, 3, "2024-01-01 00:00:01.123"),
        (Kind.TIME, 6, time(1, 2, 3, 456789)),
    ],
)
def test_value_of_few_digits_fits(kind: Kind, scale: int | None, value: Any) -> None:
    assert adapted(value, Column("c", kind, scale=scale)) == adapted(value, Column("c", kind))


@pytest.mark.parametrize(
    ("kind", "scale", "value"),
    [
        (Kind.DECIMAL, 2, "1.239"),
        (Kind.DECIMAL, 2, 0.001),
        (Kind.DECIMAL, 2, "1" * 40 + ".001"),
        (Kind.DECIMAL, 2, Decimal("1E-30")),
        (Kind.TIMESTAMP, 0, "2024-01-01 00:00:01.5"),
        (Kind.TIMESTAMPTZ, 3, "2024-01-01 00:00:01.1234"),
        (Kind.TIME, 0, timedelta(microseconds=1)),
    ],
)
def test_value_of_more_digits_than_its_column_has_is_refused(
    kind: Kind, scale: int, value: Any
) -> None:
    with pytest.raises(CollectFailed, match="column 'c'"):
        adapted(value, Column("c", kind, scale=scale))


@given(
    st.none()
    | st.integers()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.just(UTC) | st.none())
    | st.dates()
    | st.times()
    | st.timedeltas()
)
def test_marks_are_read_as_they_were_kept(value: Any) -> None:
    assert marks.read(json.loads(json.dumps(marks.kept(value)))) == value


def test_overlap_goes_back_by_seconds_or_units() -> None:
    assert marks.back(NOW, 60) == NOW - timedelta(minutes=1)
    assert marks.back(10, 3.0) == 7
    assert marks.back(None, 3.0) is None
    with pytest.raises(ConfigRefused):
        marks.back("2024", 3.0)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (NOW, NOW),
        (NOW + timedelta(seconds=1), NOW),
        # Another zone's clock may show that.
        (datetime.fromisoformat("2024-01-01 13:59"), datetime.fromisoformat("2024-01-01 13:59")),
        (datetime.fromisoformat("2024-01-01 14:01"), datetime.fromisoformat("2023-12-31 12:00")),
        (date(2024, 1, 1), date(2024, 1, 1)),
        (date(2024, 1, 2), date(2023, 12, 31)),
        ("2024-01-02 00:00:00", "2023-12-31 12:00:00"),
        ("2024-01-02T00:00:00", "2023-12-31T12:00:00"),
        ("2024-01-02T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
        ("2024-01-02", "2023-12-31"),
        ("soon", "soon"),
        (10**12, 10**12),
    ],
)
def test_watermark_of_the_future_is_bound_to_now(value: Any, bound: Any) -> None:
    assert marks.not_beyond(value, NOW) == bound


def test_checksum_depends_on_keys_and_not_on_their_order_or_type() -> None:
    one = [(1, "a"), (Decimal("2.0"), "b")]

    assert checksum(one) == checksum([(2.0, "b"), (True, "a")])
    assert checksum(one) != checksum([(1, "a"), (1, "a"), (2, "b")])
    assert checksum([("ab", "c")]) != checksum([("a", "bc")])


def test_progress_has_a_percentage_within_bounds() -> None:
    progress = Progress()
    changes: list[str] = []
    progress.on_stage(lambda: changes.append("x"))

    progress.stage("one")
    progress.stage("one")
    progress.update(done=7, total=5, rate=float("nan"))

    told = progress.snapshot()
    assert (told["percentage"], told["current_step"], told["total_steps"]) == (100.0, 7, 5)
    assert told["rate"] is None
    assert len(changes) == 1


def test_redaction_hides_secrets_in_every_form() -> None:
    redaction = Redaction()
    auth = {"type": "basic", "username": "u", "password": "p/ss wörd"}
    redaction.learn(
        ApiConfig.model_validate({"endpoint": "/", "auth": auth, "params": {"token": "t0ken"}})
    )
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s %s", ("p/ss wörd", "t0ken"), None)

    redaction.filter(record)
    told = redaction.clean("p%2Fss%20w%C3%B6rd p%2Fss+w%C3%B6rd mysql://u:x@h/d")

    assert record.getMessage() == "*** ***"
    assert told == "*** *** mysql://***@h/d"


def test_shown_url_has_neither_user_nor_query() -> None:
    assert shown("https://u:p@h:1/a?token=x#y") == "https://h:1/a?…"
    assert shown("http://h/a") == "http://h/a"
