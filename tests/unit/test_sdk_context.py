"""The context: what a strategy sees of its capital, its limits and the time."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from fairlead import sdk
from fairlead.core.bars import BarSlice
from fairlead.core.errors import ConfigurationError, DataNotFound, UnknownName
from fairlead.core.fills import Fill
from fairlead.core.identity import random_stream
from fairlead.core.orders import Side
from fairlead.core.portfolio import Portfolio
from fairlead.features import compute
from fairlead.sdk import Bar, Context, PortfolioView, RiskLimits, Strategy, parameter
from fairlead.sdk.harness import StrategyHarness


def a_ledger() -> Portfolio:
    """1000 of cash; 60 A bought at 10, 20 B sold short at 20, both marked 10 % up."""
    ledger = Portfolio(1000.0, {"A": 11.0, "B": 22.0, "C": 1.0})
    for symbol, side, quantity, price in [("A", Side.BUY, 60, 10.0), ("B", Side.SELL, 20, 20.0), ("C", Side.BUY, 1, 1.0)]:
        ledger.apply(Fill("f", "o", "s", symbol, side, quantity, price, price, 0.0, 0, 0))
    ledger.apply(Fill("f", "o", "s", "C", Side.SELL, 1, 3.0, 3.0, 0.0, 0, 0))
    return ledger


def a_context(**given) -> Context:
    whole = {
        "portfolio": PortfolioView(a_ledger()),
        "historical_data": StrategyHarness(Strategy()).context.historical_data,
        "now_ns": lambda: 1_500_000_000,
        "symbols": ["A", "B"],
        "risk_limits": RiskLimits(),
        "random": random_stream(1, "s"),
        "open_orders": lambda: ("an order",),
        "features": "features",
    }
    return Context(**{**whole, **given})


def test_the_view_shows_the_ledger():
    view, ledger = PortfolioView(a_ledger()), a_ledger()
    assert (view.cash, view.equity) == (802.0, 1022.0)
    assert (view.gross_exposure, view.net_exposure) == (1100.0, 220.0)
    assert (view.realised_pnl, view.unrealised_pnl) == (2.0, 20.0)
    assert view.leverage == ledger.leverage == pytest.approx(1100 / 1022)
    assert view.buying_power() == 0.0
    assert view.buying_power(2.0) == pytest.approx(2 * 1022 - 1100)
    assert [view.quantity(s) for s in "ABCD"] == [60, -20, 0, 0]


def test_weights_are_signed_shares_of_equity():
    view = PortfolioView(a_ledger())
    assert view.weight("A") == pytest.approx(660 / 1022)
    assert view.weight("B") == pytest.approx(-440 / 1022)
    assert (view.weight("C"), view.weight("D")) == (0.0, 0.0)


def test_open_positions_alone_are_listed_and_cannot_be_written():
    view = PortfolioView(a_ledger())
    assert sorted(view.positions) == ["A", "B"]
    with pytest.raises(TypeError):
        view.positions["A"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        view.cash = 1e9  # type: ignore[misc]
    assert repr(view) == "PortfolioView(cash=802.00, positions=2)"


def test_time_is_the_injected_one():
    context = a_context()
    assert context.current_ns == 1_500_000_000
    assert context.current_time == dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=dt.UTC)
    assert (context.symbols, context.open_orders) == (("A", "B"), ("an order",))


class Declares(Strategy):
    features = ("rsi", "macd")


def test_a_feature_that_was_not_declared_is_told_with_the_remedy():
    view = StrategyHarness(Declares()).context.features
    with pytest.raises(UnknownName, match=r"no declared feature named 'rsl'.*did you mean 'rsi'\?.*required_features\(\)"):
        view.get("rsl", "AAPL")
    with pytest.raises(UnknownName, match=r"no output of feature 'macd' named 'hist'.*Known: .*histogram"):
        view.get("macd", "AAPL", "hist")
    with pytest.raises(UnknownName, match="no declared feature named 'ema'"):
        view.row("ema")
    with pytest.raises(DataNotFound, match="no symbol named 'IBM' in this run"):
        view.get("rsi", "IBM")


def test_declared_features_follow_the_bars_of_the_harness():
    harness = StrategyHarness(Declares(), symbols=("AAPL", "IBM"))
    harness.start()
    assert math.isnan(harness.context.features.get("rsi", "AAPL"))
    closes = [100.0 + (-1) ** i * i for i in range(40)]
    for close in closes:
        harness.bar("AAPL", close=close)
    expected = compute("rsi", pd.DataFrame({"close": closes})).iloc[-1]
    assert harness.context.features.get("rsi", "AAPL") == expected
    assert harness.context.features.get("macd", "AAPL", "signal") != harness.context.features.get("macd", "AAPL")
    np.testing.assert_array_equal(harness.context.features.row("rsi"), [expected, math.nan])


def test_features_and_notes_are_passed_through():
    notes = {"n": 1}
    context = a_context(metadata=notes)
    assert (context.features, context.metadata) == ("features", notes)
    assert a_context().metadata == {}


def test_the_stricter_limit_wins():
    loose, tight = RiskLimits(max_position_size=0.5, max_leverage=2.0), RiskLimits(max_position_size=0.1, max_leverage=3.0)
    assert loose.tightened_by(tight) == tight.tightened_by(loose) == RiskLimits(max_position_size=0.1, max_leverage=2.0)
    assert RiskLimits().tightened_by(tight).max_position_size == 0.1
    assert tight.tightened_by(RiskLimits()).max_position_size == 0.1
    assert RiskLimits().tightened_by(RiskLimits()).max_position_size is None


@pytest.mark.parametrize("given", [{"max_leverage": 0}, {"max_position_size": 0}, {"max_leverage": 21}, {"max_size": 1}])
def test_limits_have_ranges_and_refuse_unknown_keys(given):
    with pytest.raises(ValidationError):
        RiskLimits(**given)


def test_a_bare_strategy_does_nothing():
    """Every hook has a default, so that an author writes only what is needed."""
    strategy, context = Strategy(), a_context()
    for call in (
        lambda: strategy.on_start(context),
        lambda: strategy.on_market_event(Bar("A", 0, 0, 1, 1, 1, 1, 1), context),
        lambda: strategy.on_order_update(None, context),  # type: ignore[arg-type]
        lambda: strategy.on_corporate_action(None, context),  # type: ignore[arg-type]
        lambda: strategy.on_stop(context),
        lambda: strategy.load_state({}),
    ):
        assert call() is None
    assert list(strategy.generate_orders(context)) == []
    assert (strategy.save_state(), strategy.lookback(), tuple(strategy.required_symbols())) == ({}, 0, ())
    assert (Strategy.event_type, Strategy.risk_limits, Strategy.features) == (Bar, RiskLimits(), ())
    assert Strategy.event_type is not BarSlice


def test_the_door_is_sorted_and_complete():
    assert sorted(sdk.__all__) == sorted(set(sdk.__all__))
    assert all(hasattr(sdk, name) for name in sdk.__all__)


def test_the_symbols_a_strategy_declares_are_required():
    """A mistyped symbol is found before the start, whether the author thought of it or not."""

    class One(Strategy):
        symbol: str = parameter("A")

    class Several(Strategy):
        symbols: tuple[str, ...] = parameter(("B", "C"))

    assert list(One(symbol="X").required_symbols()) == ["X"]
    assert list(Several().required_symbols()) == ["B", "C"]
    assert list(Strategy().required_symbols()) == []


def test_a_parameter_is_not_replaced_by_a_plain_value():
    """`fast = 5` below a declared `fast` would be ignored: it is refused where it stands."""

    class One(Strategy):
        fast: int = parameter(3)

    with pytest.raises(ConfigurationError, match=r"'Two.fast' must be declared with parameter\(...\), was 5"):

        class Two(One):
            fast = 5
