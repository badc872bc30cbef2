"""Brackets, OCO sets, followers, trailing stops, auctions, reduce-only, replacements: through the engine, by hand.

Bars are (open, high, low, close). An order decided at the close of bar i meets bar i + 1.
"""

from __future__ import annotations

import pytest

from fairlead.core.errors import ContractError
from fairlead.core.exits import Exits
from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, TimeInForce, one_cancels_other
from support_sessions import Scripted, days, free, minutes, run

FLAT = (100.0, 100.0, 100.0, 100.0)


def fills(record):
    """(row, side, quantity, price) of each fill; rows count from the first bar."""
    first = list(record.account.ts_ns)
    return [(first.index(f.ts_ns), str(f.side), f.quantity, f.price_ideal) for f in record.fills]


def ends(record):
    """(role or kind, status, reason) of every order."""
    return [(str(o.role) or str(o.order_type).lower(), str(o.status), o.reason) for o in record.orders]


def daily(bars, script, **changes):
    return run(days({"A": bars}), Scripted(script), execution=free(**changes))


def bracket(quantity=10, **exits):
    return OrderIntent.market("A", quantity).with_exits(**exits)


# --- brackets ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bars", "expected", "last"),
    [
        # The entry bar touches nothing; the next one the target.
        ([(100, 102, 99, 101), (101, 106, 100, 105)], [(1, "BUY", 10, 100), (2, "SELL", 10, 105)], "oco"),
        # The stop in the entry bar.
        ([(100, 102, 94, 101), FLAT], [(1, "BUY", 10, 100), (1, "SELL", 10, 95)], "oco"),
        # The target in the entry bar: after the open all of the bar comes later.
        ([(100, 106, 99, 101), FLAT], [(1, "BUY", 10, 100), (1, "SELL", 10, 105)], "oco"),
        # Both in the entry bar, and both in a later one: the loss.
        ([(100, 106, 94, 101), FLAT], [(1, "BUY", 10, 100), (1, "SELL", 10, 95)], "oco"),
        ([(100, 102, 99, 101), (101, 106, 94, 100)], [(1, "BUY", 10, 100), (2, "SELL", 10, 95)], "oco"),
        # Gaps: beyond the stop at the open, beyond the target at the open.
        ([(100, 102, 99, 101), (90, 106, 89, 100)], [(1, "BUY", 10, 100), (2, "SELL", 10, 90)], "oco"),
        ([(100, 102, 99, 101), (110, 112, 94, 100)], [(1, "BUY", 10, 100), (2, "SELL", 10, 110)], "oco"),
        # The entry itself gaps beyond an exit: out again at the same open, flat before costs.
        ([(107, 108, 106, 107), FLAT], [(1, "BUY", 10, 107), (1, "SELL", 10, 107)], "oco"),
        ([(93, 96, 92, 94), FLAT], [(1, "BUY", 10, 93), (1, "SELL", 10, 93)], "oco"),
    ],
)
def test_a_bracket_ends_at_one_of_its_exits(bars, expected, last):
    record = daily([FLAT, *bars, FLAT], {0: [bracket(take_profit=105, stop_loss=95)]})
    assert fills(record) == expected
    assert [o.status for o in record.orders].count("FILLED") == 2
    assert sorted(o.reason for o in record.orders) == ["", "", last]


def test_a_short_bracket_is_the_mirror():
    record = daily([FLAT, (100, 106, 94, 101), FLAT], {0: [bracket(-10, take_profit=95, stop_loss=105)]})
    assert fills(record) == [(1, "SELL", 10, 100), (1, "BUY", 10, 105)]


def test_exits_are_told_from_the_entry_in_the_record():
    record = daily([FLAT, FLAT, (100, 106, 99, 101)], {0: [bracket(take_profit=105, stop_loss=95)]})
    entry, stop, target = record.orders
    assert {stop.parent_id, target.parent_id} == {entry.order_id}
    assert (str(stop.role), str(target.role)) == ("stop_loss", "take_profit")
    assert len({o.order_id for o in record.orders}) == len({o.idempotency_key for o in record.orders}) == 3
    assert stop.reduce_only
    assert target.reduce_only


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        # The high may have come before the low that filled the entry: only a close beyond the target proves it.
        (99.0, [(1, "BUY", 10, 97)]),
        (106.0, [(1, "BUY", 10, 97), (1, "SELL", 10, 105)]),
    ],
)
def test_a_target_is_not_filled_by_a_high_that_may_have_come_before_a_limit_entry(close, expected):
    entry = OrderIntent.limit("A", 10, 97).with_exits(take_profit=105, stop_loss=90)
    record = daily([FLAT, (100, 107, 96, close)], {0: [entry]})
    assert fills(record) == expected


def test_a_stop_entry_comes_before_its_target_and_its_stop_is_taken_to_come_after_it():
    entry = OrderIntent.stop("A", 10, 102).with_exits(take_profit=105, stop_loss=98)
    assert fills(daily([FLAT, (100, 106, 99, 104)], {0: [entry]})) == [(1, "BUY", 10, 102), (1, "SELL", 10, 105)]
    # The low may have come first; it is taken to have come after.
    assert fills(daily([FLAT, (100, 104, 97, 103)], {0: [entry]})) == [(1, "BUY", 10, 102), (1, "SELL", 10, 98)]


def test_exits_in_the_entry_bar_are_an_option():
    record = daily([FLAT, (100, 106, 94, 101), FLAT], {0: [bracket(take_profit=105, stop_loss=95)]}, allow_same_bar_exit=False)
    assert fills(record) == [(1, "BUY", 10, 100)]


def test_exits_grow_with_the_fills_of_the_entry():
    """A volume of 40 at a tenth gives 4 a bar: the stop always protects what is held."""
    bars = [(100, 101, 99, 100, 40.0)] * 4 + [(100, 101, 94, 96, 1000.0)]
    entry = OrderIntent.market("A", 10, time_in_force=TimeInForce.GTC).with_exits(take_profit=120, stop_loss=95)
    record = daily(bars, {0: [entry]}, max_bar_participation=0.1)
    assert fills(record) == [(1, "BUY", 4, 100), (2, "BUY", 4, 100), (3, "BUY", 2, 100), (4, "SELL", 10, 95)]


def test_what_one_exit_fills_in_part_is_taken_off_the_other():
    """Cancelling the stop at the first share of the target would leave the rest of the position without protection."""
    bars = [FLAT, FLAT, (100, 106, 99, 104, 40.0), (104, 104, 94, 95, 1000.0), FLAT]
    record = daily(bars, {0: [bracket(take_profit=105, stop_loss=96)]}, max_bar_participation=0.1)
    assert fills(record) == [(1, "BUY", 10, 100), (2, "SELL", 4, 105), (3, "SELL", 6, 96)]


def test_an_exit_that_begins_ends_the_rest_of_the_entry():
    """Four of ten are bought at 98; then the stop is reached on the way down to where the others would be."""
    bars = [FLAT, (100, 101, 97, 100, 40.0), (99, 101, 94, 95, 1000.0), FLAT]
    entry = OrderIntent.limit("A", 10, 98, time_in_force=TimeInForce.GTC).with_exits(stop_loss=95)
    record = daily(bars, {0: [entry]}, max_bar_participation=0.1)
    assert fills(record) == [(1, "BUY", 4, 98), (2, "SELL", 4, 95)]
    assert ends(record)[0] == ("limit", "CANCELLED", "oco")


def test_exits_end_when_the_position_is_closed_otherwise():
    record = daily([FLAT] * 5, {0: [bracket(take_profit=105, stop_loss=95)], 2: [OrderIntent.market("A", -10)]})
    assert fills(record) == [(1, "BUY", 10, 100), (3, "SELL", 10, 100)]
    assert [o.reason for o in record.orders if o.role] == ["position_closed"] * 2


def test_exits_never_turn_a_position_round():
    script = {0: [bracket(take_profit=105, stop_loss=95)], 2: [OrderIntent.market("A", -6)]}
    record = daily([FLAT, FLAT, FLAT, FLAT, (100, 101, 90, 92), FLAT], script)
    assert fills(record)[-1] == (4, "SELL", 4, 95)
    assert record.account.gross[-1] == 0


def test_what_waits_for_an_entry_that_never_comes_ends_with_it():
    record = daily([FLAT] * 4, {0: [OrderIntent.limit("A", 10, 90).with_exits(stop_loss=80)]})
    assert ends(record) == [("limit", "EXPIRED", "day_end"), ("stop_loss", "CANCELLED", "parent_ended")]


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        (lambda: OrderIntent.limit("A", 10, 100).with_exits(take_profit=99), "have stop_loss < entry < take_profit"),
        (lambda: OrderIntent.limit("A", -10, 100).with_exits(stop_loss=99), "have take_profit < entry < stop_loss"),
        (lambda: OrderIntent.market("A", 10).with_exits(take_profit=90, stop_loss=95), "have stop_loss < entry < take_profit"),
        (lambda: OrderIntent.market("A", 10).with_exits(), "have a take_profit, a stop_loss or a trail"),
        (lambda: Exits(take_profit=-1), "'take_profit' must be a finite price above 0"),
        (lambda: OrderIntent.trailing_stop("A", -10), "in currency or in percent, one of them"),
        (lambda: OrderIntent.trailing_stop("A", -10, amount=1, percent=1), "one of them"),
        (lambda: OrderIntent.trailing_stop("A", -10, percent=100), "below 100 in percent"),
        (lambda: OrderIntent.stop("A", 1, 5, time_in_force=TimeInForce.OPG), "be a market or limit order"),
        (lambda: one_cancels_other(OrderIntent.market("A", 1)), "at least two intents"),
        (lambda: ReplaceIntent("x"), "change something"),
        (lambda: ReplaceIntent("x", quantity=0), "'quantity' must be a finite number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_said(intent, text):
    with pytest.raises(ContractError, match=text):
        intent()


# --- one cancels other, followers -------------------------------------------------------------------------------------------


def straddle():
    return one_cancels_other(OrderIntent.stop("A", 10, 103), OrderIntent.stop("A", -10, 96))


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((100, 104, 97, 103), [(1, "BUY", 10, 103)]),
        ((100, 101, 95, 96), [(1, "SELL", 10, 96)]),
        # Both in one bar: the one nearer to the open; a gap decides; a tie goes to the buy (domain rule R5).
        ((100, 104, 95, 100), [(1, "BUY", 10, 103)]),
        ((99, 104, 95, 100), [(1, "SELL", 10, 96)]),
        ((95, 104, 94, 100), [(1, "SELL", 10, 95)]),
        ((99.5, 104, 95, 100), [(1, "BUY", 10, 103)]),
    ],
)
def test_of_a_set_one_fills_and_the_others_end(bar, expected):
    record = daily([FLAT, bar, (100, 110, 90, 100)], {0: straddle()})
    assert fills(record) == expected
    assert sorted(ends(record)) == [("stop", "CANCELLED", "oco"), ("stop", "FILLED", "")]
    assert len({o.oco_id for o in record.orders}) == 1


def test_a_bar_with_both_may_fill_neither():
    record = daily([FLAT, (100, 104, 95, 100), FLAT], {0: straddle()}, oco_same_bar="no_fill")
    assert record.fills == []
    assert ends(record) == [("stop", "CANCELLED", "ambiguous_no_fill")] * 2


def test_a_fill_in_part_is_a_first_fill():
    record = daily([FLAT, (100, 104, 99, 103, 40.0), (100, 110, 90, 95)], {0: straddle()}, max_bar_participation=0.1)
    assert [f[1:] for f in fills(record)] == [("BUY", 4, 103)]
    assert ("stop", "CANCELLED", "oco") in ends(record)


def test_sets_of_one_decision_do_not_touch_each_other():
    first = one_cancels_other(OrderIntent.limit("A", 1, 99), OrderIntent.limit("A", 1, 98), name="one")
    second = one_cancels_other(OrderIntent.limit("A", 1, 97), OrderIntent.limit("A", 1, 96), name="two")
    record = daily([FLAT, (100, 100, 97.5, 98), FLAT], {0: [*first, *second]})
    assert [o.reason for o in record.orders] == ["", "oco", "day_end", "day_end"]


def test_followers_are_ordered_when_the_first_is_filled():
    pair = OrderIntent.market("A", 10).then(OrderIntent.limit("A", -5, 104), OrderIntent.stop("A", -5, 95))
    record = daily([FLAT, (100, 105, 99, 104), FLAT], {0: [pair]})
    assert fills(record) == [(1, "BUY", 10, 100), (1, "SELL", 5, 104)]
    assert [str(o.role) for o in record.orders] == ["", "follower", "follower"]
    never = daily([FLAT, FLAT, FLAT], {0: [OrderIntent.limit("A", 10, 90).then(OrderIntent.market("A", -5))]})
    assert ends(never)[1] == ("follower", "CANCELLED", "parent_ended")


# --- trailing stops, auctions, adaptive, reduce-only ------------------------------------------------------------------------


def test_a_trailing_stop_follows_the_high_from_the_next_bar_on():
    script = {0: [OrderIntent.market("A", 10)], 1: [OrderIntent.trailing_stop("A", -10, amount=5)]}
    bars = [FLAT, FLAT, (100, 108, 99, 107), (107, 109, 104, 105), (105, 106, 103.5, 104), FLAT]
    # Behind the open 95; after the high of 108: 103; after 109: 104, which the next bar's low reaches.
    assert fills(daily(bars, script))[1:] == [(4, "SELL", 10, 104)]


def test_a_trail_in_percent_and_of_a_short():
    script = {0: [OrderIntent.market("A", -10)], 1: [OrderIntent.trailing_stop("A", 10, percent=4)]}
    bars = [FLAT, FLAT, (100, 101, 90, 91), (91, 94, 90.5, 93), FLAT]
    # 4 % above the low of 90 is 93.60.
    assert fills(daily(bars, script))[1:] == [(3, "BUY", 10, 93.6)]


def test_a_bracket_may_trail():
    record = daily([FLAT, (100, 110, 99, 109), (109, 110, 104, 106)], {0: [bracket(trail_amount=5)]})
    assert fills(record) == [(1, "BUY", 10, 100), (2, "SELL", 10, 105)]


def test_auctions_of_daily_bars():
    script = {0: [OrderIntent.on_open("A", 10)], 1: [OrderIntent.on_close("A", -4)]}
    bars = [FLAT, (101, 103, 99, 102), (103, 105, 101, 104), FLAT]
    assert fills(daily(bars, script)) == [(1, "BUY", 10, 101), (2, "SELL", 4, 104)]


@pytest.mark.parametrize(("limit", "filled"), [(102, True), (101, False), (100, False)])
def test_a_limit_on_open_meets_the_auction_alone(limit, filled):
    record = daily([FLAT, (101, 103, 95, 102), FLAT], {0: [OrderIntent.on_open("A", 10, limit_price=limit)]})
    assert bool(record.fills) is filled
    if not filled:
        assert ends(record) == [("limit", "EXPIRED", "auction_over")]


def test_auctions_of_minutes_wait_for_the_first_and_the_last_bar_of_a_session():
    """New York on a winter day: 390 minutes from 14:30 UTC."""
    n = 390
    bars = {"A": [(100 + i, 100.5 + i, 99.5 + i, 100.2 + i, 1e6) for i in range(2 * n)]}
    source = minutes(bars, first_day=19732)  # 10 January 2024
    script = {5: [OrderIntent.on_close("A", 10)], 6: [OrderIntent.on_open("A", 20)]}
    record = run(source, Scripted(script))
    assert fills(record) == [(n - 1, "BUY", 10, 100.2 + n - 1), (n, "BUY", 20, 100.0 + n)]


def test_a_day_order_ends_with_the_bar_that_closes_its_session():
    n = 390
    bars = {"A": [(100, 101, 99, 100, 1e6)] * (n + 2)}
    record = run(minutes(bars, first_day=19732), Scripted({5: [OrderIntent.limit("A", 1, 50)]}))
    assert ends(record) == [("limit", "EXPIRED", "day_end")]
    assert record.updates[-1].ts_ns == record.account.ts_ns[n - 1]


@pytest.mark.parametrize(
    ("quantity", "bar", "price"),
    [(10, (100, 103, 99, 102), 304 / 3), (10, (100, 101, 95, 96), 100), (-10, (100, 101, 95, 96), 292 / 3)],
)
def test_an_adaptive_order_takes_the_bars_typical_price_and_never_better_than_its_open(quantity, bar, price):
    record = daily([FLAT, bar], {0: [OrderIntent.adaptive("A", quantity)]})
    assert record.fills[0].price_ideal == pytest.approx(price, rel=1e-12)


def test_reduce_only_takes_no_more_than_there_is():
    reduce = OrderIntent(symbol="A", amount=-30, reduce_only=True)
    assert fills(daily([FLAT] * 4, {0: [OrderIntent.market("A", 10)], 1: [reduce]}))[1:] == [(2, "SELL", 10, 100)]
    assert ends(daily([FLAT] * 3, {0: [reduce]})) == [("market", "CANCELLED", "nothing_to_reduce")]


# --- replace and cancel -----------------------------------------------------------------------------------------------------


def change(**fields):
    return lambda _, context: [ReplaceIntent(context.open_orders[0].order_id, **fields)]


def test_a_replacement_changes_price_and_size():
    resting = OrderIntent.limit("A", 10, 90, time_in_force=TimeInForce.GTC)
    record = daily([FLAT, FLAT, (100, 100, 94, 96)], {0: [resting], 1: change(limit_price=95, quantity=7)})
    assert fills(record) == [(2, "BUY", 7, 95)]
    assert [u.reason for u in record.updates] == ["", "", "replaced", ""]


@pytest.mark.parametrize(
    ("fields", "reason"), [({"stop_price": 95}, "replace_rejected"), ({"quantity": 0.4}, "replace_rejected")]
)
def test_a_replacement_that_does_not_fit_leaves_the_order_alone(fields, reason):
    resting = OrderIntent.limit("A", 10, 90, time_in_force=TimeInForce.GTC)
    record = daily([FLAT, FLAT, (100, 100, 89, 96)], {0: [resting], 1: change(**fields)})
    assert fills(record) == [(2, "BUY", 10, 90)]
    assert reason in [u.reason for u in record.updates]


def test_a_cancel_on_its_way_may_lose_the_race_to_the_open_and_to_nothing_later():
    """A cancel takes 10 ms. The open of the next minute comes before it, the low inside that minute after it."""
    slow = {"latency": {"mean_ms": 10, "std_ms": 0}}
    take_back = lambda _, context: [CancelIntent(context.open_orders[0].order_id)]  # noqa: E731  a script is a function
    script = {0: [OrderIntent.limit("A", 10, 95, time_in_force=TimeInForce.GTC)], 2: take_back}
    calm = (100, 101, 99, 100)
    lost = run(minutes({"A": [calm, calm, calm, (94, 96, 93, 95), calm]}), Scripted(script), execution=free(**slow))
    assert fills(lost) == [(3, "BUY", 10, 94)]
    assert [str(u.status) for u in lost.updates][-2:] == ["PENDING_CANCEL", "FILLED"]
    won = run(minutes({"A": [calm, calm, calm, (96, 97, 93, 95), calm]}), Scripted(script), execution=free(**slow))
    assert won.fills == []
    assert [str(u.status) for u in won.updates][-2:] == ["PENDING_CANCEL", "CANCELLED"]


def test_an_order_that_arrives_in_the_middle_of_a_bar_was_not_there_at_its_open():
    """Thirty seconds on the way: the open of that minute is a stale price."""
    slow = free(latency={"mean_ms": 30_000, "std_ms": 0})
    bars = [FLAT, (100, 104, 98, 103), (103, 103, 103, 103)]
    assert fills(run(minutes({"A": bars}), Scripted({0: [OrderIntent.market("A", 1)]}), execution=slow)) == [(1, "BUY", 1, 103)]
    limit = {0: [OrderIntent.limit("A", 1, 99, time_in_force=TimeInForce.GTC)]}
    assert fills(run(minutes({"A": bars}), Scripted(limit), execution=slow)) == []
