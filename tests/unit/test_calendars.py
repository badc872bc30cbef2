"""Sessions, lunch breaks, early closes, changes of clocks, and when a bar becomes known."""

import datetime as dt

import numpy as np
import pytest

from fairlead.core.errors import ContractError, DataError, UnknownName
from fairlead.core.time import NS_PER_DAY, BarSize, date_to_day, format_utc, to_ns
from fairlead.data.calendars import ExchangeCalendar

MINUTE = 60_000_000_000


def day(text: str) -> int:
    return date_to_day(dt.date.fromisoformat(text))


def days(*texts: str) -> np.ndarray:
    return np.array([day(text) for text in texts], np.int32)


def ns(*texts: str) -> np.ndarray:
    return np.array([to_ns(dt.datetime.fromisoformat(text + "+00:00")) for text in texts], np.int64)


def minutes_of(calendar: str, *texts: str) -> list[int]:
    return ExchangeCalendar.get(calendar).session_minutes(days(*texts)).tolist()


def test_unknown_calendar_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'XNYS'"):
        ExchangeCalendar.get("XNYX")


def test_alias_gives_the_canonical_calendar():
    assert ExchangeCalendar.get("NYSE") == ExchangeCalendar.get("XNYS")
    assert ExchangeCalendar.get("NYSE").timezone == "America/New_York"


def test_sessions_leave_out_weekends_and_holidays_and_include_both_ends():
    found = ExchangeCalendar.get("XNYS").sessions(day("2024-07-02"), day("2024-07-08"))
    assert found.dtype == np.int32
    assert found.tolist() == days("2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08").tolist()


def test_an_empty_range_has_no_sessions_segments_or_labels():
    calendar = ExchangeCalendar.get("XNYS")
    assert len(calendar.sessions(day("2024-01-05"), day("2024-01-04"))) == 0
    assert len(calendar.segments(day("2024-01-05"), day("2024-01-04")).session) == 0
    assert len(calendar.labels(day("2024-01-06"), day("2024-01-07"), BarSize.M5)) == 0
    assert len(calendar.session_minutes(days())) == 0


def test_regular_and_early_sessions_have_their_minutes():
    """390 on ordinary days and on both sides of the changes of clocks, 210 on the day after Thanksgiving."""
    assert minutes_of("XNYS", "2024-11-29", "2024-11-27") == [210, 390]
    assert minutes_of("XNYS", "2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04") == [390] * 4
    assert minutes_of("24/7", "2024-03-10") == [1440]


def test_lunch_breaks_are_not_trading_minutes():
    assert minutes_of("XHKG", "2024-05-02") == [330]
    assert minutes_of("XTKS", "2024-05-02") == [300]


@pytest.mark.parametrize(
    ("date", "size", "count"), [("2024-11-29", "1min", 210), ("2024-11-29", "5min", 42), ("2024-05-01", "5min", 78)]
)
def test_labels_count_the_bars_of_a_session_without_one_at_the_close(date, size, count):
    labels = ExchangeCalendar.get("XNYS").labels(day(date), day(date), BarSize(size))
    assert len(labels) == count
    assert np.all(np.diff(labels) == BarSize(size).ns)


def test_labels_restart_after_lunch():
    labels = ExchangeCalendar.get("XHKG").labels(day("2024-05-02"), day("2024-05-02"), BarSize.H1)
    assert [format_utc(int(t))[11:16] for t in labels] == ["01:30", "02:30", "03:30", "05:00", "06:00", "07:00"]


def test_daily_labels_are_midnights_of_sessions():
    labels = ExchangeCalendar.get("XNYS").labels(day("2024-07-03"), day("2024-07-05"), BarSize.D1)
    assert labels.tolist() == [day("2024-07-03") * NS_PER_DAY, day("2024-07-05") * NS_PER_DAY]


@pytest.mark.parametrize(
    ("date", "opening", "closing"),
    [
        ("2024-03-08", "14:30", "21:00"),
        ("2024-03-11", "13:30", "20:00"),
        ("2024-11-01", "13:30", "20:00"),
        ("2024-11-04", "14:30", "21:00"),
        ("2024-11-29", "14:30", "18:00"),
    ],
)
def test_bounds_follow_the_change_of_clocks_and_early_closes(date, opening, closing):
    opens, closes = ExchangeCalendar.get("XNYS").bounds(days(date))
    assert opens.tolist() == ns(f"{date}T{opening}").tolist()
    assert closes.tolist() == ns(f"{date}T{closing}").tolist()


def test_bounds_refuse_a_day_that_is_no_session():
    with pytest.raises(ContractError, match="must be the date of a session of XNYS, was '2024-07-04"):
        ExchangeCalendar.get("XNYS").bounds(days("2024-07-03", "2024-07-04"))


def test_daily_bars_are_known_at_their_session_close():
    label = ns("2024-11-29T00:00", "2024-11-27T00:00")
    known, session = ExchangeCalendar.get("XNYS").closing_instants(label, BarSize.D1)
    assert known.tolist() == ns("2024-11-29T18:00", "2024-11-27T21:00").tolist()
    assert session.tolist() == days("2024-11-29", "2024-11-27").tolist()


def test_daily_bars_of_a_market_that_never_closes_are_known_at_midnight():
    known, _ = ExchangeCalendar.get("24/7").closing_instants(ns("2024-06-01T00:00"), BarSize.D1)
    assert known.tolist() == ns("2024-06-02T00:00").tolist()


def test_intraday_bars_are_known_at_their_end_and_cut_at_the_close():
    label = ns("2024-05-02T13:30", "2024-05-02T17:30", "2024-05-02T19:30")
    known, session = ExchangeCalendar.get("XNYS").closing_instants(label, BarSize.H4)
    assert known.tolist() == ns("2024-05-02T17:30", "2024-05-02T20:00", "2024-05-02T20:00").tolist()
    assert set(session.tolist()) == {day("2024-05-02")}


def test_intraday_bars_are_cut_at_the_lunch_break():
    known, _ = ExchangeCalendar.get("XHKG").closing_instants(ns("2024-05-02T03:30"), BarSize.H1)
    assert known.tolist() == ns("2024-05-02T04:00").tolist()


def test_a_bar_of_the_evening_before_belongs_to_the_next_session():
    """CME trading dated 3 May starts on 2 May at 22:00 UTC."""
    label = ns("2024-05-02T22:00", "2024-05-02T21:59")
    known, session = ExchangeCalendar.get("CMES").closing_instants(label, BarSize.M1)
    assert session.tolist() == days("2024-05-03", "2024-05-02").tolist()
    assert known.tolist() == (label + MINUTE).tolist()


@pytest.mark.parametrize("text", ["2024-05-02T13:29", "2024-05-02T20:00", "2024-05-04T15:00"])
def test_intraday_labels_outside_sessions_are_refused(text):
    with pytest.raises(ContractError, match="must be inside a session of XNYS"):
        ExchangeCalendar.get("XNYS").closing_instants(ns("2024-05-02T13:30", text), BarSize.M1)


def test_locate_says_which_labels_are_inside():
    located = ExchangeCalendar.get("XHKG").locate(ns("2024-05-02T03:59", "2024-05-02T04:00", "2024-05-02T05:00"), BarSize.M1)
    assert located.inside.tolist() == [True, False, True]


def test_dates_that_no_calendar_can_hold_are_refused_as_days():
    with pytest.raises(DataError, match="day 36500000 to day 36500000 was asked for"):
        ExchangeCalendar.get("XNYS").sessions(36_500_000, 36_500_000)


@pytest.mark.parametrize("size", [BarSize.M1, BarSize.D1])
def test_locate_handles_no_labels_and_labels_far_from_any_session(size):
    calendar = ExchangeCalendar.get("XNYS")
    assert len(calendar.locate(np.empty(0, np.int64), size).inside) == 0
    assert calendar.locate(ns("2024-05-04T00:00"), size).inside.tolist() == [False]
    assert calendar.locate(ns("2024-05-02T07:00"), size).inside.tolist() == [False]


def test_dates_beyond_the_calendar_are_refused_with_its_span():
    with pytest.raises(DataError, match="calendar 'XTKS' is known from 1997-01-01 to 2099-12-31, and 1990-01-02"):
        ExchangeCalendar.get("XTKS").closing_instants(ns("1990-01-02T00:00"), BarSize.D1)


def test_stamps_in_a_wrong_unit_are_refused_for_their_date():
    with pytest.raises(DataError, match="check the stamps' unit"):
        ExchangeCalendar.get("XNYS").segments_between(7_000_000_000_000_000_000, 7_000_000_000_000_000_001)


def test_the_shared_table_cannot_be_changed():
    found = ExchangeCalendar.get("XNYS").sessions(day("2024-01-01"), day("2024-12-31"))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_a_calendar_that_the_library_cannot_build_is_reported_in_our_words(monkeypatch):
    import exchange_calendars

    def fail(*args, **kwargs):
        raise NotImplementedError("holiday rule")

    monkeypatch.setattr(exchange_calendars, "get_calendar", fail)
    with pytest.raises(DataError, match=r"calendar 'XWAR' cannot be built .* holiday rule"):
        ExchangeCalendar.get("XWAR")
