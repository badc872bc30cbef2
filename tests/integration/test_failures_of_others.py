"""What went wrong in other engines, each under its name: it stays right here."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, TimeInForce, one_cancels_other
from support_sessions import Scripted, allocate, days, dividend, flat, free, minutes, run, split, steady

FLAT = (100.0, 100.0, 100.0, 100.0)
GTC = TimeInForce.GTC


def told(record):
    """(side, quantity, ideal price) of each fill."""
    return [(str(f.side), f.quantity, f.price_ideal) for f in record.fills]


def daily(bars, script, actions=(), **changes):
    return run(days({"A": bars}, actions=actions), Scripted(script), execution=free(**changes))


def test_the_same_liquidity_is_not_used_twice():
    """A tenth of 1000 units is 100: two strategies and three orders share it, the older first."""
    source = days({"A": [flat(100.0, 1000.0)] * 2})
    buy = {0: [OrderIntent.market("A", 60), OrderIntent.market("A", 60)]}
    record = run(
        source,
        allocate(Scripted(buy), "one"),
        allocate(Scripted({0: [OrderIntent.market("A", -60)]}), "two"),
        execution=free(max_bar_participation=0.1),
    )
    assert [(f.strategy, f.quantity) for f in record.fills] == [("one", 60), ("one", 40)]


def test_a_partial_fill_is_booked():
    record = daily([FLAT, flat(100.0, 40.0), FLAT], {0: [OrderIntent.market("A", 10)]}, max_bar_participation=0.1)
    assert told(record) == [("BUY", 4, 100)]
    assert record.account.cash[1] == 100_000 - 400
    assert record.account.net[1] == 400
    assert (str(record.orders[0].status), record.orders[0].filled_quantity) == ("EXPIRED", 4)


@pytest.mark.parametrize(
    ("change", "first"), [({"limit_price": 98.0}, "second"), ({"quantity": 20}, "second"), ({"quantity": 5}, "first")]
)
def test_the_place_in_the_queue_is_lost_by_asking_for_more_and_not_by_asking_for_less(change, first):
    """Two equal orders, volume for one of them: the older is served, unless it was refreshed."""
    script = {
        0: [OrderIntent.limit("A", 10, 98, time_in_force=GTC, tag="first"), OrderIntent.limit("A", 10, 98, time_in_force=GTC)],
        1: lambda _, context: [ReplaceIntent(context.open_orders[0].order_id, **change)],
    }
    script[0][1] = OrderIntent.limit("A", 10, 98, time_in_force=GTC, tag="second")
    if "limit_price" in change:
        script[0][0] = OrderIntent.limit("A", 10, 97, time_in_force=GTC, tag="first")
    record = daily([FLAT, FLAT, (100, 100, 96, 97, 50.0)], script, max_bar_participation=0.1)
    assert [f.tag for f in record.fills] == [first]


def test_a_stop_does_not_fill_at_a_level_that_the_market_gapped_through():
    script = {0: [OrderIntent.market("A", 10)], 1: [OrderIntent.stop("A", -10, 95, time_in_force=GTC)]}
    assert told(daily([FLAT, FLAT, (88, 90, 85, 89)], script))[1:] == [("SELL", 10, 88)]


def test_an_oco_sibling_does_not_fill_beside_the_first():
    """Both legs lie in the bar, and a cancel would be on its way: the venue ends the sibling with the fill itself."""
    legs = one_cancels_other(OrderIntent.stop("A", 10, 103), OrderIntent.stop("A", -10, 97))
    slow = {"latency": {"mean_ms": 500, "std_ms": 0}}
    record = run(
        minutes({"A": [FLAT, FLAT, (100, 105, 95, 100), (100, 105, 95, 100)]}), Scripted({0: legs}), execution=free(**slow)
    )
    assert len(record.fills) == 1
    assert sorted(str(o.status) for o in record.orders) == ["CANCELLED", "FILLED"]


def test_a_cancel_that_loses_the_race_is_told_as_a_fill_and_not_as_both():
    slow = {"latency": {"mean_ms": 500, "std_ms": 0}}
    script = {
        0: [OrderIntent.limit("A", 10, 95, time_in_force=GTC)],
        1: lambda _, context: [CancelIntent(context.open_orders[0].order_id)],
    }
    strategy = Scripted(script)
    record = run(minutes({"A": [FLAT, FLAT, (94, 95, 93, 94), FLAT]}), strategy, execution=free(**slow))
    heard = [entry[2] for entry in strategy.heard if entry[0] == "order"]
    assert heard == ["SUBMITTED", "ACKNOWLEDGED", "PENDING_CANCEL", "FILLED"]
    assert record.account.net[-1] == 1000


def test_entry_and_exit_in_one_bar_are_both_booked():
    entry = OrderIntent.market("A", 10).with_exits(take_profit=105, stop_loss=95)
    record = daily([FLAT, (100, 107, 99, 106), FLAT], {0: [entry]})
    assert told(record) == [("BUY", 10, 100), ("SELL", 10, 105)]
    assert record.account.cash[1] == 100_050
    assert record.account.gross[1] == 0


def test_no_fill_at_a_price_of_yesterday():
    """The symbol does not trade for two days: the order waits for a price of its own."""
    source = days({"A": [FLAT, None, None, (90, 91, 89, 90)], "B": steady(4)})
    record = run(source, Scripted({0: [OrderIntent.market("A", 10, time_in_force=GTC)]}))
    assert told(record) == [("BUY", 10, 90)]
    assert record.fills[0].ts_ns == source.known_ns[3]


def test_a_touch_is_no_fill_unless_it_is_asked_for():
    script = {0: [OrderIntent.limit("A", 10, 95)]}
    bars = [FLAT, (100, 101, 95, 100)]
    assert told(daily(bars, script)) == []
    assert told(daily(bars, script, limit_fill_on_touch=True)) == [("BUY", 10, 95)]


def test_a_split_between_decision_and_fill_scales_the_order():
    record = daily([FLAT, flat(50.0)], {0: [OrderIntent.market("A", 10)]}, [split("A", 1, 2.0)])
    assert told(record) == [("BUY", 20, 50)]
    assert record.orders[0].decision == (10, None, None)


def test_a_dividend_is_paid_by_the_short():
    record = daily([FLAT, FLAT, flat(98.0)], {0: [OrderIntent.market("A", -10)]}, [dividend("A", 2, 2.0)])
    assert record.account.cash[-1] == 100_000 + 1000 - 20
    assert record.account.equity[-1] == 100_000


def test_a_good_till_cancelled_order_is_restated_across_a_split():
    resting = OrderIntent.limit("A", 10, 90, time_in_force=GTC)
    record = daily([FLAT, FLAT, flat(50.0), (50, 50, 44, 46)], {0: [resting]}, [split("A", 2, 2.0)])
    assert told(record) == [("BUY", 20, 45)]


def test_a_bracket_waiting_for_its_entry_is_restated_across_a_split():
    entry = OrderIntent.limit("A", 10, 90, time_in_force=GTC).with_exits(take_profit=120, stop_loss=80)
    bars = [FLAT, FLAT, flat(50.0), (50, 50, 44, 46), (46, 46, 39, 41)]
    assert told(daily(bars, {0: [entry]}, [split("A", 2, 2.0)])) == [("BUY", 20, 45), ("SELL", 20, 40)]


def test_a_protective_stop_is_checked_on_the_entry_bar():
    record = daily([FLAT, (100, 101, 94, 99)], {0: [OrderIntent.market("A", 10).with_exits(stop_loss=95)]})
    assert told(record) == [("BUY", 10, 100), ("SELL", 10, 95)]


def test_a_bar_with_both_levels_takes_the_loss():
    record = daily(
        [FLAT, FLAT, (100, 106, 94, 105)], {0: [OrderIntent.market("A", 10).with_exits(take_profit=105, stop_loss=95)]}
    )
    assert told(record) == [("BUY", 10, 100), ("SELL", 10, 95)]


def test_a_trailing_stop_does_not_fill_at_an_open_that_came_before_the_high_that_raised_it():
    """The high of 120 would put the stop at 115, above the open of 101: that open is not a fill of it."""
    script = {0: [OrderIntent.market("A", 10)], 1: [OrderIntent.trailing_stop("A", -10, amount=5)]}
    record = daily([FLAT, FLAT, (101, 120, 100, 118), (118, 119, 114, 116)], script)
    assert told(record)[1:] == [("SELL", 10, 115)]
    assert record.fills[1].ts_ns == record.account.ts_ns[3]


def test_a_limit_is_not_filled_at_a_low_that_was_already_seen():
    """A short is entered by a stop on the way down; its target below may be reached, one above the entry may not have been.

    A long entered by a stop at 103 has a follower that buys at 98: the low of 97 came, or may have come, before.
    """
    entry = OrderIntent.stop("A", 10, 103).then(OrderIntent.limit("A", 10, 98, time_in_force=GTC))
    record = daily([FLAT, (100, 105, 97, 104), FLAT], {0: [entry]})
    assert told(record) == [("BUY", 10, 103)]
    again = daily([FLAT, (100, 105, 97, 104), (104, 104, 97, 98)], {0: [entry]})
    assert told(again) == [("BUY", 10, 103), ("BUY", 10, 98)]


def test_equity_is_cash_and_positions_in_all_of_these():
    entry = OrderIntent.market("A", 10).with_exits(take_profit=105, stop_loss=95)
    record = daily([FLAT, (100, 101, 99, 100), (100, 106, 94, 100)], {0: [entry]})
    np.testing.assert_array_equal(record.account.cash + record.account.net, record.account.equity)
