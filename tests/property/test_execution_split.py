"""Execution quality: the split adds up to the metrics, and the shortfall to what a portfolio on paper earned more."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.backtest.execution_summary import execution_quality
from fairlead.backtest.scorecard import score
from fairlead.backtest.trades import ledger_of
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import Random, Scripted, allocate, days, dividend, free, minutes, plan, random_bars, run, split

COSTS = {
    "slippage": SlippageSettings(model="volume_based", params={"base_bps": 5, "volume_factor": 0.1}),
    "commission": CommissionSettings(model="per_share", params={"per_share": 0.005, "minimum": 1.0}),
}
SYMBOLS = ("A", "B", "C")


def traded(seed: int, *, intraday: bool):
    """A run of two strategies that send whatever there is, over three symbols with gaps, a split and a dividend."""
    random = np.random.default_rng(seed)
    bars = {symbol: random_bars(random, 60, gaps=0.1, volume=5_000.0) for symbol in SYMBOLS}
    make = minutes if intraday else days
    later = 0 if intraday else 20
    source = make(bars, actions=[split("A", later, 2.0), dividend("B", later, 0.5)])
    return run(
        source,
        allocate(Random(), "one"),
        allocate(Random(), "two"),
        seed=seed,
        execution=free(**COSTS, max_bar_participation=0.1, latency=LatencySettings(mean_ms=10, std_ms=5)),
        instruments={"C": Instrument(symbol="C", multiplier=5.0)},
    )


@pytest.mark.parametrize("intraday", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_split_by_strategy_and_by_symbol_adds_up_to_the_metrics(seed, intraday):
    """Slippage, commission, orders, fills and fill rate: what is in the tables is what the run reports."""
    record = traded(seed, intraday=intraday)
    multipliers = {"C": 5.0}
    quality = execution_quality(record, multipliers)
    metrics = score(record, ledger_of(record, multipliers))
    total = quality.total
    for groups in (quality.by_strategy, quality.by_symbol, quality.by_order_type):
        for ours, theirs in (("slippage", "total_slippage"), ("commission", "total_fees")):
            split_up = sum(getattr(summary.costs, ours) for summary in groups.values())
            assert split_up == pytest.approx(metrics[theirs], rel=1e-9, abs=1e-9)
        for name in ("orders", "fills", "partly_filled", "traded_value"):
            assert sum(getattr(s, name) for s in groups.values()) == pytest.approx(getattr(total, name), rel=1e-9)
        short = [s.shortfall.total for s in groups.values() if s.shortfall is not None]
        assert sum(short) == pytest.approx(total.shortfall.total if total.shortfall else 0.0, rel=1e-9, abs=1e-6)
    assert total.orders == metrics["num_orders"]
    assert total.fills == metrics["num_fills"]
    assert total.statuses.get("REJECTED", 0) == metrics["num_rejections"]
    assert (total.fill_rate_quantity is None) == (metrics["fill_rate"] is None)
    if metrics["fill_rate"] is not None:
        assert total.fill_rate_quantity == pytest.approx(metrics["fill_rate"], rel=1e-9)
    assert total.costs.bps is None or total.costs.bps == pytest.approx(metrics["cost_bps"], rel=1e-9)


class Takers(Scripted):
    """Sends market orders alone, none of them at the end, so that every one fills."""

    def generate_orders(self, context):
        self.instant += 1
        if self.instant >= 38 or context.random.random() < 0.5:
            return []
        quantity = float(context.random.integers(1, 300)) * (1 if context.random.random() < 0.5 else -1)
        return [OrderIntent.market(str(context.random.choice(context.symbols)), quantity)]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_shortfall_is_what_the_paper_portfolio_earned_more(seed):
    """Perold's definition: the same decisions, done at once at the prices at which they were made, without any cost."""
    random = np.random.default_rng(seed)
    bars = {symbol: [(*row[:4], 1e6) for row in random_bars(random, 40)] for symbol in SYMBOLS}
    limits = {"max_leverage": 20}
    record = run(days(bars), allocate(Takers(), capital=1e7, **limits), seed=seed, execution=free(**COSTS))
    quality = execution_quality(record)
    assert all(order.order.status == "FILLED" for order in quality.orders)
    marks = dict(zip(record.prices.symbols, record.prices.mark[-1].tolist(), strict=True))
    paper = sum(o.order.side.sign * o.order.quantity * (marks[o.order.symbol] - o.reference_price) for o in quality.orders)
    real = float(record.account.equity[-1]) - record.initial_cash
    short = quality.total.shortfall.total if quality.orders else 0.0
    assert paper - real == pytest.approx(short, rel=1e-9, abs=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_prices_noted_do_not_depend_on_how_the_data_is_cut(seed):
    """Blocks of any length give the same prices of decisions and the same bars of fills."""
    random = np.random.default_rng(seed)
    bars = {symbol: random_bars(random, 50, gaps=0.1) for symbol in SYMBOLS}
    records = [run(minutes(bars, per_session=20, rows=rows), Random(), seed=seed) for rows in (0, 1, 7)]
    for record in records:
        noted = record.execution_prices
        assert len(noted.arrival) == len(record.orders)
        assert len(noted.bar) == len(noted.mid) == len(record.fills)
        np.testing.assert_array_equal(noted.arrival, records[0].execution_prices.arrival)
        np.testing.assert_array_equal(noted.bar, records[0].execution_prices.bar)
        for fill, (_, high, low, _, _) in zip(record.fills, noted.bar.tolist(), strict=True):
            assert low <= fill.price_ideal <= high


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_recording_changes_nothing_and_loses_nothing(seed):
    """With and without a recorder the digest is the same, and the events hold every update, fill and action once, in order."""
    random = np.random.default_rng(seed)
    bars = {symbol: random_bars(random, 40, gaps=0.1) for symbol in SYMBOLS}
    source = days(bars, actions=[split("A", 9, 2.0), dividend("B", 15, 0.5)])
    plain = run(source, Random(), seed=seed)
    recorded = run(source, Random(), seed=seed, record=True)
    assert plain.digest == recorded.digest
    assert plain.events is None
    facts = [event.fact for event in recorded.events]
    for listed in ("updates", "fills", "applied_actions", "market_actions"):
        of_kind = [fact for fact in facts if any(fact is item for item in getattr(recorded, listed))]
        assert of_kind == getattr(recorded, listed)
    keys = [(event.instant_ns, event.stage) for event in recorded.events]
    assert keys == sorted(keys)
    assert plan(source, Random()).record is False
    assert dataclasses.replace(recorded, events=None).digest == plain.digest
