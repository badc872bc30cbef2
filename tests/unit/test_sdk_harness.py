"""The harness: real context, history and ledger, and no opinion on prices."""

from __future__ import annotations

import datetime as dt
import math
import runpy

import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, InvalidTransition, StrategyError
from fairlead.core.identity import random_stream
from fairlead.core.time import BarSize, to_datetime
from fairlead.sdk import (
    BarSlice,
    CancelIntent,
    OrderIntent,
    RiskLimits,
    Strategy,
    StrategyHarness,
    find_strategy,
    lint_strategy,
    parameter,
)
from fairlead.sdk.scaffold import new_strategy_source, new_strategy_test_source


class Recorder(Strategy):
    """Notes every call, and wants what the test put into `wanted`."""

    version = "1.0.0"
    keep: int = parameter(3, ge=1)
    risk_limits = RiskLimits(max_leverage=2.0)

    def on_start(self, context):
        self.calls = [("start", context.current_time)]
        self.wanted = []
        self.updates = []

    def on_market_event(self, event, context):
        self.calls.append((event.symbol, event.close, context.current_time))
        self.closes = context.historical_data.closes(event.symbol, self.keep).tolist()

    def generate_orders(self, context):
        self.calls.append("orders")
        return self.wanted

    def on_order_update(self, order, context):
        self.updates.append((order.status.value, order.filled_quantity, context.portfolio.quantity(order.symbol)))

    def on_stop(self, context):
        self.calls.append("stop")


class Slices(Recorder):
    event_type = BarSlice

    def on_market_event(self, event, context):
        self.calls.append({bar.symbol: bar.close for bar in event})


def started(strategy=None, **given) -> StrategyHarness:
    harness = StrategyHarness(strategy or Recorder(), **given)
    harness.start()
    return harness


def test_hooks_are_called_in_the_engines_order():
    harness = started()
    assert harness.bar("AAPL", close=101) == []
    harness.stop()
    day = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    assert harness.strategy.calls == [("start", day), ("AAPL", 101.0, day.replace(hour=21)), "orders", "stop"]


def test_days_follow_one_another_known_at_21_and_labelled_midnight():
    harness = started()
    stamps = []
    for close in (1, 2, 3):
        harness.bar("AAPL", close=close)
        [bar] = harness.context.historical_data.bars("AAPL", 1)
        stamps.append((bar.label, bar.timestamp))
    days = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in (2, 3, 4)]
    assert stamps == [(day, day.replace(hour=21)) for day in days]
    assert harness.strategy.closes == [1, 2, 3]


def test_intraday_bars_follow_one_another():
    harness = started(bar_size=BarSize.M5)
    assert f"{harness.context.current_time:%H:%M}" == "14:30"
    harness.bar("AAPL", close=1)
    harness.bar("AAPL", close=2)
    bars = harness.context.historical_data.bars("AAPL", 2)
    assert [f"{bar.label:%H:%M}-{bar.timestamp:%H:%M}" for bar in bars] == ["14:30-14:35", "14:35-14:40"]


def test_a_given_instant_is_taken_and_must_move_forward():
    harness = started()
    at = dt.datetime(2024, 3, 8, 18, tzinfo=dt.UTC)
    harness.bar("AAPL", close=1, at=at)
    assert harness.context.current_time == at
    with pytest.raises(ContractError, match="'at' must be later than the bar before, was '2024-03-08T18:00:00"):
        harness.bar("AAPL", close=1, at=at)
    with pytest.raises(ContractError, match="carry a time zone"):
        harness.bar("AAPL", close=1, at=at.replace(tzinfo=None, year=2025))
    harness.bar("AAPL", close=1)
    assert harness.context.current_time == dt.datetime(2024, 3, 9, 21, tzinfo=dt.UTC)


def test_prices_that_are_not_given_span_what_is():
    harness = started()
    harness.bar("AAPL", close=101, open=99, volume=5)
    harness.bar("AAPL", close=101, open=99, high=105, low=90)
    first, second = harness.context.historical_data.bars("AAPL", 2)
    assert first[3:] == (99.0, 101.0, 99.0, 101.0, 5.0)
    assert second[3:7] == (99.0, 105.0, 90.0, 101.0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"close": 0}, "'AAPL open' must be a finite price above 0, was 0"),
        ({"close": math.nan}, "must be a finite price above 0, was nan"),
        ({"close": 10, "high": 9}, r"'AAPL bar' must have low <= open, close <= high, was \(10, 9, 10, 10\)"),
        ({"close": 10, "low": 11}, "'AAPL bar' must have low <= open, close <= high"),
        ({"close": 10, "volume": -1}, "'AAPL volume' must be a finite number, at least 0, was -1"),
    ],
)
def test_a_bar_that_is_none_is_refused_and_leaves_no_trace(given, text):
    harness = started()
    with pytest.raises(ContractError, match=text):
        harness.bar("AAPL", **given)
    assert len(harness.context.historical_data.closes("AAPL", 5)) == 0
    assert harness.strategy.calls[1:] == []


def test_a_slice_reaches_a_slice_strategy_whole_and_a_bar_strategy_bar_by_bar():
    prices = {"MSFT": 30, "AAPL": 101}
    whole = started(Slices(), symbols=("MSFT", "AAPL", "SPY"))
    whole.slice(prices)
    whole.bar("SPY", close=400)
    assert whole.strategy.calls[1:] == [{"AAPL": 101.0, "MSFT": 30.0}, "orders", {"SPY": 400.0}, "orders"]
    single = started(symbols=("AAPL", "MSFT"))
    single.slice(prices)
    assert [call[0] if isinstance(call, tuple) else call for call in single.strategy.calls] == [
        "start",
        "AAPL",
        "MSFT",
        "orders",
    ]
    assert whole.context.symbols == ("AAPL", "MSFT", "SPY")


def test_unknown_symbols_and_empty_slices_are_refused():
    harness = started()
    with pytest.raises(DataNotFound, match=r"no symbol named 'MSFT' in this run. Known: AAPL"):
        harness.slice({"AAPL": 1, "MSFT": 2})
    with pytest.raises(ContractError, match="'slice' must hold at least one bar"):
        harness.slice({})
    assert len(harness.context.historical_data.closes("AAPL", 5)) == 0


def test_before_the_first_bar_history_is_empty():
    context = started().context
    assert context.historical_data.closes("AAPL", 3).tolist() == []
    assert context.historical_data.bars("AAPL", 3) == []
    assert context.historical_data.panel(3).shape == (0, 1)
    assert context.portfolio.equity == 100_000.0


def test_a_fill_moves_the_ledger_and_tells_the_strategy():
    """Buy 10 at 102 for one dollar, marked at 101: 11 dollars poorer."""
    harness = started(cash=5000)
    harness.strategy.wanted = [OrderIntent.market("AAPL", 10, tag="why")]
    [intent] = harness.bar("AAPL", close=101)
    assert [o.status for o in harness.context.open_orders] == ["ACKNOWLEDGED"]
    order = harness.fill(intent, price=102, commission=1)
    assert (order.average_price, order.commission, order.tag, order.side) == (102, 1, "why", "BUY")
    assert harness.strategy.updates == [("FILLED", 10, 10.0)], "the ledger moves before the strategy hears of it"
    assert harness.context.open_orders == ()
    assert (harness.portfolio.cash, harness.portfolio.equity) == (5000 - 1020 - 1, 5000 - 10 - 1)
    harness.strategy.wanted = []
    harness.bar("AAPL", close=110)
    assert harness.portfolio.equity == 5000 - 1 + 80


def test_partial_fills_work_on_one_order():
    harness = started()
    harness.strategy.wanted = [OrderIntent.limit("AAPL", -10, 100.0)]
    [intent] = harness.bar("AAPL", close=101)
    harness.fill(intent, price=101, quantity=-4)
    assert [(o.status, o.remaining, o.limit_price) for o in harness.context.open_orders] == [("PARTIALLY_FILLED", 6, 100.0)]
    with pytest.raises(InvalidTransition, match=r"has 6\.0 left and cannot fill 7"):
        harness.fill(intent, price=101, quantity=-7)
    with pytest.raises(ConfigurationError, match="'fill quantity' must have the sign of a SELL order, was 2"):
        harness.fill(intent, price=101, quantity=2)
    harness.fill(intent, price=103)
    assert harness.strategy.updates == [("PARTIALLY_FILLED", 4, -4.0), ("FILLED", 10, -10.0)]
    assert harness.orders[0].average_price == pytest.approx(102.2)
    assert len(harness.orders) == 1


def test_a_target_position_trades_the_difference():
    harness = started()
    harness.strategy.wanted = [OrderIntent.target_position("AAPL", 10)]
    harness.fill(harness.bar("AAPL", close=100)[0], price=100)
    assert len(harness.bar("AAPL", close=100)) == 1
    assert len(harness.orders) == 1, "a target that is held needs no order"
    harness.strategy.wanted = [OrderIntent.target_position("AAPL", -5)]
    order = harness.fill(harness.bar("AAPL", close=100)[0], price=100)
    assert (order.side, order.quantity, harness.portfolio.quantity("AAPL")) == ("SELL", 15, -5)


@pytest.mark.parametrize("intent", [OrderIntent.target_weight("AAPL", 0.5), OrderIntent.notional("AAPL", 1000)])
def test_what_only_the_engine_can_size_needs_a_quantity(intent):
    harness = started()
    harness.strategy.wanted = [intent]
    harness.bar("AAPL", close=100)
    assert harness.context.open_orders == ()
    with pytest.raises(ConfigurationError, match=f"'fill of a {intent.amount_kind} intent' must be given a quantity, was None"):
        harness.fill(intent, price=100)
    assert harness.fill(intent, price=100, quantity=500).status == "FILLED"
    assert harness.portfolio.quantity("AAPL") == 500


def test_equal_intents_of_different_bars_are_different_orders():
    harness = started()
    harness.strategy.wanted = [OrderIntent.market("AAPL", 10)]
    harness.bar("AAPL", close=100)
    [second] = harness.bar("AAPL", close=100)
    assert harness.fill(second, price=100) is harness.orders[1]
    assert harness.fill(second, price=100) is harness.orders[0]
    assert len({order.order_id for order in harness.orders}) == 2
    assert len({order.idempotency_key for order in harness.orders}) == 2


@pytest.mark.parametrize("price", [0, -1, math.nan, math.inf])
def test_a_fill_needs_a_price(price):
    harness = started()
    harness.bar("AAPL", close=100)
    with pytest.raises(ConfigurationError, match="'fill price' must be a finite price above 0"):
        harness.fill(OrderIntent.market("AAPL", 1), price=price)


@pytest.mark.parametrize("quantity", [0, math.nan, math.inf])
def test_a_fill_needs_a_quantity_that_is_one(quantity):
    harness = started()
    harness.bar("AAPL", close=100)
    with pytest.raises(ConfigurationError, match="'fill quantity' must"):
        harness.fill(OrderIntent.target_weight("AAPL", 1), price=1, quantity=quantity)
    assert harness.orders == ()


def test_a_fill_needs_a_bar_first():
    """Without a mark the ledger could not say what the position is worth."""
    harness = started(symbols=("AAPL", "MSFT"))
    with pytest.raises(DataNotFound, match=r"'AAPL' has no price yet. Deliver a bar of it before the fill"):
        harness.fill(OrderIntent.market("AAPL", 1), price=1)
    harness.bar("AAPL", close=1)
    for symbol in ("MSFT", "SPY"):
        with pytest.raises(DataNotFound, match=f"'{symbol}' has no price yet"):
            harness.fill(OrderIntent.market(symbol, 1), price=1)


def test_cancels_and_rejections_are_told():
    harness = started()
    harness.strategy.wanted = [OrderIntent.market("AAPL", 10), OrderIntent.stop("AAPL", -5, 90.0)]
    first, second = harness.bar("AAPL", close=100)
    assert harness.reject(first, "no funds").reason == "no funds"
    cancel = CancelIntent(harness.context.open_orders[0].order_id)
    assert harness.cancel(cancel).stop_price == 90.0
    assert [status for status, _, _ in harness.strategy.updates] == ["REJECTED", "CANCELLED"]
    with pytest.raises(ConfigurationError, match="'intent' must have a working order"):
        harness.cancel(second)


def test_only_intents_may_be_returned():
    harness = started()
    harness.strategy.wanted = ["buy"]
    with pytest.raises(
        StrategyError,
        match="'recorder generate_orders' must return OrderIntent, CancelIntent and ReplaceIntent only, was 'buy'",
    ):
        harness.bar("AAPL", close=1)
    harness.strategy.wanted = [CancelIntent("x")]
    assert harness.bar("AAPL", close=1) == [CancelIntent("x")]


@pytest.mark.parametrize(
    "call",
    [
        lambda h: h.bar("AAPL", close=1),
        lambda h: h.stop(),
        lambda h: h.save_and_restore(),
        lambda h: h.fill(OrderIntent.market("AAPL", 1), price=1),
        lambda h: h.cancel(CancelIntent("x")),
    ],
)
def test_the_lifecycle_is_kept(call):
    harness = StrategyHarness(Recorder())
    with pytest.raises(StrategyError, match=r"start\(\) comes before .*; the harness is new"):
        call(harness)
    harness.start()
    with pytest.raises(StrategyError, match=r"start\(\) is called once.*; the harness is running"):
        harness.start()
    harness.stop()
    with pytest.raises(StrategyError, match="the harness is stopped"):
        call(harness)


def test_required_symbols_are_checked_at_the_start():
    class Needy(Strategy):
        def required_symbols(self):
            return ("SPY", "AAPL", "QQQ")

    with pytest.raises(DataNotFound, match=r"needy requires QQQ, SPY. Give symbols=\(...\) to the harness"):
        StrategyHarness(Needy(), symbols=("aapl",)).start()


def test_a_class_is_not_a_strategy_yet():
    with pytest.raises(ConfigurationError, match=r"'strategy' must be an instance of Strategy.*Pass MyStrategy\(\)"):
        StrategyHarness(Recorder)


def test_the_context_is_the_strategys_own():
    harness = started(seed=7)
    assert harness.context.risk_limits == RiskLimits(max_leverage=2.0)
    assert harness.context.random.random() == random_stream(7, "recorder").random()


class Counter(Strategy):
    step: int = parameter(1)

    def on_start(self, context):
        self.total = 0
        context.metadata["bars"] = 0

    def on_market_event(self, event, context):
        self.total += self.step
        context.metadata["bars"] += 1

    def save_state(self):
        return {"total": self.total}

    def load_state(self, state):
        self.total = state["total"]


def test_state_survives_in_a_fresh_instance():
    harness = started(Counter(step=2))
    old = harness.strategy
    harness.bar("AAPL", close=1)
    assert harness.save_and_restore() is harness.strategy
    assert harness.strategy is not old
    harness.bar("AAPL", close=1)
    assert (harness.strategy.total, harness.context.metadata, old.total) == (4, {"bars": 2}, 2)


def test_a_state_that_is_lost_is_named():
    class Forgetful(Counter):
        def load_state(self, state):
            pass

    harness = started(Forgetful())
    harness.bar("AAPL", close=1)
    with pytest.raises(
        StrategyError, match=r"'forgetful load_state' must restore all that save_state returns, was \['total'\]"
    ):
        harness.save_and_restore()


@pytest.mark.parametrize("state", [{"x": object()}, {"x": math.nan}, [1]])
def test_a_state_that_json_cannot_carry_is_refused(state):
    class Bad(Counter):
        def save_state(self):
            return state

    with pytest.raises(StrategyError, match=r"'bad save_state\(\)' must be (JSON-able without NaN|a dict)"):
        started(Bad()).save_and_restore()


def test_metadata_must_be_json_too():
    harness = started()
    harness.context.metadata["x"] = {1, 2}
    with pytest.raises(StrategyError, match=r"'recorder context.metadata' must be JSON-able"):
        harness.save_and_restore()


def test_no_later_bar_can_be_reached_from_an_earlier_window():
    harness = started()
    harness.bar("AAPL", close=1)
    before = harness.context.historical_data.closes("AAPL", 5)
    harness.bar("AAPL", close=2)
    assert before.tolist() == [1]
    assert to_datetime(harness.context.current_ns).day == 3


@pytest.mark.parametrize(
    ("name", "cls", "registered"),
    [
        ("my_cross", "MyCross", "my_cross"),
        ("MyCross", "MyCross", "my_cross"),
        ("my cross!", "MyCross", "my_cross"),
        ("sma_3x", "Sma3x", "sma_3x"),
        ("RSI", "Rsi", "rsi"),
    ],
)
def test_a_new_strategy_runs_lints_and_passes_its_own_test(tmp_path, name, cls, registered):
    for folder in ("strategies", "tests"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "strategies" / f"{registered}.py"
    file.write_text(new_strategy_source(name))
    made = find_strategy(str(file))
    assert (made.__name__, made.name) == (cls, registered)
    assert lint_strategy(made) == []
    test_file = tmp_path / "tests" / f"test_{registered}.py"
    test_file.write_text(new_strategy_test_source(name))
    tests = [value for key, value in runpy.run_path(str(test_file)).items() if key.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_a_new_strategy_is_about_fifteen_lines():
    assert len([line for line in new_strategy_source("my_cross").splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("name", ["", "  ", "3x", "none", "strategy", "order intent", "été", "--"])
@pytest.mark.parametrize("make", [new_strategy_source, new_strategy_test_source])
def test_a_name_that_makes_no_class_is_refused(make, name):
    with pytest.raises(ConfigurationError, match="'strategy name' must start with a letter and leave a free class name, was"):
        make(name)
