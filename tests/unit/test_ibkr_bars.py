"""How history is asked for at Interactive Brokers, and how often it may be."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import DataError
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND
from fairlead.data.vendors.ibkr.bars import bar_of, days_text, end_text, opening_ns, seconds_text, session_of
from fairlead.data.vendors.ibkr.messages import BarTold
from fairlead.data.vendors.ibkr.pacing import MOST_OPEN, HistoricalPacing

OPEN_S = 1_704_205_800


def told(stamp):
    return BarTold(1, stamp, 1.0, 3.0, 0.5, 2.0, -1.0)


def test_how_bars_are_asked_for():
    assert end_text(OPEN_S * NS_PER_SECOND) == "20240102-14:30:00"
    assert (days_text(1), days_text(365), days_text(366), days_text(731)) == ("1 D", "365 D", "2 Y", "3 Y")
    since = OPEN_S * NS_PER_SECOND
    assert seconds_text(since, since + 1) == "60 S"
    assert seconds_text(since, since + 90 * NS_PER_SECOND + 1) == "91 S"
    assert seconds_text(since, since + 86_401 * NS_PER_SECOND) == "3 D"


def test_how_bars_are_told():
    assert opening_ns(told(str(OPEN_S))) == OPEN_S * NS_PER_SECOND
    assert session_of(told("20240102")) == dt.date(2024, 1, 2)
    label = OPEN_S * NS_PER_SECOND
    assert bar_of(told(str(OPEN_S)), "A", NS_PER_MINUTE) == Bar("A", label, label + NS_PER_MINUTE, 1.0, 3.0, 0.5, 2.0, 0.0)


@pytest.mark.parametrize("read", [opening_ns, session_of])
def test_a_stamp_that_is_none_is_refused(read):
    with pytest.raises(DataError, match="stamp must be"):
        read(told("yesterday"))


def sent(pacing, now_s, symbol="A", request="x", what="TRADES"):
    """Send a request if it may be sent now; return how long it would have to wait otherwise."""
    wait = pacing.wait_s(now_s, symbol, request, what)
    if wait <= 0:
        pacing.begin(now_s, symbol, request, what)
        pacing.end()
    return max(wait, 0.0)


def test_nothing_identical_within_fifteen_seconds():
    pacing = HistoricalPacing()
    assert sent(pacing, 0.0) == 0
    assert sent(pacing, 5.0) == 10.0
    assert sent(pacing, 5.0, request="y") == 0
    assert sent(pacing, 15.0) == 0


def test_fewer_than_six_for_one_contract_within_two_seconds():
    pacing = HistoricalPacing()
    assert [sent(pacing, 0.0, request=i) for i in range(5)] == [0] * 5
    assert sent(pacing, 0.5, request=5) == 1.5
    assert sent(pacing, 0.5, symbol="B", request=5) == 0
    assert sent(pacing, 2.0, request=5) == 0


def test_sixty_in_ten_minutes():
    pacing = HistoricalPacing()
    assert [sent(pacing, float(i), symbol=f"S{i}") for i in range(60)] == [0] * 60
    assert sent(pacing, 60.0, symbol="S60") == 540.0
    assert sent(pacing, 600.0, symbol="S60") == 0


def test_bid_ask_counts_twice():
    pacing = HistoricalPacing()
    assert [sent(pacing, float(i), symbol=f"S{i}", what="BID_ASK") for i in range(30)] == [0] * 30
    assert sent(pacing, 30.0, symbol="T") == 570.0
    other = HistoricalPacing()
    assert [sent(other, float(i), symbol=f"S{i}") for i in range(59)] == [0] * 59
    assert sent(other, 59.0, symbol="T", what="BID_ASK") == 541.0  # there is room for one, not for two
    assert sent(other, 59.0, symbol="T") == 0


def test_fifty_may_be_open():
    pacing = HistoricalPacing()
    for i in range(MOST_OPEN):
        assert not pacing.is_full
        pacing.begin(float(i * 100), f"S{i}", i)
    assert pacing.is_full
    pacing.end()
    assert not pacing.is_full


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from("ABC"), st.integers(0, 3), st.sampled_from(["TRADES", "BID_ASK"])),
        max_size=150,
    )
)
def test_whoever_waits_as_told_breaks_no_limit(requests):
    pacing, now, log = HistoricalPacing(), 0.0, []
    for gap, symbol, request, what in requests:
        now += gap
        for _ in range(3):
            wait = pacing.wait_s(now, symbol, request, what)
            if wait <= 0:
                break
            now += wait + 1e-6
        assert pacing.wait_s(now, symbol, request, what) <= 0
        pacing.begin(now, symbol, request, what)
        pacing.end()
        log.append((now, symbol, request, what))

    def weight(within, chosen):
        return sum(2 if what == "BID_ASK" else 1 for at, *key, what in log if now - at < within and chosen(*key, what))

    assert weight(600.0, lambda *_: True) <= 60
    _, symbol, request, what = log[-1] if log else (0.0, "", 0, "")
    assert weight(2.0, lambda one, *_: one == symbol) < 6 or not log
    same = [at for at, *key in log if key == [symbol, request, what] and now - at < 15.0]
    assert len(same) <= 1
