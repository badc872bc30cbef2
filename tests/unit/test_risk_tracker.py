"""What guards must remember: equity, losers, orders and keys; saved and restored."""

from __future__ import annotations

import json

import pytest

from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND
from fairlead.risk.guards import RiskTracker


def counters(tracker, now=0, strategy="s", symbol="A"):
    return tracker.counters(strategy, symbol, now)


def closed_trade(tracker, net, *, session=1, symbol="A", commission=0.0):
    """Open and close a position that brings `net` before commission."""
    tracker.filled(session, "s", symbol, closed=0.0, left=10.0, realised=0.0, commission=commission)
    tracker.filled(session, "s", symbol, closed=1.0, left=0.0, realised=net, commission=commission)


def test_a_session_begins_with_what_the_one_before_ended_with():
    tracker = RiskTracker(100.0)
    for session, equity in ((1, 101.0), (1, 99.0), (2, 90.0), (2, 95.0)):
        tracker.mark(session, equity)
    found = counters(tracker)
    assert (found.session_start_equity, found.peak_equity) == (99.0, 101.0)


def test_money_paid_in_or_out_is_neither_profit_nor_loss():
    tracker = RiskTracker(100.0)
    tracker.mark(1, 110.0)
    tracker.cash_flow(-50.0)
    tracker.mark(1, 60.0)
    found = counters(tracker)
    assert (found.session_start_equity, found.peak_equity) == (50.0, 60.0)


def test_arming_anew_forgets_the_peak():
    tracker = RiskTracker(100.0)
    tracker.mark(1, 70.0)
    closed_trade(tracker, -1.0)
    tracker.rearm()
    assert (counters(tracker).peak_equity, counters(tracker).losers_in_a_row) == (70.0, 0)


def test_losers_in_a_row_end_with_a_winner_and_with_the_session():
    tracker = RiskTracker(100.0)
    closed_trade(tracker, -1.0)
    closed_trade(tracker, -1.0)
    assert counters(tracker).losers_in_a_row == 2
    closed_trade(tracker, 1.0)
    assert counters(tracker).losers_in_a_row == 0
    closed_trade(tracker, 1.0, commission=0.6)  # what it costs makes it a loser
    assert counters(tracker).losers_in_a_row == 1
    tracker.enter(2)
    assert counters(tracker).losers_in_a_row == 0


def test_a_position_is_one_loser_however_many_fills_close_it():
    tracker = RiskTracker(100.0)
    tracker.filled(1, "s", "A", closed=0.0, left=10.0, realised=0.0, commission=0.0)
    tracker.filled(1, "s", "A", closed=1.0, left=5.0, realised=-3.0, commission=0.0)
    assert counters(tracker).losers_in_a_row == 0
    tracker.filled(1, "s", "A", closed=1.0, left=0.0, realised=1.0, commission=0.0)
    assert counters(tracker).losers_in_a_row == 1


def test_a_position_that_turns_round_is_closed_and_another_opened():
    tracker = RiskTracker(100.0)
    tracker.filled(1, "s", "A", closed=0.0, left=10.0, realised=0.0, commission=1.0)
    tracker.filled(1, "s", "A", closed=0.5, left=-10.0, realised=-2.0, commission=1.0)
    assert counters(tracker).losers_in_a_row == 1
    tracker.filled(1, "s", "A", closed=1.0, left=0.0, realised=0.4, commission=0.0)
    assert counters(tracker).losers_in_a_row == 2  # half a commission came with it


def test_orders_are_counted_for_a_minute_by_strategy_and_symbol():
    tracker = RiskTracker(100.0)
    for i, symbol in enumerate("AAB"):
        tracker.sent("s", symbol, f"k{i}", i * NS_PER_SECOND)
    assert (counters(tracker, 2 * NS_PER_SECOND).orders_of_pair, counters(tracker).orders_of_all) == (2, 3)
    assert counters(tracker, NS_PER_MINUTE).orders_of_pair == 1  # a minute ago is not within the minute
    assert counters(tracker, NS_PER_MINUTE - 1).orders_of_pair == 2
    assert counters(tracker, strategy="t").orders_of_pair == 0
    assert "k1" in counters(tracker).keys
    assert "k9" not in counters(tracker).keys


def test_a_tracker_that_was_saved_goes_on_as_if_nothing_had_happened():
    tracker = RiskTracker(100.0)
    tracker.mark(1, 120.0)
    tracker.mark(2, 110.0)
    closed_trade(tracker, -1.0, session=2)
    tracker.filled(2, "s", "B", closed=0.0, left=3.0, realised=0.0, commission=2.0)
    tracker.sent("s", "A", "k0", NS_PER_SECOND)
    again = RiskTracker(0.0)
    again.load_state(json.loads(json.dumps(tracker.save_state())))
    assert again.save_state() == tracker.save_state()
    for each in (tracker, again):
        each.filled(2, "s", "B", closed=1.0, left=0.0, realised=1.0, commission=0.0)
        each.mark(3, 90.0)
    found = counters(again, 2 * NS_PER_SECOND)
    assert found == counters(tracker, 2 * NS_PER_SECOND)
    assert (found.session_start_equity, found.peak_equity, found.orders_of_pair) == (110.0, 120.0, 1)


def test_a_state_of_another_version_is_refused():
    with pytest.raises(ContractError, match="'version of the tracker's state' must be 1, was 2"):
        RiskTracker(0.0).load_state({**RiskTracker(0.0).save_state(), "version": 2})


def test_the_last_order_of_a_pair_is_remembered_however_long_ago():
    tracker = RiskTracker(1.0)
    tracker.sent("s", "A", "k1", 7)
    tracker.sent("s", "A", "k2", 9)
    tracker.sent("t", "A", "k3", 11)
    late = 500 * NS_PER_MINUTE
    assert [counters(tracker, late, *pair).last_sent_ns for pair in (("s", "A"), ("t", "A"), ("s", "B"))] == [9, 11, None]
    other = RiskTracker(1.0)
    other.load_state(json.loads(json.dumps(tracker.save_state())))
    assert counters(other, late).last_sent_ns == 9
