"""The machine of the inside bar: every reason for a reject, and what is one tick or one bar beside it."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import pandas as pd
import polars as pl
import pytest

from fairlead.contracts.sessions import hours_of
from fairlead.core.errors import ConfigurationError, ContractError, UnknownName
from fairlead.core.time import BarSize, to_ns
from fairlead.strategies.inside_bar import BarArrays, InsideBar, InsideBarMachine, Reason, Setup, scan, scan_live
from fairlead.strategies.inside_bar.machine import Confirmation, Reject
from support_inside_bar import CALENDAR, EASY, arrays, labels, session, walk

DAY = "2024-02-01"
MOTHER = (100.30, 101.00, 100.20, 100.90)
INSIDE = (100.80, 100.90, 100.40, 100.50)
FIVE = 300 * 10**9


def found(bars, *, day=DAY, **changes):
    """Signals and rejects of one session; the filters are off but for those that are given."""
    return scan("AAPL", session(day, bars), EASY | changes, CALENDAR, run_id="t")


def reasons(result):
    return [reject.reason for reject in result.rejects]


def pattern(i=3, mother=MOTHER, inside=INSIDE):
    return {i - 1: mother, i: inside}


def test_the_plain_pattern_is_a_signal():
    """All of its fields; known at the end of the inside bar."""
    signals, rejects = found(pattern())
    (signal,) = signals
    assert rejects == ()
    assert signal.timestamp == dt.datetime(2024, 2, 1, 14, 50, tzinfo=dt.UTC)
    assert (signal.timeframe, signal.setup, signal.strategy, signal.strategy_version) == (
        BarSize.M5,
        "insidebar",
        "insidebar",
        "1.0.0",
    )
    levels = (signal.long_entry, signal.sl_long, signal.tp_long, signal.short_entry, signal.sl_short, signal.tp_short)
    assert [str(level) for level in levels] == ["101.00", "100.60", "101.80", "100.20", "100.60", "99.40"]
    assert signal.metadata == {
        "oco_id": "AAPL_20240201_145000",
        "valid_from": "2024-02-01T14:50:00.000000Z",
        "valid_to": "2024-02-01T16:00:00.000000Z",
        "mother_ts": "2024-02-01T14:40:00.000000Z",
        "inside_ts": "2024-02-01T14:45:00.000000Z",
        "window": 0,
    }
    assert signal.score is None


# Each case: bars, parameters, the reason, and what has to change for it to go away.
CASES = {
    Reason.OUT_OF_SESSION: (pattern(30), {}, {"session_windows": ("09:30-16:00",)}, {}),
    Reason.MOTHER_BAR_OUTSIDE_SESSION: (pattern(54), {}, {}, {53: None, **pattern(55)}),
    Reason.MOTHER_BAR_TOO_SMALL: (pattern(), {"min_mother_bar_size": 1.5}, {"min_mother_bar_size": 1.0}, {}),
    Reason.MB_BODY_FRACTION: (pattern(), {"min_mother_body_fraction": 0.76}, {"min_mother_body_fraction": 0.75}, {}),
    Reason.IB_BODY_FRACTION: (pattern(), {"min_inside_body_fraction": 0.61}, {"min_inside_body_fraction": 0.6}, {}),
    Reason.WARMUP: (pattern(), {"required_warmup_bars": 5}, {"required_warmup_bars": 4}, {}),
    Reason.NON_POSITIVE_RISK: (
        pattern(mother=(100.0, 102.0, 100.0, 102.0), inside=(100.0, 100.0, 100.0, 100.0)),
        {"entry_level_mode": "inside_bar"},
        {"entry_level_mode": "mother_bar"},
        {},
    ),
    Reason.INVALID_VALIDITY_WINDOW: (pattern(17), {}, {}, {15: MOTHER, 16: INSIDE, 17: (90, 110, 90, 100)}),
}


@pytest.mark.parametrize("reason", CASES, ids=str)
def test_every_reason_has_a_bar_that_gives_it_and_one_that_does_not(reason):
    """The same bars, but for what the reason is about."""
    bars, refused, accepted, moved = CASES[reason]
    result = found(bars, **refused)
    assert result.signals == ()
    assert reasons(result) == [reason]
    stamps = labels(DAY, DAY)
    assert result.rejects[0].ts_ns == stamps[max(bars)]
    others = {i: bar for i, bar in (bars | moved).items() if bar is not None}
    result = found(others, **accepted)
    assert len(result.signals) == 1
    assert reason not in reasons(result)


def test_bars_that_do_not_follow_each_other_are_no_pattern():
    """A bar is missing between the two; elsewhere it does not matter."""
    data = session(DAY, {2: MOTHER, 4: INSIDE})
    result = scan("AAPL", data.drop(data.index[3]), EASY, CALENDAR, run_id="t")
    assert (result.signals, reasons(result)) == ((), [Reason.NON_CONSECUTIVE_BARS])
    data = session(DAY, pattern())
    result = scan("AAPL", data.drop(data.index[1]), EASY, CALENDAR, run_id="t")
    assert len(result.signals) == 1
    assert result.rejects == ()


def test_the_first_bar_of_a_session_has_no_mother():
    """The last bar of the day before is in no window of this one."""
    before, after = session("2024-01-31", {77: (90, 110, 90, 110)}), session(DAY, {0: INSIDE})
    result = scan("AAPL", pd.concat([before, after]), EASY, CALENDAR, run_id="t")
    assert reasons(result) == [Reason.MOTHER_BAR_OUTSIDE_SESSION]


def test_naive_stamps_are_no_instants():
    """In a frame, and one by one; the same instants with a zone are."""
    data = session(DAY, pattern())
    naive = data.tz_localize(None)
    assert scan("AAPL", naive, EASY, CALENDAR, run_id="t") == ((), (Reject(0, Reason.NAIVE_TIMESTAMP),))
    assert scan_live("AAPL", naive, EASY, CALENDAR, run_id="t") is None
    machine, hours = InsideBarMachine(InsideBar(**EASY).rules), hours_of(CALENDAR)
    results = []
    for stamp, row in data.iterrows():
        prices = (row.OPEN, row.HIGH, row.LOW, row.CLOSE)
        refused = machine.step(stamp.tz_localize(None).to_pydatetime(), *prices, hours(stamp.value))
        assert refused == Reject(0, Reason.NAIVE_TIMESTAMP)
        results.append(machine.step(stamp.to_pydatetime(), *prices, hours(stamp.value)))
    (setup,) = [result for result in results if result is not None]
    assert setup.inside_ns == to_ns(dt.datetime(2024, 2, 1, 14, 45, tzinfo=dt.UTC))


def test_a_bar_outside_of_every_session_is_out_of_session():
    """Whoever feeds the machine has no hours to give for it."""
    machine = InsideBarMachine(InsideBar(**EASY).rules)
    assert machine.step(0, *MOTHER, None) is None
    assert machine.step(FIVE, *INSIDE, None) == Reject(FIVE, Reason.OUT_OF_SESSION)


@pytest.mark.parametrize(("allowed", "signals", "rejected"), [(1, 1, [Reason.MAX_TRADES_REACHED]), (2, 2, []), (3, 2, [])])
def test_a_window_has_so_many_trades(allowed, signals, rejected):
    """The first pattern beyond them is told of, and what comes after that is ignored; the next window begins anew."""
    bars = pattern(3) | pattern(8) | pattern(56)
    result = found(bars, max_trades_per_session=allowed)
    assert len(result.signals) == signals + 1
    assert reasons(result) == rejected
    assert len(found(bars | pattern(12) | pattern(15)).rejects) == 1


def test_a_pattern_that_does_not_qualify_leaves_the_window_waiting():
    """Filters pass over it; an armed one that comes to nothing ends the window."""
    small = {2: (100.30, 100.60, 100.20, 100.40), 3: (100.3, 100.5, 100.25, 100.35)}
    result = found(small | pattern(8), min_mother_body_fraction=0.5)
    assert (len(result.signals), reasons(result)) == (1, [Reason.MB_BODY_FRACTION])
    flat = {2: (100.3, 100.3, 100.3, 100.3), 3: (100.3, 100.3, 100.3, 100.3)}
    result = found(flat | pattern(8))
    assert (len(result.signals), reasons(result)) == (0, [Reason.NON_POSITIVE_RISK])


def test_the_average_is_of_whole_windows_at_the_mother():
    """Period 3 needs four bars up to the mother; the range of the inside bar has no say."""
    sizes = {"min_mother_bar_size": 0.1, "atr_period": 3}
    assert reasons(found(pattern(3), **sizes)) == [Reason.WARMUP]
    assert len(found(pattern(4), **sizes).signals) == 1
    # The fillers have 0.42 and 0.44; the mother is 1.00 above the close before it.
    bars = pattern(4)
    mean = (0.42 + 0.44 + 1.0) / 3
    assert len(found(bars, **sizes | {"min_mother_bar_size": 0.8 / mean - 1e-6}).signals) == 1
    assert reasons(found(bars, **sizes | {"min_mother_bar_size": 0.8 / mean + 1e-6})) == [Reason.MOTHER_BAR_TOO_SMALL]


def test_a_trigger_that_could_come_outside_of_the_window_is_refused():
    """A bar that begins inside and ends outside; unless triggers may be there."""
    changes = {"session_windows": ("09:30-09:52",), "order_validity_policy": "one_bar"}
    assert reasons(found(pattern(3), **changes)) == [Reason.TRIGGER_OUTSIDE_SESSION]
    assert len(found(pattern(3), **changes, trigger_must_be_within_session=False).signals) == 1
    assert len(found(pattern(2), **changes).signals) == 1


def drive(bars, *, day=DAY, **changes):
    """Everything that the machine says, by the place of the bar."""
    machine, hours = InsideBarMachine(InsideBar(**EASY | changes).rules), hours_of(CALENDAR)
    said = {}
    for i, row in enumerate(session(day, bars).itertuples()):
        result = machine.step(row.Index.value, row.OPEN, row.HIGH, row.LOW, row.CLOSE, hours(row.Index.value))
        if result is not None:
            said[i] = result
    return said


ABOVE, BELOW, BETWEEN = (100.5, 101.2, 100.4, 101.01), (100.5, 100.6, 99.9, 100.19), (100.5, 101.5, 99.5, 101.0)


@pytest.mark.parametrize(("bar", "sign"), [(ABOVE, 1), (BELOW, -1)])
def test_a_close_beyond_a_level_confirms(bar, sign):
    """The first one; a close on the level, or a wick beyond it, does not."""
    said = drive(pattern() | {4: BETWEEN, 5: bar, 6: ABOVE}, entry_trigger="close_confirm")
    assert isinstance(said[3], Setup)
    assert isinstance(said[5], Confirmation)
    assert said[5].leg.sign == sign
    assert 4 not in said
    assert not isinstance(said.get(6), Confirmation)


def test_a_confirmation_has_to_come_while_the_setup_is_valid():
    """Not before it is valid, and not once it is over."""
    quiet = dict.fromkeys(range(4, 18), BETWEEN)
    soon = drive(pattern() | quiet | {4: ABOVE}, entry_trigger="close_confirm", valid_from_policy="next_bar")
    assert not any(isinstance(result, Confirmation) for result in soon.values())
    late = {"entry_trigger": "close_confirm", "order_validity_policy": "fixed_minutes", "order_validity_minutes": 20}
    assert isinstance(drive(pattern() | quiet | {7: ABOVE}, **late)[7], Confirmation)
    assert not any(isinstance(said, Confirmation) for said in drive(pattern() | quiet | {8: ABOVE}, **late).values())


def test_a_confirmation_at_the_end_of_the_window_enters_outside_of_it():
    """The next open is beyond the window; with permission it may be, but never beyond the session."""
    quiet = dict.fromkeys(range(4, 18), BETWEEN)
    bars = pattern() | quiet
    assert isinstance(drive(bars | {16: ABOVE}, entry_trigger="close_confirm")[16], Confirmation)
    said = drive(bars | {17: ABOVE}, entry_trigger="close_confirm")
    assert said[17].reason == Reason.TRIGGER_OUTSIDE_SESSION
    free = {"entry_trigger": "close_confirm", "trigger_must_be_within_session": False}
    assert isinstance(drive(bars | {17: ABOVE}, **free)[17], Confirmation)
    last = dict.fromkeys(range(74, 77), BETWEEN) | {72: MOTHER, 73: INSIDE, 77: ABOVE}
    said = drive(last, **free, session_windows=("15:00-16:00",))
    assert said[77].reason == Reason.TRIGGER_OUTSIDE_SESSION


@pytest.mark.parametrize(("day", "first"), [("2024-03-08", "14:30"), ("2024-03-11", "13:30"), ("2024-11-04", "14:30")])
def test_the_clocks_change(day, first):
    """The window begins at half past nine in New York, on either side of the change."""
    (signal,) = found(pattern(1), day=day).signals
    assert signal.timestamp.strftime("%H:%M") == (
        dt.datetime.strptime(first, "%H:%M").replace(tzinfo=dt.UTC) + dt.timedelta(minutes=10)
    ).strftime("%H:%M")


def test_an_early_close_has_no_afternoon():
    """The session ends at 13:00: what would be inside at two does not exist, and validity ends with the session."""
    windows = {"session_windows": ("09:30-11:00", "12:30-15:00")}
    (signal,) = found(pattern(38), day="2024-11-29", **windows).signals
    assert signal.metadata["valid_to"] == "2024-11-29T18:00:00.000000Z"
    assert reasons(found(pattern(41), day="2024-11-29", **windows)) == [Reason.INVALID_VALIDITY_WINDOW]


def test_a_machine_goes_on_where_it_was_saved():
    """At any bar, through JSON."""
    data, hours = walk("2024-02-01", "2024-02-05"), hours_of(CALENDAR)
    rules = InsideBar(**EASY, entry_trigger="close_confirm", max_trades_per_session=3).rules
    whole, parts = InsideBarMachine(rules), InsideBarMachine(rules)
    said = Counter()
    for start, *prices in zip(*(column.tolist() for column in arrays(data)), strict=True):
        expected = whole.step(start, *prices, hours(start))
        fresh = InsideBarMachine(rules)
        fresh.load(json.loads(json.dumps(parts.save(), allow_nan=False)))
        parts = fresh
        got = parts.step(start, *prices, hours(start))
        assert repr(got) == repr(expected)
        said[type(got).__name__] += 1
    assert min(said["Setup"], said["Confirmation"], said["Reject"]) >= 1


def test_a_split_moves_what_is_remembered():
    """Two for one: the same pattern in half the prices."""
    hours, rules = hours_of(CALENDAR), InsideBar(**EASY | {"min_mother_bar_size": 0.1}).rules
    machine = InsideBarMachine(rules)
    rows = list(zip(*(column.tolist() for column in arrays(session(DAY, pattern(5)))), strict=True))
    for start, *prices in rows[:5]:
        machine.step(start, *prices, hours(start))
    before = machine.last_range
    machine.rescale(0.5)
    assert machine.last_range == pytest.approx(before / 2)
    setup = machine.step(rows[5][0], *(price / 2 for price in rows[5][1:]), hours(rows[5][0]))
    assert rules.price(setup.long.entry) == 50.5


def live(count, **changes):
    """The live scan after so many bars of a session whose pattern is at bars 10 and 11."""
    data = session(DAY, pattern(11) | dict.fromkeys(range(12, 18), BETWEEN)).iloc[:count]
    return scan_live("AAPL", data, EASY | {"session_windows": ("09:30-15:00",)} | changes, CALENDAR, run_id="t")


def test_the_live_scan_gives_the_newest_setup_while_it_can_be_acted_on():
    """Not before it is known; then until it is too old, over, too far away, or there are too few bars."""
    assert live(11) is None
    signal = live(12)
    assert signal.metadata["inside_ts"] == "2024-02-01T15:25:00.000000Z"
    assert live(14) == signal
    assert live(14, max_pattern_age_candles=2) == signal
    assert live(14, max_pattern_age_candles=1) is None
    assert live(14, order_validity_policy="fixed_minutes", order_validity_minutes=15) is not None
    assert live(14, order_validity_policy="fixed_minutes", order_validity_minutes=10) is None
    assert live(12, required_warmup_bars=12) == signal
    assert live(12, required_warmup_bars=13) is None
    strict = {"inside_bar_mode": "strict"}
    assert live(14, lookback_candles=4, **strict) == signal
    assert live(14, lookback_candles=3, **strict) is None
    assert live(12, max_deviation_atr=0.4) == signal  # 100.50 is 0.30 above the lower entry, of an average of 0.75
    assert live(12, max_deviation_atr=0.39) is None


def test_a_scan_takes_arrays_and_both_libraries():
    """With the same result."""
    data = walk("2024-02-01", "2024-02-09")
    expected = scan("A", data, EASY, CALENDAR, run_id="t")
    assert len(expected.signals) > 5
    assert scan("A", arrays(data), EASY, CALENDAR, run_id="t") == expected
    assert scan("A", arrays(data), InsideBar(**EASY), CALENDAR, run_id="t") == expected
    polars = pl.from_pandas(data.reset_index(names="ts"))
    assert scan("A", polars, EASY, CALENDAR, run_id="t") == expected
    assert scan("A", data.iloc[:0], EASY, CALENDAR, run_id="t") == ((), ())


def test_what_a_scan_refuses():
    """No frame, no prices, no calendar, no such parameter."""
    data = session(DAY, pattern())
    with pytest.raises(ContractError, match="'AAPL bars' must be a data frame with an index of stamps"):
        scan("AAPL", [1, 2], EASY, CALENDAR, run_id="t")
    with pytest.raises(ContractError, match="'AAPL bars' must have the numeric columns OPEN, HIGH, LOW and CLOSE"):
        scan("AAPL", data.drop(columns="LOW"), EASY, CALENDAR, run_id="t")
    with pytest.raises(ConfigurationError, match="'calendar' must be a SessionCalendar"):
        scan("AAPL", data, EASY, "XNYS", run_id="t")
    with pytest.raises(UnknownName, match="atr_periods"):
        scan("AAPL", data, {"atr_periods": 3}, CALENDAR, run_id="t")
    assert isinstance(arrays(data), BarArrays)
