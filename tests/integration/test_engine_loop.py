"""The loop as a whole: order of stages, lifecycle, orders, the account, digests, block borders."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math

import numpy as np
import pytest

from fairlead.backtest.benchmark import buy_and_hold, split_adjustment
from fairlead.backtest.scorecard import score
from fairlead.backtest.trades import ledger_of
from fairlead.core.bars import BarSlice
from fairlead.core.errors import ConfigurationError, DataNotFound, UnknownName
from fairlead.core.instruments import Instrument
from fairlead.core.intents import CancelIntent, OrderIntent
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.engine.clock import ClockSettings
from fairlead.engine.session import Allocation, SessionPlan, run_session
from fairlead.engine.stages import Stage
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk.limits import RiskLimits
from support_sessions import (
    FIRST_DAY,
    Random,
    Scripted,
    ScriptedSlices,
    allocate,
    days,
    dividend,
    flat,
    free,
    minutes,
    paid,
    plan,
    random_bars,
    run,
    split,
    steady,
    with_tif,
)

GTC = TimeInForce.GTC
market, limit, target, weight = OrderIntent.market, OrderIntent.limit, OrderIntent.target_position, OrderIntent.target_weight


def busy_source(n=200, seed=7, **kwargs):
    """Three symbols with holes, splits and dividends, over several sessions."""
    random = np.random.default_rng(seed)
    bars = {s: random_bars(random, n, gaps=gaps) for s, gaps in (("A", 0.0), ("B", 0.2), ("C", 0.5))}
    actions = [split("A", 1, 2.0), dividend("A", 3, 0.5), split("B", 2, 0.5), dividend("B", 2, 0.1), split("C", 4, 3.0)]
    return minutes(bars, per_session=30, actions=actions, **kwargs)


class RandomSlices(Random):
    event_type = BarSlice

    def on_market_event(self, event, context):
        self.heard.append(("slice", event.known_ns, event.present.tolist(), [bar.close for bar in event]))


COSTS = {
    "slippage": SlippageSettings(model="volume_based"),
    "commission": CommissionSettings(model="per_share"),
    "latency": LatencySettings(),
    "max_bar_participation": 0.1,
}


# --- order of stages


def test_stages_are_numbered_as_the_architecture_says():
    assert [s.name for s in sorted(Stage)] == [
        "COMMANDS",
        "CORPORATE_ACTIONS",
        "EXECUTION",
        "MONITORS",
        "MARKET",
        "ORDERS",
        "RECORD",
    ]


def test_a_strategy_hears_of_its_order_before_the_bar_that_filled_it():
    strategy = Scripted({0: [market("A", 5)]})
    run(minutes({"A": steady(3, 10, 1)}), strategy)
    assert strategy.heard == [
        ("start",),
        ("bar", "A", 10.0),
        ("order", "A", "SUBMITTED", 0.0),
        ("order", "A", "ACKNOWLEDGED", 0.0),
        ("order", "A", "FILLED", 5.0),
        ("bar", "A", 11.0),
        ("bar", "A", 12.0),
        ("stop",),
    ]


def test_the_fill_is_booked_before_the_strategy_hears_of_it():
    seen = []

    class Looks(Scripted):
        def on_order_update(self, order, context):
            seen.append((str(order.status), context.portfolio.quantity("A"), context.portfolio.cash))

    run(minutes({"A": steady(3)}), Looks({0: [market("A", 5)]}))
    assert seen == [("SUBMITTED", 0, 100_000), ("ACKNOWLEDGED", 0, 100_000), ("FILLED", 5, 99_500)]


def test_a_corporate_action_comes_before_the_fills_of_its_session():
    """Decided on 10 shares of 100; filled as 20 of 50; the 7 held before are 14 by then."""
    bars = [flat(100), flat(100), flat(100), flat(50), flat(50)]
    strategy = Scripted({0: [market("A", 7)], 2: [market("A", 10)]})
    record = run(days({"A": bars}, actions=[split("A", 3, 2.0)]), strategy)
    assert strategy.heard[-6:] == [
        ("action", "A", "split"),
        ("order", "A", "ACKNOWLEDGED", 0.0),
        ("order", "A", "FILLED", 20.0),
        ("bar", "A", 50.0),
        ("bar", "A", 50.0),
        ("stop",),
    ]
    (applied,) = record.applied_actions
    assert (applied.quantity_before, applied.quantity_after, applied.cash) == (7, 14, 0)
    assert record.account.net[-1] == 34 * 50
    assert record.market_actions == [split("A", 3, 2.0)]


def test_a_purchase_on_the_ex_session_earns_no_dividend_and_a_sale_keeps_it():
    bars = {"A": steady(5)}
    buys = run(days(bars, actions=[dividend("A", 2, 1.0)]), Scripted({1: [market("A", 10)]}))
    sells = run(days(bars, actions=[dividend("A", 2, 1.0)]), Scripted({0: [market("A", 10)], 1: [market("A", -10)]}))
    shorts = run(days(bars, actions=[dividend("A", 2, 1.0)]), Scripted({0: [market("A", -10)]}))
    assert [r.account.cash[-1] for r in (buys, sells, shorts)] == [99_000, 100_010, 100_990]
    assert [len(r.applied_actions) for r in (buys, sells, shorts)] == [0, 1, 1]


@pytest.mark.parametrize("rows", [None, 2, 3])
def test_an_action_waits_for_the_symbols_first_bar(rows):
    """Without a bar on the ex-session the last price is the one before the split, and so is the holding."""
    bars = {"A": [flat(10), flat(10), None, None, flat(5), flat(5)], "B": steady(6)}
    actions = [split("A", 2, 2.0), dividend("A", 2, 0.1)]
    record = run(days(bars, actions=actions, rows=rows), Scripted({0: [market("A", 100)], 3: [market("A", 10)]}))
    np.testing.assert_allclose(record.account.equity, [100_000] * 4 + [100_010] * 2)
    assert [a.quantity_after for a in record.applied_actions] == [100, 200]
    assert [(f.quantity, f.price) for f in record.fills] == [(100, 10), (20, 5)]
    assert len(record.market_actions) == 2


def test_fills_of_an_instant_come_before_its_decisions():
    """What a strategy decides on includes what the same bar filled."""
    held = []
    record = run(
        minutes({"A": steady(4)}),
        Scripted({0: [market("A", 5)], 1: lambda s, c: held.append(c.portfolio.quantity("A")) or [target("A", 5)]}),
    )
    assert held == [5]
    assert len(record.orders) == 1


def test_several_symbols_come_in_column_order_and_only_where_there_is_a_bar():
    strategy = Scripted()
    run(minutes({"B": [flat(1), flat(2)], "A": [flat(3), None], "C": [None, flat(4)]}), strategy)
    assert strategy.heard[1:-1] == [("bar", "A", 3.0), ("bar", "B", 1.0), ("bar", "B", 2.0), ("bar", "C", 4.0)]


def test_a_lone_symbol_with_a_hole_gets_no_bar_that_is_not_one():
    strategy = Scripted({1: [market("A", 1)]})
    record = run(minutes({"A": [flat(1), None, flat(2)]}), strategy)
    assert [h for h in strategy.heard if h[0] == "bar"] == [("bar", "A", 1.0), ("bar", "A", 2.0)]
    assert (record.bars, len(record.account.ts_ns), len(record.fills)) == (2, 3, 1)


def test_bars_and_slices_tell_the_same():
    source = busy_source()
    bars, slices = Random(), ScriptedSlices()
    run(source, allocate(bars), execution=free())
    run(source, allocate(slices), execution=free())
    assert [h for h in bars.heard if h[0] == "bar"] == [h for h in slices.heard if h[0] == "bar"]


@pytest.mark.parametrize("symbols", [("A",), ("A", "B", "C")])
def test_strategies_on_bars_and_on_slices_trade_alike(symbols):
    random = np.random.default_rng(5)
    source = minutes({s: random_bars(random, 120) for s in symbols}, per_session=30)
    first = run(source, allocate(Random()), execution=free(**COSTS))
    second = run(source, allocate(RandomSlices()), execution=free(**COSTS))
    assert first.fills
    assert (first.digest, paid(first)) == (second.digest, paid(second))


# --- lifecycle


def test_at_the_start_no_bar_is_known():
    seen = {}

    class Starts(Scripted):
        def on_start(self, context):
            seen["bars"] = context.historical_data.bars("A", 5)
            seen["closes"] = len(context.historical_data.closes("A", 5))
            seen["mark"] = context.portfolio._ledger.marks["A"]
            seen["time"] = context.current_time
            seen["equity"] = context.portfolio.equity
            seen["orders"] = list(context.open_orders)

    run(minutes({"A": steady(3)}), Starts())
    assert math.isnan(seen.pop("mark"))
    opening = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
    assert seen == {"bars": [], "closes": 0, "time": opening, "equity": 100_000, "orders": []}


def test_time_is_that_of_the_event():
    times = []

    class Watches(Scripted):
        def on_market_event(self, event, context):
            times.append((context.current_time, event.timestamp, event.label))

    run(minutes({"A": steady(2)}), Watches())
    opening = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
    assert times == [(opening + m, opening + m, opening + m - MINUTE) for m in (MINUTE, 2 * MINUTE)]


MINUTE = dt.timedelta(minutes=1)


def test_what_still_works_at_the_end_is_taken_back_before_the_strategy_stops():
    strategy = Scripted({0: [limit("A", 5, 50, time_in_force=GTC)]})
    record = run(minutes({"A": steady(3)}), strategy)
    (order,) = record.orders
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, "end_of_run")
    assert strategy.heard[-2:] == [("order", "A", "CANCELLED", 0.0), ("stop",)]


def test_history_reaches_as_far_as_asked():
    lengths = []

    class Looks(Scripted):
        def lookback(self):
            return 1_500

        def generate_orders(self, context):
            lengths.append(len(context.historical_data.closes("A", 1_500)))
            return ()

    class LooksTooFar(Scripted):
        def generate_orders(self, context):
            context.historical_data.closes("A", 1_001)

    run(minutes({"A": steady(1_600)}, rows=7), Looks())
    assert lengths == [min(i + 1, 1_500) for i in range(1_600)]
    record = run(minutes({"A": steady(3)}), LooksTooFar())
    assert "'n' must be from 1 to 1000 bars, was 1001" in record.strategies[0].error


def test_metadata_is_the_strategys_own_and_lasts():
    seen = []

    class Counts(Scripted):
        def generate_orders(self, context):
            context.metadata["n"] = context.metadata.get("n", 0) + 1
            seen.append(context.metadata["n"])
            return ()

    run(minutes({"A": steady(3)}, rows=2), allocate(Counts(), "a"), allocate(Counts(), "b"))
    assert seen == [1, 1, 2, 2, 3, 3]


def test_randomness_is_seeded_by_root_and_name():
    def drawn(seed, *names):
        found = {name: [] for name in names}

        class Draws(Scripted):
            def generate_orders(self, context):
                self.found.append(float(context.random.random()))
                return ()

        strategies = []
        for name in names:
            strategy = Draws()
            strategy.found = found[name]
            strategies.append(allocate(strategy, name))
        run(minutes({"A": steady(4)}), *strategies, seed=seed)
        return found

    together = drawn(1, "a", "b")
    assert together["a"] != together["b"]
    assert drawn(1, "b")["b"] == together["b"]
    assert drawn(2, "a")["a"] != together["a"]


def test_limits_in_force_are_the_stricter_ones():
    seen = []

    class Wide(Scripted):
        def on_start(self, context):
            seen.append(context.risk_limits)

    strategy = Wide({0: [weight("A", 0.5), market("B", 600)]})
    allocation = allocate(strategy, capital=100_000, max_position_size=0.1, max_leverage=0.5)
    record = run(minutes({"A": steady(3), "B": steady(3)}), allocation)
    assert seen == [RiskLimits(max_position_size=0.1, max_leverage=0.5)]
    assert [(o.symbol, o.quantity, str(o.status)) for o in record.orders] == [("A", 100, "FILLED"), ("B", 600, "REJECTED")]
    assert record.orders[1].reason == "max_position_size: 60000 > 10000"


# --- orders


def test_rotation_at_full_investment_passes_whichever_is_named_first():
    wanted = [weight("B", 1.0), weight("A", 0.0)]
    strategy = Scripted({0: [weight("A", 1.0)], 2: wanted})
    record = run(minutes({"A": steady(5), "B": steady(5)}), allocate(strategy, max_leverage=1.0))
    assert [(f.symbol, f.signed_quantity) for f in record.fills] == [("A", 1_000), ("A", -1_000), ("B", 1_000)]


def test_a_target_is_not_chased_twice():
    """Ten per bar: the orders under way count as held."""
    source = minutes({"A": [flat(10, 100)] * 12})
    strategy = Scripted({i: [target("A", 50)] for i in range(12)})
    record = run(source, strategy, execution=free(max_bar_participation=0.1))
    assert len(record.orders) == 1
    assert record.account.net[-1] == 500


def test_on_daily_bars_a_target_is_chased_every_day():
    """The rest of a DAY order is over at the close, so the next one is sized from what is really held."""
    source = days({"A": [flat(10, 100)] * 8})
    strategy = Scripted({i: [target("A", 50)] for i in range(8)})
    record = run(source, strategy, execution=free(max_bar_participation=0.1))
    assert [(f.quantity, f.ts_ns // 86_400_000_000_000 - FIRST_DAY) for f in record.fills] == [(10, d) for d in range(1, 6)]


def test_on_daily_bars_yesterdays_day_order_ties_up_no_money():
    source = days({"A": steady(6)})
    strategy = Scripted({i: [limit("A", 10, 90)] for i in range(5)})
    record = run(source, allocate(strategy, capital=1_000, max_leverage=1.0))
    assert {(str(o.status), o.reason) for o in record.orders} == {("EXPIRED", "day_end")}


def test_a_resting_order_of_the_same_batch_is_not_taken_for_held():
    """Close the position and leave a bid: 50 are sold, not 150."""
    strategy = Scripted({0: [market("A", 50)], 2: [limit("A", 100, 90), target("A", 0)]})
    record = run(minutes({"A": steady(5)}), strategy)
    assert [(str(o.side), o.quantity) for o in record.orders] == [("BUY", 50), ("SELL", 50), ("BUY", 100)]


def test_a_target_after_an_order_of_the_same_batch_counts_it_if_it_was_accepted():
    strategy = Scripted({0: [market("A", 30), target("A", 50)]})
    record = run(minutes({"A": steady(5)}), strategy)
    assert [f.signed_quantity for f in record.fills] == [30, 20]


def test_orders_of_one_symbol_keep_the_strategys_order():
    """Buy fifty more, then to nothing: a hundred are sold, after the purchase."""
    strategy = Scripted({0: [market("A", 50)], 2: [market("A", 50), target("A", 0)]})
    record = run(minutes({"A": steady(5)}), strategy)
    assert [f.signed_quantity for f in record.fills] == [50, 50, -100]


def test_a_target_after_a_refused_order_of_the_same_batch_does_not_count_it():
    strategy = Scripted({0: [market("A", 100), target("A", 10)]})
    record = run(minutes({"A": steady(5)}), allocate(strategy, capital=10_000, max_position_size=0.95))
    assert [(str(o.status), str(o.side), o.quantity) for o in record.orders] == [
        ("REJECTED", "BUY", 100),
        ("FILLED", "BUY", 10),
    ]


def test_a_target_that_a_refused_order_of_the_batch_would_have_reached_is_an_order():
    """The purchase is refused by its size; the target of the same size is clipped."""
    strategy = Scripted({0: [market("A", 100), target("A", 100)]})
    record = run(minutes({"A": steady(5)}), allocate(strategy, capital=10_000, max_position_size=0.95))
    assert [(str(o.status), o.quantity) for o in record.orders] == [("REJECTED", 100), ("FILLED", 95)]


def test_a_target_that_an_earlier_order_of_the_batch_reached_is_no_order():
    strategy = Scripted({0: [market("A", 50), target("A", 50)]})
    assert len(run(minutes({"A": steady(5)}), strategy).orders) == 1
    strategy = Scripted({0: [market("A", 50)], 2: [market("A", -20), target("A", 30)]})
    assert len(run(minutes({"A": steady(5)}), strategy).orders) == 2


def test_refused_orders_are_recorded_with_their_reason():
    strategy = Scripted({0: [market("X", 5), market("B", 5), market("A", 0.5), market("A", 1e308), weight("A", 1e308)]})
    record = run(minutes({"A": steady(3), "B": [None, flat(1), flat(1)]}), strategy)
    assert [(o.symbol, str(o.status), o.reason.split(":")[0]) for o in record.orders] == [
        ("X", "REJECTED", "unknown_symbol"),
        ("B", "REJECTED", "no_market_data"),
        ("A", "REJECTED", "below_min_qty"),
        ("A", "REJECTED", "insufficient_buying_power"),
        ("A", "REJECTED", "insufficient_buying_power"),
    ]
    assert strategy.heard[2] == ("order", "X", "REJECTED", 0.0)
    assert record.fills == []


def test_to_hold_nothing_of_what_is_not_held_is_no_order_and_of_what_is_unknown_a_refusal():
    strategy = Scripted({0: [weight("A", 0), weight("B", 0), target("X", 0)]})
    record = run(minutes({"A": steady(3), "B": [None, flat(1), flat(1)]}), strategy)
    assert [(o.symbol, o.reason) for o in record.orders] == [("X", "unknown_symbol")]


def test_prices_go_to_the_tick_away_from_a_better_fill():
    strategy = Scripted(
        {
            0: [
                limit("A", 1, 90.019),
                limit("A", -1, 110.011),
                OrderIntent.stop("A", 1, 110.011),
                OrderIntent.stop("A", -1, 90.019),
            ]
        }
    )
    record = run(minutes({"A": steady(3)}), strategy)
    assert [(o.limit_price, o.stop_price) for o in record.orders] == [
        (90.01, None),
        (110.02, None),
        (None, 110.02),
        (None, 90.01),
    ]


def test_a_cancel_takes_the_order_back_and_is_heard():
    def cancel(strategy, context):
        return [CancelIntent(order.order_id) for order in context.open_orders]

    strategy = Scripted({0: [limit("A", 5, 95, time_in_force=GTC)], 1: cancel})
    record = run(minutes({"A": [*steady(3), flat(90)]}), strategy)
    assert (record.fills, record.orders[0].reason) == ([], "cancelled_by_strategy")
    assert ("order", "A", "CANCELLED", 0.0) in strategy.heard


def test_a_cancel_frees_its_money_for_the_same_batch():
    def replace(strategy, context):
        return [market("A", 1_000), CancelIntent(context.open_orders[0].order_id)]

    strategy = Scripted({0: [limit("A", 1_000, 99, time_in_force=GTC)], 1: replace})
    record = run(minutes({"A": steady(4)}), allocate(strategy, max_leverage=1.0))
    assert [str(o.status) for o in record.orders] == ["CANCELLED", "FILLED"]


def test_no_strategy_cancels_what_is_not_its_own_or_not_there():
    ids = []
    mine = Scripted({0: [limit("A", 5, 50, time_in_force=GTC)], 1: lambda s, c: ids.append(c.open_orders[0].order_id) or ()})
    other = Scripted({2: lambda s, c: [CancelIntent(ids[0]), CancelIntent("no such order")]})
    record = run(minutes({"A": steady(4)}), allocate(mine, "mine"), allocate(other, "other"))
    assert record.orders[0].reason == "end_of_run"
    assert [s.status for s in record.strategies] == ["completed", "completed"]


def test_every_order_has_an_identity_of_its_own():
    strategy = Scripted({i: [market("A", 1), market("A", 1), market("A", -1)] for i in range(3)})
    other = Scripted({i: [market("A", 1)] for i in range(3)})
    record = run(minutes({"A": steady(5)}), allocate(strategy, "a"), allocate(other, "b"))
    assert len({o.order_id for o in record.orders}) == len({o.idempotency_key for o in record.orders}) == 12
    assert [o.group_id for o in record.orders[:3]] == ["A_20240102_143100", "A_20240102_143100_1", "A_20240102_143100_2"]
    assert len({f.fill_id for f in record.fills}) == 12


# --- the account


def test_each_strategy_has_its_own_capital_and_positions_and_the_account_is_their_sum():
    source = busy_source()
    record = run(
        source,
        allocate(Random(), "a", 50_000),
        allocate(RandomSlices(), "b", 200_000),
        allocate(Scripted({3: [market("A", 10)]}), "c", 10_000),
        execution=free(**COSTS),
    )
    assert record.initial_cash == 260_000
    for field in ("equity", "cash", "gross", "net"):
        total = sum(getattr(curve, field) for curve in record.by_strategy.values())
        np.testing.assert_allclose(getattr(record.account, field), total, rtol=1e-12, atol=1e-6)
    assert record.by_strategy["c"].net[-1] != record.by_strategy["a"].net[-1]
    assert {f.strategy for f in record.fills} == {"a", "b", "c"}


def test_a_paced_run_is_the_same_run(monkeypatch):
    source = busy_source(n=40)
    at_once = run(source, allocate(Random()))
    slowly = run(source, allocate(Random()), clock=ClockSettings(speed=1_000_000, hours="market"))
    assert at_once.digest == slowly.digest


def test_a_profiled_run_gives_seconds_and_the_same_result():
    source = busy_source()
    plain = run(source, allocate(Random(), "a"))
    profiled = run(source, allocate(Random(), "a"), profile=True)
    assert plain.stage_seconds == {}
    assert set(profiled.stage_seconds) == {"execution", "corporate_actions", "features", "record", "market:a"}
    assert all(seconds > 0 for seconds in profiled.stage_seconds.values())
    assert plain.digest == profiled.digest


# --- digest


def a_digest(source=None, run_id="bt_test", **execution):
    strategy = Scripted({0: [market("A", 5)], 2: [limit("A", -5, 103, tag="exit")]})
    chosen = source or minutes({"A": steady(8, 100, 1)})
    return run(chosen, strategy, run_id=run_id, execution=free(**execution)).digest


def test_the_same_inputs_have_the_same_digest_whatever_the_run_is_called():
    assert a_digest() == a_digest()
    assert a_digest() == a_digest(run_id="bt_other")
    assert len(a_digest()) == 64
    json.dumps(a_digest())


def test_a_price_that_was_traded_at_changes_the_digest():
    bars = steady(8, 100, 1)
    bars[1] = (101.0, 101.5, 101.0, 101.0, 10_000.0)
    assert a_digest(minutes({"A": bars})) == a_digest()
    bars[1] = (101.01, 101.5, 101.0, 101.0, 10_000.0)
    assert a_digest(minutes({"A": bars})) != a_digest()


def test_costs_change_the_digest():
    assert a_digest(commission=CommissionSettings()) != a_digest()
    assert a_digest(slippage=SlippageSettings()) != a_digest()


def test_to_cancel_earlier_is_another_decision():
    def cancel(strategy, context):
        return [CancelIntent(context.open_orders[0].order_id)]

    def cancelled_at(instant):
        return run(minutes({"A": steady(8)}), Scripted({0: [limit("A", 5, 50)], instant: cancel})).digest

    assert cancelled_at(2) != cancelled_at(3)


def test_a_tag_cannot_pass_for_other_fields():
    def tagged(*tags):
        return run(minutes({"A": steady(4)}), Scripted({0: [market("A", 5, tag=tag) for tag in tags]})).digest

    assert len({tagged("a"), tagged("b"), tagged("a|"), tagged("a", "b"), tagged("ab")}) == 5


# --- block borders


@pytest.mark.parametrize("rows", [1, 7, 29, 30, 31, 100])
@pytest.mark.parametrize("kind", [Random, RandomSlices])
def test_how_history_is_cut_leaves_no_trace(rows, kind):
    whole, cut = kind(), kind()
    expected = run(busy_source(), allocate(whole), execution=free(**COSTS))
    found = run(busy_source(rows=rows), allocate(cut), execution=free(**COSTS))
    assert len(expected.fills) > 50
    assert whole.heard == cut.heard
    assert found.digest == expected.digest
    for field in ("ts_ns", "session", "cash", "equity", "gross", "net"):
        np.testing.assert_array_equal(getattr(found.account, field), getattr(expected.account, field), err_msg=field)
    for field in ("session", "ts_ns", "mark"):
        np.testing.assert_array_equal(getattr(found.prices, field), getattr(expected.prices, field), err_msg=field)
    assert found.applied_actions == expected.applied_actions
    assert found.market_actions == expected.market_actions
    assert found.bars == expected.bars
    assert found.updates == expected.updates


def test_more_rows_than_scalars_are_made_at_once():
    """A lone symbol's bars are made 4,096 at a time."""
    strategy = Scripted()
    run(minutes({"A": steady(9_000, 1, 0.01)}, rows=4_500), strategy)
    closes = [h[2] for h in strategy.heard if h[0] == "bar"]
    np.testing.assert_array_equal(closes, [1 + i * 0.01 for i in range(9_000)])


class FailsLater(Random):
    """Fails in one of its hooks when it was called so often: of updates, with those that tell of a fill or of a submission."""

    hook, last = "", 50

    def on_start(self, context):
        super().on_start(context)
        self.calls = 0

    def _count(self, hook):
        if hook and hook == self.hook:
            self.calls += 1
            if self.calls == self.last:
                raise ValueError(hook)

    def on_market_event(self, event, context):
        self._count("on_market_event")
        super().on_market_event(event, context)

    def on_order_update(self, order, context):
        kinds = {OrderStatus.FILLED: "on_order_update", OrderStatus.SUBMITTED: "on_submission"}
        self._count(kinds.get(order.status, ""))
        super().on_order_update(order, context)

    def generate_orders(self, context):
        self._count("generate_orders")
        return super().generate_orders(context)


@pytest.mark.parametrize(
    ("hook", "last"), [("", 1), ("on_market_event", 50), ("on_order_update", 6), ("on_submission", 25), ("generate_orders", 50)]
)
@pytest.mark.parametrize("rows", [7, None])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lone_strategy_that_walks_meets_what_it_meets_row_by_row(hook, last, rows, seed):
    """A strategy that is timed is called row by row, one that is alone takes its bars itself."""
    kind = type("Kind", (FailsLater,), {"hook": hook, "last": last, "name": "kind"})
    bars = {"A": random_bars(np.random.default_rng(seed), 200)}
    actions = [split("A", 1, 2.0), dividend("A", 1, 0.1), dividend("A", 3, 0.5), split("A", 5, 0.5)]
    source = minutes(bars, per_session=30, actions=actions, rows=rows)
    walks, steps = kind(), kind()
    found = run(source, allocate(walks), execution=free(**COSTS), seed=seed)
    expected = run(source, allocate(steps), execution=free(**COSTS), seed=seed, profile=True)
    assert found.strategies[0].status == ("stopped" if hook else "completed")
    assert len(found.fills) > 5
    assert walks.heard == steps.heard
    assert (found.digest, found.updates, found.fills) == (expected.digest, expected.updates, expected.fills)
    assert found.applied_actions == expected.applied_actions
    np.testing.assert_array_equal(found.account.equity, expected.account.equity)


@pytest.mark.parametrize("rows", [1, 7, 100, None])
def test_history_does_not_end_at_a_block_border(rows):
    """A split on the way scales what came before it, on whichever side of a border."""
    windows = []

    class Looks(Scripted):
        def generate_orders(self, context):
            windows.append(context.historical_data.closes("A", 40).tolist())
            return ()

    bars = [flat(100.0 + i) for i in range(60)] + [flat(50.0 + i) for i in range(60)]
    run(minutes({"A": bars}, per_session=60, actions=[split("A", 1, 2.0)], rows=rows), Looks())
    for i, window in enumerate(windows):
        expected = [bars[j][3] / (2 if j < 60 <= i else 1) for j in range(max(0, i - 39), i + 1)]
        assert window == expected


def test_progress_is_told_after_every_block():
    told = []
    run_session(plan(minutes({"A": steady(10)}, rows=4), Scripted()), told.append)
    assert told == [4, 8, 10]


# --- the record and the plan


def test_the_record_counts_bars_and_keeps_prices_at_session_ends():
    record = run(
        minutes({"A": [flat(1), flat(2), flat(3), flat(4)], "B": [None, flat(5), None, None]}, per_session=2), Scripted()
    )
    assert record.bars == 5
    np.testing.assert_array_equal(record.prices.session, [FIRST_DAY, FIRST_DAY + 1])
    np.testing.assert_array_equal(record.prices.mark, [[2, 5], [4, 5]])
    assert (record.prices.symbols, record.run_id, record.initial_cash) == (("A", "B"), "bt_test", 100_000)


def test_an_instruments_multiplier_is_in_the_ledger():
    record = run(
        minutes({"A": steady(4, 100, 1)}),
        Scripted({0: [market("A", 2)]}),
        instruments={"A": Instrument(symbol="A", multiplier=50)},
    )
    np.testing.assert_allclose(record.account.equity, 100_000 + 100 * np.array([0, 0, 1, 2]))
    np.testing.assert_allclose(record.account.gross, 100 * np.array([0, 101, 102, 103]))


def _plan(**changes):
    return SessionPlan(**{"run_id": "r", "allocations": [allocate(Scripted())], "source": minutes({"A": steady(3)}), **changes})


class Wants(Scripted):
    def required_symbols(self):
        return ["AAA"]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"allocations": []}, ConfigurationError, "'strategies' must hold at least one enabled strategy"),
        ({"allocations": [allocate(Scripted()), allocate(Scripted())]}, ConfigurationError, "unique names, was 'alpha'"),
        ({"allocations": [allocate(Scripted(), capital=0)]}, ConfigurationError, "'alpha capital' must be a finite amount"),
        ({"allocations": [allocate(Scripted(), capital=math.inf)]}, ConfigurationError, "'alpha capital' must be"),
        ({"allocations": [allocate(Wants())]}, UnknownName, "no symbol for strategy 'alpha' in dataset 'arrays' named 'AAA'"),
        ({"allocations": [allocate(Scripted(), "a|b")]}, ConfigurationError, "'strategies' must not contain '|'"),
        ({"run_id": "a|b"}, ConfigurationError, "'run_id' must not contain '|'"),
        (
            {"instruments": {"A": Instrument(symbol="A", currency="EUR")}},
            ConfigurationError,
            "'instruments.A.currency' must be USD, was 'EUR'",
        ),
        ({"source": minutes({"A": steady(3)}).until(0)}, DataNotFound, "dataset 'arrays' holds no bar in the chosen dates"),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(changes, error, text):
    with pytest.raises(error) as caught:
        run_session(_plan(**changes))
    assert text in str(caught.value)


def test_an_allocation_does_not_loosen_what_a_strategy_declares():
    class Careful(Scripted):
        risk_limits = RiskLimits(max_position_size=0.2)

    careful = Careful({0: [weight("A", 1.0)]})
    allocation = Allocation(name="a", strategy=careful, capital=10_000)
    record = run_session(_plan(allocations=[allocation], execution=free()))
    assert [o.quantity for o in record.orders] == [20]


def test_plans_are_facts():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _plan().seed = 1


def test_intents_keep_their_time_in_force():
    strategy = Scripted({0: [with_tif(market("A", 5), TimeInForce.FOK)]})
    assert run(minutes({"A": [flat(1), flat(1, 2)]}), strategy).orders[0].reason == "fok_not_filled"


@pytest.mark.parametrize("rows", [None, 2, 3])
def test_the_benchmark_waits_for_a_split_symbols_first_bar_as_the_account_does(rows):
    """Held through a hole on the ex-session, an untouched holding and the benchmark are the same line: no spike, no crash."""
    bars = {"A": [flat(10), flat(10), None, None, flat(5), flat(5)], "B": steady(6)}
    record = run(days(bars, actions=[split("A", 2, 2.0), dividend("A", 3, 1.0)], rows=rows), Scripted())
    held = buy_and_hold(record.prices, record.market_actions, 1_000.0)
    # 50 shares until the fifth session, 100 with the split, and 100 of cash buy 20 more there.
    np.testing.assert_allclose(held, [1_000.0] * 4 + [1_100.0] * 2)
    np.testing.assert_allclose(split_adjustment(record.prices, record.market_actions)[:, 0], [0.5] * 4 + [1.0] * 2)
    assert [a.ex_session - FIRST_DAY for a in record.market_actions] == [4, 4]


@pytest.mark.parametrize("rows", [None, 1, 2, 3])
def test_history_is_not_adjusted_for_a_split_before_the_symbol_trades_again(rows):
    """Until then holding, mark and the newest close are of before the split; sized by it, 1,000 buys for 1,000, not 2,000."""
    seen = []

    def buy(strategy, context):
        closes = context.historical_data.closes("A", 2)
        seen.append((closes.tolist(), context.historical_data.panel(4)[:2, 0].tolist()))
        return [market("A", 1_000 / closes[-1])]

    def look(strategy, context):
        seen.append((context.historical_data.closes("A", 3).tolist(), context.historical_data.panel(5)[:2, 0].tolist()))
        return ()

    bars = {"A": [flat(10), flat(10), None, None, flat(5), flat(5)], "B": steady(6)}
    record = run(days(bars, actions=[split("A", 2, 2.0)], rows=rows), Scripted({3: buy, 4: look}))
    assert seen == [([10.0, 10.0], [10.0, 10.0]), ([5.0, 5.0, 5.0], [5.0, 5.0])]
    assert [(f.quantity, f.price) for f in record.fills] == [(200, 5.0)]


def test_ruin_leaves_no_share_of_positive_days():
    """After equity of nothing the returns mean nothing, and so does how many of them are above zero."""
    bars = [flat(100), flat(100), flat(150), flat(100), flat(90), flat(90)]
    record = run(days({"A": bars}), Scripted({0: [market("A", -15_000)]}))
    metrics = score(record, ledger_of(record))
    assert record.account.equity.min() < 0
    undefined = (
        "sharpe",
        "sortino",
        "annualised_vol",
        "best_day",
        "worst_day",
        "positive_days",
        "var_95",
        "beta",
        "max_leverage",
    )
    assert {name: metrics[name] for name in undefined} == dict.fromkeys(undefined)
