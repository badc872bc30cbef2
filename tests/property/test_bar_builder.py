"""Bars made as trades come are the bars that resampling makes of whole frames."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, BarSize, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live import AggregationSettings, BarBuilder
from fairlead.data.resampling import resample_bars
from support_feeds import OPEN_NS, XNYS, minute_bar, quote, trade

XHKG = ExchangeCalendar.get("XHKG")
HONG_KONG_NS = to_ns(dt.datetime(2024, 1, 2, 1, 30, tzinfo=dt.UTC))
CLOSE_NS = OPEN_NS + 390 * NS_PER_MINUTE

# Sizes are whole, so that sums do not depend on how they are nested.
PRINTS = st.lists(
    st.tuples(
        st.integers(0, 400 * 60 * 1000),
        st.sampled_from("AB"),
        st.floats(1, 1000, allow_nan=False).map(lambda x: round(x, 4)),
        st.integers(0, 10_000),
    ),
    min_size=1,
    max_size=80,
)


def trades_of(prints, open_ns):
    made = [Trade(symbol, open_ns + ms * 1_000_000, price, float(size)) for ms, symbol, price, size in prints]
    return sorted(made, key=lambda t: t.known_ns)


def bars_of(events, size, calendar=XNYS, settings=None, end_ns=None):
    builder = BarBuilder(size, calendar, settings)
    found = [bar for event in events for bar in builder.add(event)]
    found += builder.advance(events[-1].known_ns + 5 * 3600 * NS_PER_SECOND if end_ns is None else end_ns)
    return found, builder


@given(PRINTS, st.sampled_from([(XNYS, OPEN_NS), (XHKG, HONG_KONG_NS)]), st.sampled_from([BarSize.M5, BarSize.M30, BarSize.H4]))
@settings(max_examples=60)
def test_through_minutes_or_at_once_and_as_a_frame(prints, where, size):
    """Trades to minutes to longer bars = trades to longer bars = the minutes resampled, over lunch and past the close."""
    calendar, open_ns = where
    trades = trades_of(prints, open_ns)
    minutes, first = bars_of(trades, BarSize.M1, calendar)
    direct, second = bars_of(trades, size, calendar)
    assert first.outside == second.outside
    assert first.late == second.late == 0
    if not minutes:
        assert not direct
        return
    nested, _ = bars_of(minutes, size, calendar, AggregationSettings(source="bars"))
    assert sorted(nested) == sorted(direct)
    assert [(b.known_ns, b.symbol) for b in direct] == sorted((b.known_ns, b.symbol) for b in direct)
    for symbol in {bar.symbol for bar in minutes}:
        own = [bar for bar in minutes if bar.symbol == symbol]
        index = pd.DatetimeIndex(np.array([b.label_ns for b in own], "datetime64[ns]"), tz="UTC")
        frame = pd.DataFrame([b[3:] for b in own], columns=["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"], index=index)
        whole = resample_bars(frame, calendar, target=size)
        mine = [bar for bar in direct if bar.symbol == symbol]
        assert [b.label_ns for b in mine] == whole.index.as_unit("ns").asi8.tolist()
        assert [list(b[3:]) for b in mine] == whole[["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]].to_numpy().tolist()
        known, _ = calendar.closing_instants(np.array([b.label_ns for b in mine]), size)
        assert [b.known_ns for b in mine] == known.tolist()


@given(PRINTS, st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_amended_bars_end_as_if_nothing_had_been_late(prints, seed):
    """However trades of two minutes are shuffled: high, low and volume of each bar's last form are those of all trades."""
    trades = [t._replace(known_ns=OPEN_NS + t.known_ns % (2 * NS_PER_MINUTE)) for t in trades_of(prints, OPEN_NS)]
    expected, _ = bars_of(sorted(trades, key=lambda t: t.known_ns), BarSize.M1)
    shuffled = [trades[i] for i in np.random.default_rng(seed).permutation(len(trades))]
    found, builder = bars_of(shuffled, BarSize.M1, settings=AggregationSettings(late="amend"))
    last = {(bar.symbol, bar.label_ns): bar for bar in found}
    assert {key: (b.high, b.low, b.volume) for key, b in last.items()} == {
        (b.symbol, b.label_ns): (b.high, b.low, b.volume) for b in expected
    }
    dropped, strict = bars_of(shuffled, BarSize.M1)
    assert builder.amended == builder.late == len(found) - len(dropped)
    assert strict.amended == 0
    assert strict.late == builder.late
    assert sum(b.volume for b in dropped) <= sum(b.volume for b in expected)


def test_a_bar_comes_when_its_end_has_passed_and_not_before():
    builder = BarBuilder(BarSize.M1, XNYS)
    assert builder.add(trade(0, price=10)) == []
    assert builder.add(trade(59.999, price=12, size=50)) == []
    assert builder.advance(OPEN_NS + NS_PER_MINUTE - 1) == []
    (bar,) = builder.add(trade(60, "B"))  # of any symbol
    assert bar == Bar("A", OPEN_NS, OPEN_NS + NS_PER_MINUTE, 10.0, 12.0, 10.0, 12.0, 150.0)
    (bar,) = builder.advance(OPEN_NS + 2 * NS_PER_MINUTE)
    assert (bar.symbol, bar.label_ns) == ("B", OPEN_NS + NS_PER_MINUTE)
    assert builder.advance(CLOSE_NS) == []


def test_bars_of_one_instant_come_by_symbol():
    builder = BarBuilder(BarSize.M1, XNYS)
    for symbol in "CAB":
        builder.add(trade(5, symbol))
    assert [bar.symbol for bar in builder.advance(OPEN_NS + NS_PER_MINUTE)] == ["A", "B", "C"]


def test_the_last_minute_completes_a_longer_bar_and_others_may_follow():
    builder = BarBuilder(BarSize.M5, XNYS, AggregationSettings(source="bars"))
    early = [builder.add(minute_bar(minute, symbol)) for minute in range(4) for symbol in "AB"]
    assert not any(early)
    (first,) = builder.add(minute_bar(4, "A"))
    (second,) = builder.add(minute_bar(4, "B"))
    assert (first.symbol, second.symbol) == ("A", "B")
    assert first.volume == second.volume == 1500.0
    assert builder.late == 0


def test_late_trades_are_dropped_or_amend():
    for late in ("drop", "amend"):
        builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(late=late))
        builder.add(trade(10, price=10.0))
        builder.add(trade(61))
        again = builder.add(trade(30, price=99.0, size=5))
        assert builder.late == 1
        if late == "drop":
            assert again == []
            assert builder.amended == 0
        else:
            assert again == [Bar("A", OPEN_NS, OPEN_NS + NS_PER_MINUTE, 10.0, 99.0, 10.0, 99.0, 105.0)]
            (again,) = builder.add(trade(5, price=7.0))
            assert (again.open, again.low, again.close) == (7.0, 7.0, 99.0)
            assert builder.amended == 2


def test_a_bar_older_than_those_that_are_kept_is_not_amended():
    builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(late="amend"))
    for minute in range(12):
        builder.add(trade(60 * minute))
    assert builder.add(trade(30)) == []
    assert (builder.late, builder.amended) == (1, 0)


def test_grace_waits_for_late_trades():
    builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(grace_s=2.0))
    builder.add(trade(10))
    assert builder.add(trade(61.5)) == []
    assert builder.add(trade(59, size=7)) == []
    (bar,) = builder.add(trade(62))
    assert bar.volume == 107.0
    assert bar.known_ns == OPEN_NS + NS_PER_MINUTE
    assert builder.late == 0


def test_quotes_make_bars_of_their_middle():
    builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(source="quotes"))
    assert builder.add(trade(1, price=500.0)) == []
    builder.add(Quote("A", quote(2).known_ns, 10.0, 12.0, 1, 1))
    builder.add(Quote("A", quote(3).known_ns, 11.0, 12.0, 1, 1))
    builder.add(Quote("A", quote(4).known_ns, 9.0, 10.0, 1, 1))
    (bar,) = builder.add(minute_bar(1))
    assert bar[3:] == (11.0, 11.5, 9.5, 9.5, 0.0)


def test_what_quotes_display_may_stand_for_volume():
    """The mean of the thinner sides: a quote that comes again displays nothing more."""
    builder = BarBuilder(BarSize.M1, XNYS, AggregationSettings(source="quotes", volume="displayed"))
    for second, bid_size, ask_size in ((2, 300.0, 900.0), (3, 500.0, 100.0), (4, 500.0, 100.0), (5, 700.0, 700.0)):
        builder.add(Quote("A", quote(second).known_ns, 10.0, 12.0, bid_size, ask_size))
    (bar,) = builder.advance(OPEN_NS + NS_PER_MINUTE)
    assert bar.volume == (300.0 + 100.0 + 100.0 + 700.0) / 4


def test_only_one_kind_counts():
    """A feed that sends trades and their bars is not counted twice."""
    for source, volume in (("trades", 7.0), ("quotes", 0.0), ("bars", 100.0)):
        builder = BarBuilder(BarSize.M5, XNYS, AggregationSettings(source=source))
        for event in (quote(10), trade(20, size=7.0), minute_bar(0)):
            assert builder.add(event) == []
        (bar,) = builder.advance(OPEN_NS + 5 * NS_PER_MINUTE)
        assert bar.volume == volume


def test_what_is_out_of_session_makes_no_bar():
    builder = BarBuilder(BarSize.M5, XNYS)
    for at in (OPEN_NS - 1, CLOSE_NS, CLOSE_NS + 3600 * NS_PER_SECOND):
        assert builder.add(Trade("A", at, 10.0, 1.0)) == []
    assert builder.outside == 3
    assert builder.advance(CLOSE_NS + 7200 * NS_PER_SECOND) == []


def test_an_early_close_cuts_the_last_bar_short():
    early = to_ns(dt.datetime(2024, 7, 3, 16, 55, tzinfo=dt.UTC))  # 12:55 in New York, five minutes before the close
    builder = BarBuilder(BarSize.H1, XNYS)
    builder.add(Trade("A", early, 10.0, 1.0))
    (bar,) = builder.advance(early + 5 * NS_PER_MINUTE)
    assert bar.known_ns - bar.label_ns == 30 * NS_PER_MINUTE


def test_daily_bars_are_refused():
    with pytest.raises(ConfigurationError, match="'bar_size' must be intraday to be made of ticks, was '1d'"):
        BarBuilder(BarSize.D1, XNYS)
