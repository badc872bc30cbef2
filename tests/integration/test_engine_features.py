"""Features in a run: the same numbers however history is cut, in prices of the day, from all the history there is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, StrategyError, UnknownName
from fairlead.core.time import NS_PER_DAY
from fairlead.data.facts import Facts
from fairlead.evidence.lookahead import check_lookahead
from fairlead.features import compute_symbols
from fairlead.features.feed import SideData
from fairlead.features.supply import FeatureSupply
from fairlead.sdk import BarSlice, OrderIntent, Strategy
from support_sessions import allocate, days, dividend, flat, minutes, plan, random_bars, run, split, steady

SOME = {
    "mean": ("sma", {"n": 5}),
    "rsi": ("rsi", {"n": 3}),
    "bands": ("bollinger", {"n": 4}),
    "share": ("volume_ratio", {"n": 4}),
    "obv": "obv",
}


class Watcher(Strategy):
    """Writes down what it sees; trades on nothing."""

    event_type = BarSlice

    def __init__(self, wanted=None, **params):
        super().__init__(**params)
        self.wanted = dict(SOME if wanted is None else wanted)
        self.seen: list[dict[str, list[float]]] = []
        self.known: list[int] = []
        self.at_start: list[float] = []

    def required_features(self):
        return self.wanted

    def on_start(self, context):
        self.at_start = [context.features.get(label, symbol) for label in self.wanted for symbol in context.symbols]

    def on_market_event(self, event, context):
        view = context.features
        self.known.append(context.current_ns)
        self.seen.append({label: [view.get(label, symbol) for symbol in context.symbols] for label in self.wanted})
        for label in self.wanted:
            np.testing.assert_array_equal(view.row(label), self.seen[-1][label])

    def values(self, label):
        return np.array([seen[label] for seen in self.seen])


def market(n=120, seed=5, gaps=0.1, **kwargs):
    rng = np.random.default_rng(seed)
    bars = {symbol: random_bars(rng, n, gaps=gaps) for symbol in "AB"}
    actions = [split("A", 40, 2.0), dividend("B", 41, 1.5), split("B", 80, 0.25), dividend("A", 81, 0.7)]
    return days(bars, actions=actions, **kwargs)


def watch(source, wanted=None, **changes):
    watcher = Watcher(wanted)
    record = run(source, watcher, **changes)
    assert not record.strategies[0].error
    return watcher


@pytest.mark.parametrize("rows", [1, 7, 40, 41])
def test_blocks_of_any_size_give_the_same_bits(rows):
    """A block of one row is what live trading hands over."""
    whole, cut = watch(market()), watch(market(rows=rows))
    for label in SOME:
        np.testing.assert_array_equal(whole.values(label), cut.values(label), strict=True)
        assert np.isfinite(whole.values(label)[-20:]).any()


def test_a_run_that_starts_later_sees_the_numbers_of_one_that_started_before():
    """Recursive features remember everything: only all of history makes them equal."""
    whole, late = watch(market()), watch(market(rows=13).since(60))
    assert late.known == whole.known[60:]
    for label in SOME:
        np.testing.assert_array_equal(late.values(label), whole.values(label)[60:], strict=True)
    assert math.isfinite(np.nanmin(late.values("rsi")[0]))


def test_nothing_is_known_at_the_start():
    assert np.isnan(watch(market().since(60)).at_start).all()


def test_without_corporate_actions_features_are_those_of_the_raw_bars():
    source = market().changed(actions=())
    seen = watch(source)
    columns = {name: values.T for name, values in source.arrays.items()}
    for label, expected in compute_symbols(SOME, columns).items():
        np.testing.assert_array_equal(seen.values(label), expected[0].T, strict=True)


def test_a_split_is_not_a_move_and_prices_are_those_of_the_day():
    bars = [*steady(10, 100.0), *steady(10, 50.0)]
    wanted = {"mean": ("sma", {"n": 4}), "rsi": ("rsi", {"n": 3}), "z": ("zscore", {"n": 4}), "obv": "obv"}
    seen = watch(days({"A": bars}, actions=[split("A", 10, 2.0)]), wanted)
    np.testing.assert_array_equal(seen.values("mean")[3:, 0], [100.0] * 7 + [50.0] * 10)
    np.testing.assert_array_equal(seen.values("rsi")[3:, 0], 50.0)
    np.testing.assert_array_equal(seen.values("z")[3:, 0], 0.0)


def test_a_volume_is_in_shares_of_the_day():
    """1500 old shares, then 3000 new ones on a rise after a 2:1 split: 3000 + 3000 new shares."""
    rows = [flat(10.0, 500.0), flat(11.0, 1000.0), flat(6.0, 3000.0)]
    seen = watch(days({"A": rows}, actions=[split("A", 2, 2.0)]), {"obv": "obv"})
    np.testing.assert_array_equal(seen.values("obv")[1:, 0], [1500.0, 6000.0])


def test_a_dividend_is_not_a_move_either():
    rows = [*steady(6, 100.0), *steady(6, 99.0)]
    seen = watch(days({"A": rows}, actions=[dividend("A", 6, 1.0)]), {"r": ("simple_return", {"n": 1}), "z": "zscore"})
    np.testing.assert_allclose(seen.values("r")[1:, 0], 0.0, atol=1e-15)


def test_an_action_waits_for_the_first_bar_after_it():
    """The symbol pauses over its split; block borders lie in the pause."""
    rows = [*steady(5, 100.0), None, None, None, *steady(5, 50.0)]
    for size in (None, 1, 6):
        source = days({"A": rows, "B": steady(13)}, actions=[split("A", 6, 2.0)], rows=size)
        seen = watch(source, {"r": "simple_return", "mean": ("sma", {"n": 2})})
        np.testing.assert_array_equal(seen.values("r")[8:, 0], 0.0)
        np.testing.assert_array_equal(seen.values("mean")[8:, 0], 50.0)
        assert np.isnan(seen.values("mean")[5:8, 0]).all()


def test_what_took_effect_before_the_first_bar_touches_nothing():
    rows = [None, None, *steady(5, 50.0)]
    seen = watch(days({"A": rows, "B": steady(7)}, actions=[split("A", 1, 2.0)]), {"mean": ("sma", {"n": 2})})
    np.testing.assert_array_equal(seen.values("mean")[3:, 0], 50.0)


class Averages(Watcher):
    """Compares its features with what `historical_data` says."""

    def on_market_event(self, event, context):
        super().on_market_event(event, context)
        for symbol in context.symbols:
            if symbol not in event:
                assert math.isnan(context.features.get("mean", symbol))
                continue
            closes = context.historical_data.closes(symbol, 5)
            mean = context.features.get("mean", symbol)
            if len(closes) == 5:
                assert mean == pytest.approx(closes.mean(), rel=1e-12)
                assert context.features.get("high", symbol) == pytest.approx(closes.max(), rel=1e-12)
                volume = context.historical_data.values(symbol, 4, "volume")
                share = volume[-1] / volume.mean() if volume.any() else math.nan
                assert context.features.get("share", symbol) == pytest.approx(share, rel=1e-12, nan_ok=True)
            else:
                assert math.isnan(mean)


@settings(max_examples=25)
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 59), st.sampled_from([0.5, 2.0, 3.0, -0.5, -2.0])), max_size=6),
    st.sampled_from([None, 1, 7]),
)
def test_features_agree_with_adjusted_history_whatever_happens(seed, happenings, rows):
    """Positive numbers are split ratios, negative ones dividends."""
    rng = np.random.default_rng(seed)
    bars = {symbol: random_bars(rng, 60, gaps=0.2) for symbol in "AB"}
    placed = {(s, day): split(s, day, value) if value > 0 else dividend(s, day, -value) for s, day, value in happenings}
    wanted = {"mean": ("sma", {"n": 5}), "high": ("rolling_max", {"n": 5}), "share": ("volume_ratio", {"n": 4})}
    watcher = Averages(wanted)
    record = run(days(bars, actions=list(placed.values()), rows=rows), watcher)
    assert not record.strategies[0].error
    assert len(watcher.seen) == 60


class Crossing(Strategy):
    """Trades on a feature."""

    def required_features(self):
        return {"fast": ("ema", {"n": 3}), "slow": ("ema", {"n": 9})}

    def on_market_event(self, event, context):
        self.symbol = event.symbol

    def generate_orders(self, context):
        up = context.features.get("fast", self.symbol) > context.features.get("slow", self.symbol)
        held = context.portfolio.quantity(self.symbol)
        return [OrderIntent.target_position(self.symbol, 10 if up else 0)] if up != bool(held) else []


def test_a_strategy_on_features_sees_no_future():
    report = check_lookahead(lambda: plan(market(rows=11), Crossing()), cuts=8)
    assert report.passed
    assert report.orders > 20
    late = check_lookahead(lambda: plan(market(rows=11).since(50), Crossing()), cuts=4)
    assert late.passed


def test_strategies_share_what_they_ask_for_and_keep_their_own_names():
    first, second = Watcher({"x": ("sma", {"n": 3})}), Watcher({"x": ("sma", {"n": 4}), "y": ("sma", {"n": 3})})
    run(market(), allocate(first, "one"), allocate(second, "two"))
    np.testing.assert_array_equal(first.values("x"), second.values("y"), strict=True)
    assert not np.array_equal(first.values("x"), second.values("x"), equal_nan=True)


def test_an_undeclared_feature_stops_the_strategy_and_says_how_to_declare_it():
    class Forgetful(Strategy):
        features = ("rsi",)

        def on_market_event(self, event, context):
            context.features.get("ema", event.symbol)

    record = run(market(), Forgetful())
    assert "no declared feature named 'ema'" in record.strategies[0].error
    assert "required_features()" in record.strategies[0].error


@pytest.mark.parametrize(
    ("wanted", "error", "text"),
    [
        ({"x": "rsj"}, UnknownName, "no feature named 'rsj'; did you mean 'rsi'"),
        ({"x": ("rsi", {"m": 3})}, UnknownName, "'m'"),
        ({"x": ("rsi", {"n": 0})}, ConfigurationError, "n"),
        ({"x": "microprice"}, ConfigurationError, "a feature reads 'bid', and bars have no quotes"),
        ({"x": "beta"}, ConfigurationError, "a feature reads 'benchmark', and none is named. Set features.benchmark"),
        ({"x": "eps"}, ConfigurationError, "a feature reads 'fact.eps', and there are no facts. Set features.facts"),
    ],
)
def test_a_wrong_request_is_told_before_the_run(wanted, error, text):
    with pytest.raises(error, match=text.replace(".", r"\.")):
        run(market(), Watcher(wanted))


def test_a_feature_that_raises_is_named():
    with pytest.raises(StrategyError, match="one of the features raising raised AttributeError"):
        run(market(), Watcher({"x": "support_features:raising"}))


def test_the_benchmark_is_a_symbol_of_the_run():
    source = market(gaps=0.0)
    seen = watch(source, {"beta": ("beta", {"n": 20})}, features=FeatureSupply(side=SideData(benchmark="A")))
    np.testing.assert_allclose(seen.values("beta")[30:, 0], 1.0, rtol=1e-9)
    assert not np.allclose(seen.values("beta")[30:, 1], 1.0, rtol=1e-3)
    with pytest.raises(UnknownName, match="no benchmark symbol of this run named 'SPY'"):
        run(source, Watcher({"x": "beta"}), features=FeatureSupply(side=SideData(benchmark="SPY")))


def test_earnings_per_share_survive_a_split():
    """Price 100 and earnings 5 before a 2:1 split, 50 and 2.5 after it: the ratio stays 20."""
    source = days({"A": [*steady(6, 100.0), *steady(6, 50.0)]}, actions=[split("A", 6, 2.0)])
    published = pd.Timestamp(int(source.known_ns[1]), tz="UTC")
    row = {"symbol": "A", "field": "eps", "value": 5.0, "period_end": published.date(), "published": published}
    facts = Facts.from_frame(pd.DataFrame([row]))
    seen = watch(source, {"pe": "price_to_earnings", "eps": "eps"}, features=FeatureSupply(side=SideData(facts=facts)))
    assert math.isnan(seen.values("pe")[0, 0])
    np.testing.assert_allclose(seen.values("pe")[1:, 0], 20.0, rtol=1e-12)
    np.testing.assert_allclose(seen.values("eps")[:, 0], [math.nan, *[5.0] * 5, *[2.5] * 6], rtol=1e-12)


def test_sessions_and_minutes_are_those_of_the_bars():
    source = minutes({"A": [flat(10.0 + i % 7, 100.0 + i) for i in range(90)]}, per_session=30, rows=11)
    seen = watch(source, {"clock": "time_of_day", "vwap": "session_vwap"})
    np.testing.assert_array_equal(seen.values("clock")[:, 0], np.tile(np.arange(30.0), 3))
    price, volume = source.arrays["close"][:, 0], source.arrays["volume"][:, 0]
    first = (source.known_ns // NS_PER_DAY == source.known_ns[-1] // NS_PER_DAY).argmax()
    expected = (price * volume)[first:].cumsum() / volume[first:].cumsum()
    np.testing.assert_allclose(seen.values("vwap")[first:, 0], expected, rtol=1e-12)
