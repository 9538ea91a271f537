"""When things happen: local times across changes of clocks, cron's weekdays, refusals."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.core.triggers import Cron, Every, Once, Times
from pipeline.errors import Refused

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def following(expression: str, zone: str, after: str, number: int) -> list[str]:
    """Return so many times after that moment, in UTC."""
    times, moment, told = Times(Cron(expression), zone), datetime.fromisoformat(after), []
    for _ in range(number):
        found = times.after(moment)
        assert found is not None
        assert found > moment
        moment = found
        told.append(f"{moment:%m-%d %H:%M}")
    return told


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        # 02:30 does not exist on that day: it is 03:30 by the clock.
        (BERLIN, "2026-03-27T12:00Z", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
        (NEW_YORK, "2026-03-06T12:00Z", ["03-07 07:30", "03-08 07:30", "03-09 06:30"]),
    ],
)
def test_time_that_is_left_out_happens_once_and_an_hour_later(
    zone: str, after: str, expected: list[str]
) -> None:
    assert following("30 2 * * *", zone, after, 3) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        (BERLIN, "30 2 * * *", "2026-10-24T12:00Z", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        (
            NEW_YORK,
            "30 1 * * *",
            "2026-10-31T12:00Z",
            ["11-01 05:30", "11-02 06:30", "11-03 06:30"],
        ),
    ],
)
def test_time_that_comes_twice_happens_the_first_time(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert following(expression, zone, after, 3) == expected
    # Asked again from within the second of the two hours.
    moment = datetime.fromisoformat(f"2026-{expected[0].replace(' ', 'T')}Z")
    again = Times(Cron(expression), zone).after(moment + timedelta(minutes=59))
    assert f"{again:%m-%d %H:%M}" == expected[1]


@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2026-10-24"), (NEW_YORK, "2026-10-31")])
@pytest.mark.parametrize(("expression", "step"), [("0 * * * *", 60), ("*/15 * * * *", 15)])
def test_every_hour_means_both_of_two_equal_ones(
    zone: str, day: str, expression: str, step: int
) -> None:
    moment = datetime.fromisoformat(f"{day}T12:00Z")
    for _ in range(36 * 60 // step):
        found = Times(Cron(expression), zone).after(moment)
        assert found == moment + timedelta(minutes=step)
        moment = found


@pytest.mark.parametrize(("zone", "day"), [(BERLIN, "2026-03-28"), (NEW_YORK, "2026-03-07")])
def test_no_hour_is_lost_where_one_is_left_out(zone: str, day: str) -> None:
    first = datetime.fromisoformat(f"{day}T12:00Z")
    told = following("0 * * * *", zone, f"{day}T12:00Z", 24)
    assert told == [f"{first + timedelta(hours=n):%m-%d %H:%M}" for n in range(1, 25)]


def test_interval_is_so_many_seconds_whatever_the_clocks_do() -> None:
    since = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    times, moment = Times(Every(3600, since), BERLIN), since
    for number in range(1, 6):
        found = times.after(moment)
        assert found == since + timedelta(hours=number)
        moment = found


@pytest.mark.parametrize("seconds", [0.3, 1, 7, 90, 86_400])
def test_interval_neither_skips_nor_repeats(seconds: float) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    times = Times(Every(seconds, since), "UTC")
    moment = times.after(since + timedelta(days=200))
    for _ in range(2000):
        assert moment is not None
        found = times.after(moment)
        assert found is not None
        assert abs((found - moment).total_seconds() - seconds) < 0.001
        moment = found


def test_single_moment_is_told_until_it_has_passed() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    times = Times(Once(moment), "UTC")
    assert times.after(moment - timedelta(seconds=1)) == moment
    assert times.after(moment) is None


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", "Sun"),
        ("7", "Sun"),
        ("1", "Mon"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("5-7", "Fri Sat Sun"),
        ("*/2", "Tue Thu Sat Sun"),
        ("1-5/2", "Mon Wed Fri"),
        ("sat,0", "Sat Sun"),
        ("mon-wed", "Mon Tue Wed"),
    ],
)
def test_weekdays_are_those_of_cron(field: str, days: str) -> None:
    told = following(f"0 0 * * {field}", "UTC", "2026-01-04T00:00Z", len(days.split()))
    found = [f"{datetime.strptime(f'2026-{each}Z', '%Y-%m-%d %H:%M%z'):%a}" for each in told]
    assert found == days.split()
    assert told[-1] <= "01-11 00:00"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("61 * * * *", "cannot be read"),
        ("* * * * 6-1", "cannot be read"),
        ("* * * * 8", "cannot be read"),
        ("* * * * 1/0", "cannot be read"),
        ("*/0 * * * *", "cannot be read"),
        ("x * * * *", "cannot be read"),
        ("0 0 1 * 1", "Make it two schedules"),
    ],
)
def test_what_is_no_cron_expression_is_refused_in_a_sentence(expression: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as told:
        Times(Cron(expression), "UTC")
    assert told.value.message.endswith(".")


def test_time_that_never_comes_is_none() -> None:
    assert Times(Cron("0 0 30 2 *"), BERLIN).after(datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("zone", ["Europe", "../etc/passwd", "/etc/passwd", "x\0", ""])
def test_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(Refused, match="no time zone"):
        Times(Cron("* * * * *"), zone)
