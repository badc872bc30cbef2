"""Strategies decide at the closes of bars; their orders meet the quotes and prints between them."""

from __future__ import annotations

import math

import pytest

from fairlead.core.orders import TimeInForce
from fairlead.core.time import NS_PER_DAY
from fairlead.sdk import CancelIntent, OrderIntent, ReplaceIntent, one_cancels_other
from support_sessions import FIRST_DAY, Scripted, allocate, free, minutes, run
from support_ticks import OPEN_NS, at, on_ticks, quiet_bars, quote, trade, write_ticks

GTC, DAY, IOC, FOK = TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK
SECOND = 1_000_000_000
N = 10


@pytest.fixture
def play(tmp_path):
    """Run a script over quiet bars with ticks between them; the first decision is made at minute 1."""

    def played(script, ticks, fidelity="quotes", *, bars=None, others=(), **changes):
        path = write_ticks(tmp_path / "ticks.parquet", ticks)
        strategies = [allocate(Scripted(script)), *(allocate(Scripted(s), f"other{i}") for i, s in enumerate(others))]
        record = run(bars or quiet_bars(N), *strategies, execution=on_ticks(path, fidelity, **changes))
        assert [s.error for s in record.strategies] == [""] * len(strategies)
        return record

    return played


def fills(record):
    """(instant, side, quantity, price) of every fill."""
    return [(f.ts_ns, str(f.side), f.quantity, f.price) for f in record.fills]


def last(record):
    return [(str(o.status), o.reason) for o in record.orders]


def oldest_of(context):
    return context.open_orders[0].order_id


def resting(price, quantity=100, tif=GTC):
    return OrderIntent.limit("A", quantity, price, time_in_force=tif)


# --- crossing the spread ----------------------------------------------------------------------------------------------------


def test_a_market_order_crosses_the_spread_for_the_size_at_the_touch_and_the_rest_works_on(play):
    ticks = [quote(at(1.5), 99.9, 100.1, ask_size=60), quote(at(1.7), 99.9, 100.2, ask_size=500)]
    record = play({0: [OrderIntent.market("A", 100)]}, ticks)
    assert fills(record) == [(at(1.5), "BUY", 60, 100.1), (at(1.7), "BUY", 40, 100.2)]
    sold = play({0: [OrderIntent.market("A", -100)]}, ticks)
    assert fills(sold) == [(at(1.5), "SELL", 100, 99.9)]


def test_stale_price_fill_a_quote_of_before_the_order_fills_nothing(play):
    """The price on the screen at the decision is gone when the order arrives."""
    ticks = [quote(at(0.9), 99, 99.1), quote(at(1), 99, 99.1), quote(at(1, 1), 101, 101.1)]
    assert fills(play({0: [OrderIntent.market("A", 100)]}, ticks)) == [(at(1, 1), "BUY", 100, 101.1)]
    # A later price that never comes is no reason to take the old one.
    none = play({0: [OrderIntent.market("A", 100)]}, ticks[:2])
    assert none.fills == []


def test_no_fill_before_the_arrival_to_the_nanosecond(play):
    """Twenty seconds on the way."""
    arrives = at(1) + 20 * SECOND
    ticks = [quote(arrives - 1, 99.9, 100.0), quote(arrives, 99.9, 100.1, ask_size=30), quote(arrives + 1, 99.9, 100.3)]
    record = play({0: [OrderIntent.market("A", 100)]}, ticks, latency={"mean_ms": 20_000, "std_ms": 0})
    assert fills(record) == [(arrives, "BUY", 30, 100.1), (arrives + 1, "BUY", 70, 100.3)]
    assert record.orders[0].arrives_ns == arrives


def test_same_liquidity_used_twice_never_by_two_strategies(play):
    ticks = [quote(at(1.5), 99.9, 100.1, ask_size=150), quote(at(1.6), 99.9, 100.2, ask_size=40)]
    record = play({0: [OrderIntent.market("A", 100)]}, ticks, others=[{0: [OrderIntent.market("A", 100)]}])
    assert fills(record) == [(at(1.5), "BUY", 100, 100.1), (at(1.5), "BUY", 50, 100.1), (at(1.6), "BUY", 40, 100.2)]
    assert [f.strategy for f in record.fills] == ["alpha", "other0", "other0"]


def test_same_liquidity_used_twice_never_by_a_quote_that_repeats_itself(play):
    """Only the bid has moved: the offer is the one that was taken."""
    ticks = [
        quote(at(1.5), 99.90, 100.1, ask_size=60),
        quote(at(1.6), 99.95, 100.1, ask_size=60),
        quote(at(1.7), 99.95, 100.1, ask_size=75),
        quote(at(1.8), 99.95, 100.2, ask_size=10),
    ]
    script = {0: [OrderIntent.market("A", 100)]}
    assert fills(play(script, ticks)) == [(at(1.5), "BUY", 60, 100.1), (at(1.7), "BUY", 15, 100.1), (at(1.8), "BUY", 10, 100.2)]
    fresh = play(script, ticks, quotes_replenish=True)
    assert fills(fresh) == [(at(1.5), "BUY", 60, 100.1), (at(1.6), "BUY", 40, 100.1)]


def test_what_was_taken_is_remembered_while_nothing_works(play):
    sizes = {1.5: 60, 3.5: 60, 5.5: 70}
    ticks = [quote(at(when), 99.9, 100.1, bid_size=when, ask_size=size) for when, size in sizes.items()]
    script = {0: [OrderIntent.market("A", 60)], 4: [OrderIntent.market("A", 60)]}
    assert fills(play(script, ticks)) == [(at(1.5), "BUY", 60, 100.1), (at(5.5), "BUY", 10, 100.1)]


def test_an_empty_side_of_the_book_fills_nobody(play):
    nobody = float("nan")
    ticks = [quote(at(1.5), 99.9, nobody, ask_size=0), quote(at(1.6), 99.9, 100.1)]
    assert fills(play({0: [OrderIntent.market("A", 10)]}, ticks)) == [(at(1.6), "BUY", 10, 100.1)]


def test_an_adaptive_order_takes_a_share_of_each_touch(play):
    ticks = [quote(at(1.5), 99.9, 100.1, ask_size=100), quote(at(1.6), 99.9, 100.2, ask_size=300)]
    record = play({0: [OrderIntent.adaptive("A", 30)]}, ticks, max_bar_participation=0.1)
    assert fills(record) == [(at(1.5), "BUY", 10, 100.1), (at(1.6), "BUY", 20, 100.2)]


@pytest.mark.parametrize(
    ("tif", "quantity", "limit", "expected", "end"),
    [
        (IOC, 100, None, [(60, 100.1)], ("CANCELLED", "ioc_remainder")),
        (IOC, 50, None, [(50, 100.1)], ("FILLED", "")),
        (IOC, 50, 100.0, [], ("CANCELLED", "not_marketable")),
        (FOK, 100, None, [], ("CANCELLED", "fok_not_filled")),
        (FOK, 60, 100.1, [(60, 100.1)], ("FILLED", "")),
    ],
)
def test_what_is_not_filled_by_the_first_quote_ends(play, tif, quantity, limit, expected, end):
    intent = OrderIntent.market("A", quantity, time_in_force=tif) if limit is None else resting(limit, quantity, tif)
    ticks = [quote(at(1.5), 99.9, 100.1, ask_size=60), quote(at(1.6), 99.9, 99.95, ask_size=600)]
    record = play({0: [intent]}, ticks)
    assert [(f.quantity, f.price) for f in record.fills] == expected
    assert last(record) == [end]


# --- limits -----------------------------------------------------------------------------------------------------------------


def test_a_limit_that_is_marketable_takes_the_touch_and_no_more_than_its_limit(play):
    ticks = [
        quote(at(1.5), 99.9, 100.1, ask_size=60),
        quote(at(1.6), 99.9, 100.4, ask_size=100),
        quote(at(1.7), 99.9, 100.2, ask_size=100),
    ]
    record = play({0: [resting(100.3)]}, ticks)
    # After the second quote it rests at 100.3: the third crosses it, and it pays its own price.
    assert fills(record) == [(at(1.5), "BUY", 60, 100.1), (at(1.7), "BUY", 40, 100.3)]


def test_a_resting_limit_fills_at_its_price_once_the_market_crosses_through(play):
    ticks = [quote(at(0.5), 99.9, 100.1), quote(at(1.5), 99.4, 99.5), quote(at(1.6), 99.3, 99.4, ask_size=70)]
    assert fills(play({0: [resting(99.5)]}, ticks)) == [(at(1.6), "BUY", 70, 99.5)]
    touched = play({0: [resting(99.5)]}, ticks, limit_fill_on_touch=True)
    assert fills(touched) == [(at(1.5), "BUY", 100, 99.5)]
    sold = play({0: [resting(100.5, -50)]}, [quote(at(0.5), 99.9, 100.1), quote(at(1.5), 100.6, 100.7)])
    assert fills(sold) == [(at(1.5), "SELL", 50, 100.5)]


def test_where_a_limit_stood_at_its_arrival_is_told_by_the_quote_before(play):
    """With the offer at 100.1 a bid of 99.5 rests; the next quote comes to it. Without one before, it goes there."""
    crossing = quote(at(1.5), 98.9, 99.0)
    assert fills(play({0: [resting(99.5)]}, [quote(at(0.5), 99.9, 100.1), crossing])) == [(at(1.5), "BUY", 100, 99.5)]
    assert fills(play({0: [resting(99.5)]}, [crossing])) == [(at(1.5), "BUY", 100, 99.0)]


def test_the_better_price_comes_first_and_then_the_elder(play):
    ticks = [quote(at(0.5), 99.9, 100.1), quote(at(3.5), 99.0, 99.1, ask_size=150)]
    script = {0: [resting(99.4, 100)], 1: [resting(99.5, 80)], 2: [resting(99.4, 30)]}
    assert [(f.quantity, f.price) for f in play(script, ticks).fills] == [(80, 99.5), (70, 99.4)]


# --- stops ------------------------------------------------------------------------------------------------------------------


def test_a_stop_is_triggered_by_the_side_it_crosses_to_and_fills_there(play):
    """Stop gapping through its level: the price is the market's, not the stop's."""
    ticks = [quote(at(1.5), 100.8, 100.9), quote(at(1.6), 101.2, 101.4, ask_size=60), quote(at(1.7), 100.3, 100.5)]
    record = play({0: [OrderIntent.stop("A", 100, 101)]}, ticks)
    # Once triggered it is a market order, wherever the price goes.
    assert fills(record) == [(at(1.6), "BUY", 60, 101.4), (at(1.7), "BUY", 40, 100.5)]
    sell = play({0: [OrderIntent.stop("A", -100, 99)]}, [quote(at(1.5), 99.1, 99.2), quote(at(1.6), 98.5, 99.2)])
    assert fills(sell) == [(at(1.6), "SELL", 100, 98.5)]


def test_a_stop_limit_becomes_a_limit_when_it_is_triggered(play):
    order = OrderIntent.stop_limit("A", 100, 101, 101.2, time_in_force=GTC)
    inside = [quote(at(1.5), 100.8, 101.1), quote(at(1.6), 100.8, 101.1)]
    assert fills(play({0: [order]}, inside)) == [(at(1.5), "BUY", 100, 101.1)]
    beyond = [quote(at(1.5), 101.2, 101.4), quote(at(1.6), 101.2, 101.3), quote(at(1.7), 100.9, 101.0)]
    assert fills(play({0: [order]}, beyond)) == [(at(1.7), "BUY", 100, 101.2)]


def test_a_trailing_stop_follows_the_bid_and_sells_at_it(play):
    script = {0: [OrderIntent.market("A", 10)], 1: [OrderIntent.trailing_stop("A", -10, amount=1)]}
    bids = [(2.1, 100.0), (2.2, 102.0), (2.3, 101.1), (2.4, 101.5), (2.5, 101.0), (2.6, 105.0)]
    ticks = [quote(at(1.5), 99.9, 100.1), *(quote(at(when), bid, bid + 0.1) for when, bid in bids)]
    assert fills(play(script, ticks))[1:] == [(at(2.5), "SELL", 10, 101.0)]


# --- families ---------------------------------------------------------------------------------------------------------------


def bracket(quantity=100, **exits):
    return OrderIntent.market("A", quantity).with_exits(**exits)


def test_a_bracket_lives_from_the_fill_of_its_entry_on(play):
    """Entry and exit in one bar, and no guess about its path: the dip to 94 came before the entry was filled."""
    ticks = [
        quote(at(0.9), 94.0, 94.1),
        quote(at(1.5), 100.0, 100.1),
        quote(at(1.6), 104.0, 104.1),
        quote(at(1.7), 106.0, 106.1, bid_size=70),
        quote(at(1.8), 94.8, 94.9),
    ]
    record = play({0: [bracket(take_profit=105, stop_loss=95)]}, ticks)
    assert fills(record) == [(at(1.5), "BUY", 100, 100.1), (at(1.7), "SELL", 70, 105), (at(1.8), "SELL", 30, 94.8)]
    assert [o.arrives_ns for o in record.orders if o.role] == [at(1.5)] * 2


def test_exits_protect_what_is_filled_and_no_more(play):
    ticks = [
        quote(at(1.5), 100.0, 100.1, ask_size=40),
        quote(at(1.6), 94.0, 94.1, ask_size=500),
        quote(at(1.7), 94.0, 94.2, ask_size=500),
    ]
    record = play({0: [bracket(stop_loss=95)]}, ticks)
    # The second quote triggers the stop and serves the rest of the entry, which was there first: the stop grows with it.
    assert fills(record) == [(at(1.5), "BUY", 40, 100.1), (at(1.6), "BUY", 60, 94.1), (at(1.6), "SELL", 100, 94.0)]


def test_a_stop_that_is_reached_by_the_quote_of_the_entry_is_taken(play):
    """The spread is wider than the stop's distance."""
    record = play({0: [bracket(stop_loss=99.5)]}, [quote(at(1.5), 99.0, 100.1, bid_size=80), quote(at(1.6), 98.0, 98.2)])
    assert fills(record) == [(at(1.5), "BUY", 100, 100.1), (at(1.5), "SELL", 80, 99.0), (at(1.6), "SELL", 20, 98.0)]


def test_of_a_set_one_fills_at_its_own_instant_and_the_other_ends(play):
    pair = one_cancels_other(OrderIntent.stop("A", 10, 103), OrderIntent.stop("A", -10, 97))
    ticks = [quote(at(1.5), 100, 100.1), quote(at(1.6), 96.9, 97.1), quote(at(1.7), 103.5, 103.6)]
    record = play({0: pair}, ticks)
    assert fills(record) == [(at(1.6), "SELL", 10, 96.9)]
    assert [(u.ts_ns, u.reason) for u in record.updates if u.reason] == [(at(1.6), "oco")]


def test_a_follower_of_another_symbol_meets_its_own_quotes(play):
    pair = OrderIntent.market("B", 10).then(OrderIntent.market("A", -10))
    ticks = [
        quote(at(1.4), 50, 50.1, symbol="A"),
        quote(at(1.5), 100, 100.1, symbol="B"),
        quote(at(1.6), 51, 51.1, symbol="A"),
    ]
    record = play({0: [pair]}, ticks, bars=quiet_bars(N, ("A", "B")))
    assert [(f.symbol, f.ts_ns, f.price) for f in record.fills] == [("B", at(1.5), 100.1), ("A", at(1.6), 51)]


# --- cancels, replacements, expiry ------------------------------------------------------------------------------------------


def test_a_cancel_on_its_way_may_lose_the_race_to_a_quote_but_not_to_a_later_one(play):
    take_back = lambda _, context: [CancelIntent(oldest_of(context))]  # noqa: E731  a script is a function
    script = {0: [resting(99.5)], 1: take_back}
    arrives = at(2) + 20 * SECOND
    slow = {"latency": {"mean_ms": 0, "std_ms": 0, "cancel": {"mean_ms": 20_000, "std_ms": 0}}}
    before = quote(at(0.5), 99.9, 100.1)
    lost = play(script, [before, quote(arrives - 1, 99.3, 99.4, ask_size=30), quote(arrives, 99.2, 99.3)], **slow)
    assert fills(lost) == [(arrives - 1, "BUY", 30, 99.5)]
    assert last(lost) == [("CANCELLED", "cancelled_by_strategy")]
    assert lost.updates[-1].ts_ns == arrives


def test_a_replacement_works_from_its_arrival_on(play):
    change = lambda _, context: [ReplaceIntent(oldest_of(context), limit_price=99.8)]  # noqa: E731  a script is a function
    arrives = at(2) + 20 * SECOND
    slow = {"latency": {"mean_ms": 0, "std_ms": 0, "replace": {"mean_ms": 20_000, "std_ms": 0}}}
    ticks = [quote(at(0.5), 99.9, 100.1), quote(arrives - 1, 99.5, 99.7), quote(arrives, 99.4, 99.7)]
    record = play({0: [resting(99.5)], 1: change}, ticks, **slow)
    assert fills(record) == [(arrives, "BUY", 100, 99.7)]


def test_orders_end_with_their_day_and_at_their_time(play):
    bars = quiet_bars(8, per_session=4)
    next_open = OPEN_NS + NS_PER_DAY
    ticks = [quote(at(0.5), 99.9, 100.1), quote(next_open + 1, 98, 98.1)]
    day = play({0: [resting(99.5, tif=DAY)]}, ticks, bars=bars)
    assert day.fills == []
    assert last(day) == [("EXPIRED", "day_end")]


# --- sessions and bars ------------------------------------------------------------------------------------------------------


def test_a_session_begins_with_an_empty_book_and_the_night_does_not_count(play):
    """A good-till-cancelled bid waits overnight, and takes part in the gap at the open instead of paying its limit."""
    bars = quiet_bars(8, per_session=4)
    next_open = OPEN_NS + NS_PER_DAY
    day = [quote(at(0.5), 99.9, 100.1), quote(at(1.5), 99.9, 100.1)]
    ticks = [*day, quote(at(120), 97, 97.1), quote(next_open - 1, 97, 97.1), quote(next_open, 98, 98.1)]
    assert fills(play({0: [resting(99.5)]}, ticks, bars=bars)) == [(next_open, "BUY", 100, 98.1)]


def test_auctions_are_those_of_the_bars(play):
    """Ticks know no auction: its price is the open or the close of the bar, and its exits meet the ticks that follow."""
    n = 390
    rows = [(100 + i, 100.5 + i, 99.5 + i, 100.2 + i, 1e6) for i in range(2 * n)]
    bars = minutes({"A": rows}, first_day=19732)  # 10 January 2024
    opened = OPEN_NS + (19733 - FIRST_DAY) * NS_PER_DAY
    script = {5: [OrderIntent.on_close("A", 10)], 6: [OrderIntent.on_open("A", 20).with_exits(stop_loss=400)]}
    ticks = [quote(opened - 1, 300, 301), quote(opened + SECOND, 399, 401)]
    record = play(script, ticks, bars=bars)
    closed = 19732 * NS_PER_DAY + 1260 * 60 * SECOND
    expected = [(closed, "BUY", 10, 100.2 + n - 1), (opened, "BUY", 20, 100 + n), (opened + SECOND, "SELL", 20, 399)]
    assert fills(record) == expected


def test_orders_look_at_no_bar(play):
    """The bars trade at 90 and at 110; no quote does."""
    bars = minutes({"A": [(100, 110, 90, 100)] * N})
    script = {0: [resting(95), OrderIntent.stop("A", 10, 105)]}
    assert play(script, [quote(at(m + 0.5), 99.9, 100.1) for m in range(N)], bars=bars).fills == []


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_how_history_is_cut_changes_nothing(play, rows):
    drift = {(m, s): 100 - m * 0.2 + s * 0.01 for m in range(8) for s in range(1, 9)}
    ticks = [quote(at(m + s / 10), bid, bid + 0.1, 20, 20) for (m, s), bid in drift.items()]
    script = {0: [resting(99.3)], 2: [OrderIntent.market("A", 90)], 5: [OrderIntent.stop("A", -80, 98.9)]}
    whole = play(script, ticks, bars=quiet_bars(N, per_session=4))
    cut = play(script, ticks, bars=quiet_bars(N, per_session=4).changed(rows=rows))
    assert whole.fills
    assert cut.digest == whole.digest


def test_the_middle_at_each_fill_is_noted(play):
    record = play({0: [OrderIntent.market("A", 10)]}, [quote(at(1.5), 99.0, 100.0)])
    assert record.execution_prices.mid.tolist() == [99.5]
    bars = run(quiet_bars(3), Scripted({0: [OrderIntent.market("A", 10)]}), execution=free())
    assert [math.isnan(mid) for mid in bars.execution_prices.mid] == [True]


# --- prints and the queue ---------------------------------------------------------------------------------------------------


BOOK = quote(at(0.5), 99.5, 100.5, bid_size=300, ask_size=300)


def test_prints_at_a_price_serve_the_queue_first(play):
    prints = [trade(at(1.1), 99.5, 200), trade(at(1.2), 99.5, 150), trade(at(1.3), 99.5, 500)]
    record = play({0: [resting(99.5)]}, [BOOK, *prints], "trades")
    assert fills(record) == [(at(1.2), "BUY", 50, 99.5), (at(1.3), "BUY", 50, 99.5)]


def test_a_better_price_has_no_queue(play):
    record = play({0: [resting(99.6)]}, [BOOK, trade(at(1.1), 99.6, 30), trade(at(1.2), 99.6, 500)], "trades")
    assert fills(record) == [(at(1.1), "BUY", 30, 99.6), (at(1.2), "BUY", 70, 99.6)]


def test_a_print_through_the_price_fills_up_to_its_size_at_the_orders_price(play):
    record = play({0: [resting(99.5)]}, [BOOK, trade(at(1.1), 99.4, 80), trade(at(1.2), 99.5, 5)], "trades")
    assert fills(record) == [(at(1.1), "BUY", 80, 99.5), (at(1.2), "BUY", 5, 99.5)]


def test_deep_in_the_book_nobody_knows_the_queue_until_it_is_shown(play):
    deep = [BOOK, trade(at(1.1), 99.0, 1e6)]
    assert play({0: [resting(99.0)]}, deep, "trades").fills == []
    shown = [BOOK, quote(at(1.1), 99.0, 100.5, bid_size=40), trade(at(1.2), 99.0, 100)]
    assert fills(play({0: [resting(99.0)]}, shown, "trades")) == [(at(1.2), "BUY", 60, 99.0)]


def test_orders_of_ours_at_one_price_share_a_print(play):
    record = play({0: [resting(99.5, 40)], 1: [resting(99.5, 100)]}, [BOOK, trade(at(2.5), 99.5, 400)], "trades")
    assert fills(record) == [(at(2.5), "BUY", 40, 99.5), (at(2.5), "BUY", 60, 99.5)]


@pytest.mark.parametrize(
    ("change", "filled"),
    [
        ({"limit_price": 99.49}, 0),  # another price, and behind all that is displayed there
        ({"quantity": 101}, 0),  # a larger size: as good as new
        ({"quantity": 99}, 50),  # a smaller size keeps its place
        ({"quantity": 100, "limit_price": 99.5}, 50),  # nothing has changed
    ],
)
def test_queue_position_lost_on_refresh(play, change, filled):
    """Of 300 ahead 250 are served; then the order is changed, and 100 more print at its price."""
    replaced = lambda _, context: [ReplaceIntent(oldest_of(context), **change)]  # noqa: E731  a script is a function
    price = change.get("limit_price", 99.5)
    ticks = [
        BOOK,
        trade(at(1.5), 99.5, 250),
        quote(at(1.6), price, 100.5, bid_size=300),
        quote(at(1.7), price, 100.5, bid_size=300),
        trade(at(2.5), price, 100),
    ]
    record = play({0: [resting(99.5)], 1: replaced}, ticks, "trades")
    assert sum(f.quantity for f in record.fills) == filled


def test_a_changed_order_stands_behind_ours_that_did_not_change(play):
    replaced = lambda _, context: [ReplaceIntent(oldest_of(context), quantity=60)]  # noqa: E731  a script is a function
    script = {0: [resting(99.6, 50), resting(99.6, 40)], 1: replaced}
    record = play(script, [BOOK, trade(at(2.5), 99.6, 70)], "trades")
    changed, other = (order.order_id for order in record.orders)
    assert [(f.quantity, f.order_id) for f in record.fills] == [(40, other), (30, changed)]


def test_an_exit_that_grows_with_its_entry_queues_again(play):
    """Alone at 100.6 when forty are bought, the target is a larger order with sixty more, behind what is shown by then."""
    ticks = [
        quote(at(1.1), 100.4, 100.5, ask_size=40),
        quote(at(1.2), 100.4, 100.6, ask_size=0),
        quote(at(1.3), 100.4, 100.5, ask_size=60),
        quote(at(1.4), 100.4, 100.6, ask_size=300),
        trade(at(1.5), 100.6, 100),
        trade(at(1.6), 100.6, 250),
    ]
    record = play({0: [bracket(take_profit=100.6)]}, ticks, "trades")
    assert fills(record)[2:] == [(at(1.6), "SELL", 50, 100.6)]


def test_with_quotes_a_market_order_waits_for_one_and_a_print_may_trigger_a_stop(play):
    ticks = [BOOK, trade(at(1.1), 101.0, 500), quote(at(1.2), 99.6, 100.6, ask_size=500)]
    assert fills(play({0: [OrderIntent.market("A", 10)]}, ticks, "trades")) == [(at(1.2), "BUY", 10, 100.6)]
    assert fills(play({0: [OrderIntent.stop("A", 10, 101)]}, ticks, "trades")) == [(at(1.2), "BUY", 10, 100.6)]
    assert play({0: [OrderIntent.stop("A", 10, 101)]}, ticks, "quotes").fills == []


def test_with_prints_alone_orders_take_them(play):
    """Nobody knows the spread: the price is the print's."""
    prints = [trade(at(1.1), 100.0, 60), trade(at(1.2), 100.2, 60), trade(at(1.3), 99.0, 60)]
    assert fills(play({0: [OrderIntent.market("A", 100)]}, prints, "trades")) == [
        (at(1.1), "BUY", 60, 100.0),
        (at(1.2), "BUY", 40, 100.2),
    ]
    assert fills(play({0: [OrderIntent.stop("A", 10, 100.1)]}, prints, "trades")) == [(at(1.2), "BUY", 10, 100.2)]
    assert fills(play({0: [resting(99.5)]}, prints, "trades")) == [(at(1.3), "BUY", 60, 99.5)]
    assert fills(play({0: [resting(100.1)]}, prints, "trades")) == [(at(1.1), "BUY", 60, 100.0), (at(1.3), "BUY", 40, 100.1)]
    assert last(play({0: [resting(99.5, tif=IOC)]}, prints, "trades")) == [("CANCELLED", "not_marketable")]
