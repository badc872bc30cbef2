"""A kernel strategy in both loops: histories, costs and wishes of every kind, and what has to be equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from fairlead.backtest.pools.compiled import CompiledPool
from fairlead.backtest.trials import StrategyEntry, TrialSetup, run_trial
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.engine.compiled import CompiledRuns, run_compiled, unfit
from fairlead.engine.compiled import layout as at
from fairlead.engine.session import run_session
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk.limits import RiskLimits
from support_sessions import FIRST_DAY, allocate, days, free, minutes, plan

COMMISSIONS = st.sampled_from(
    [
        CommissionSettings(model="none"),
        CommissionSettings(model="bps", params={"bps": 3.5}),
        CommissionSettings(model="per_share", params={"per_share": 0.01, "minimum": 1.5, "max_frac": 0.02}),
        CommissionSettings(model="per_order", params={"amount": 2.25}),
    ]
)
SLIPPAGES = st.sampled_from(
    [
        SlippageSettings(model="none"),
        SlippageSettings(model="fixed", params={"bps": 7}),
        SlippageSettings(model="volume_based", params={"base_bps": 4, "volume_factor": 0.3}),
    ]
)
LATENCIES = st.sampled_from(
    [
        LatencySettings(mean_ms=0, std_ms=0),
        LatencySettings(mean_ms=10, std_ms=5),
        LatencySettings(mean_ms=45_000, std_ms=30_000),
        LatencySettings(mean_ms=200_000, std_ms=100_000),
        LatencySettings(mean_ms=90_000, std_ms=0),
    ]
)
EXECUTIONS = st.builds(
    free,
    commission=COMMISSIONS,
    slippage=SLIPPAGES,
    latency=LATENCIES,
    max_bar_participation=st.sampled_from([0.003, 0.02, 0.1, 0.5, 1.0]),
    limit_fill_on_touch=st.booleans(),
    slippage_on_limits=st.booleans(),
    allow_same_bar_exit=st.booleans(),
    arrival_grace_ms=st.sampled_from([0.0, 1000.0, 60_000.0]),
)
INSTRUMENTS = st.sampled_from(
    [
        {},
        {"lot_step": 0.01, "min_quantity": 0.01},
        {"lot_step": 10.0, "min_quantity": 20.0, "shortable": False},
        {"tick_size": 0.05, "multiplier": 5.0},
        {"lot_step": 0.25, "min_quantity": 0.7, "multiplier": 0.1, "tick_size": 0.0001},
        {"lot_step": 1e-8, "min_quantity": 1e-6, "shortable": False},
        {"multiplier": 50.0, "tick_size": 0.25},
    ]
)
LIMITS = st.fixed_dictionaries(
    {
        "max_position_size": st.sampled_from([None, None, 0.3, 0.02]),
        "max_leverage": st.sampled_from([0.05, 0.8, 2.0, 20.0]),
    }
)
OWN_LIMITS = st.sampled_from([None, None, RiskLimits(max_leverage=1.5), RiskLimits(max_position_size=0.25, max_leverage=4.0)])
CAPITALS = st.sampled_from([37.5, 900.0, 20_000.0, 20_000.0, 1e9])
WISHES = st.fixed_dictionaries(
    {
        "seed": st.integers(1, 100_000),
        "activity": st.sampled_from([0.05, 0.3, 0.9]),
        "brackets": st.sampled_from([0.0, 0.6, 1.0]),
        "width": st.sampled_from([0.005, 0.03]),
    }
)
_SUMMER = 19_905
"""Two sessions before that of 3 July 2024, which closes at 17:00 UTC."""


@st.composite
def histories(draw, least=20, most=160, symbols=6):
    """Draw a history: gaps, late listings, ends, still bars, cheap and dear symbols, actions at any session, blocks."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = "ABCDEF"[: draw(st.integers(1, symbols))]
    length = draw(st.integers(least, most))
    gaps = draw(st.sampled_from([0.0, 0.0, 0.15, 0.5]))
    still = draw(st.sampled_from([0.1, 0.5]))
    volume = draw(st.sampled_from([200.0, 4_000.0, 1e6]))
    starts = draw(st.lists(st.sampled_from([0.03, 0.9, 2.0, 50.0, 50.0, 400.0, 2e5]), min_size=len(names), max_size=len(names)))
    bars = {
        s: wild_bars(random, length, gaps=gaps, still=still, volume=volume, start=p) for s, p in zip(names, starts, strict=True)
    }
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        late, last = sorted(random.integers(0, length, 2))
        bars[name] = [row if late <= i <= last else None for i, row in enumerate(bars[name])]
    daily = draw(st.booleans())
    per_session = draw(st.sampled_from([7, 25, 390]))
    first_day = draw(st.sampled_from([FIRST_DAY, _SUMMER]))
    sessions = length if daily else -(-length // per_session)
    actions = {}
    for _ in range(draw(st.integers(0, 5))):
        made = action(
            random, names, int(random.choice([random.integers(sessions), 0, sessions - 1, sessions // 2])) + first_day
        )
        actions[made.symbol, made.ex_session, made.kind] = made
    options = {"actions": list(actions.values()), "rows": draw(st.sampled_from([None, 13, 1])), "first_day": first_day}
    source = days(bars, **options) if daily else minutes(bars, per_session=per_session, **options)
    return source.since(draw(st.integers(1, length // 2))) if draw(st.booleans()) else source


def wild_bars(random, n, *, gaps, still, volume, start):
    """Return valid bars of a random walk on the grid of their prices."""
    rows, close = [], start
    for _ in range(n):
        open_ = max(0.002, close * (1 + random.normal(0, 0.02)))
        close = max(0.002, open_ * (1 + random.normal(0, 0.03)))
        high, low = max(open_, close) * (1 + abs(random.normal(0, 0.01))), min(open_, close) * (1 - abs(random.normal(0, 0.01)))
        places = 2 if start > 1.0 else 4
        found = tuple(max(10.0**-places, round(x, places)) for x in (open_, high, low, close))
        size = float(random.integers(0, int(volume))) if random.random() > still else 0.0
        rows.append((*found, size) if random.random() >= gaps else None)
    return rows


def action(random, names, session):
    """Return some action that both loops know."""
    symbol, kind = names[int(random.integers(len(names)))], random.choice(["split", "dividend", "stock"])
    if kind == "split":
        return CorporateAction(symbol, session, ActionKind.SPLIT, float(random.choice([0.1, 0.04, 0.5, 1.5, 2.0, 3.0])))
    if kind == "dividend":
        return CorporateAction(symbol, session, ActionKind.DIVIDEND, round(float(random.random()) + 0.01, 2))
    return CorporateAction(symbol, session, ActionKind.STOCK_DIVIDEND, round(float(random.random()) + 0.01, 2))


def assert_same(compiled, looped):
    """Whether two records are equal to the bit."""
    for name in ("orders", "updates", "fills", "applied_actions", "market_actions"):
        left, right = getattr(compiled, name), getattr(looped, name)
        assert len(left) == len(right), name
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert repr(a) == repr(b), f"{name}[{i}]"
    for name in ("ts_ns", "session", "equity", "cash", "gross", "net"):
        np.testing.assert_array_equal(getattr(compiled.account, name), getattr(looped.account, name), name)
    np.testing.assert_array_equal(compiled.prices.mark, looped.prices.mark)
    np.testing.assert_array_equal(compiled.execution_prices.arrival, looped.execution_prices.arrival)
    np.testing.assert_array_equal(compiled.execution_prices.bar, looped.execution_prices.bar)
    assert compiled.digest == looped.digest
    assert compiled.bars == looped.bars
    assert compiled.strategies == looped.strategies


def both(source, make, *, limits=None, own=None, capital=20_000.0, instruments=None, **changes):
    """Run a strategy in both loops, hold the records and the metrics of a trial against each other, and return the record.

    Parameters
    ----------
    instruments : dict or list of dict, optional
        Of every symbol, or of each.
    own : RiskLimits, optional
        Those that the strategy itself declares.
    """
    each = instruments if isinstance(instruments, list) else [instruments or {}] * len(source.symbols)
    known = {symbol: Instrument(symbol=symbol, **given) for symbol, given in zip(source.symbols, each, strict=False)}

    def one():
        allocation = allocate(make(), capital=capital, **(limits or {}))
        if own is not None:
            allocation.strategy.risk_limits = own
        return plan(source, allocation, instruments=known, **changes)

    assert unfit(one()) == ""
    compiled, looped = run_compiled(one()), run_session(one())
    assert_same(compiled, looped)
    assert_bare_run_is_the_same(one(), looped)
    return compiled


def assert_bare_run_is_the_same(planned, looped):
    """Whether a run without a tape, as sweeps have them, ends as the event loop does."""
    strategy = planned.allocations[0].strategy
    (_, run), (_, again) = CompiledRuns(planned).run([strategy, strategy])
    if not run.is_sure:
        return
    np.testing.assert_array_equal(run.closes, again.closes)
    ends = np.append(np.flatnonzero(np.diff(looped.account.session)), len(looped.account.session) - 1)
    np.testing.assert_array_equal(run.closes, looped.account.equity[ends])
    assert run.money[at.CASH] == looped.account.cash[-1]
    assert run.counts[at.ORDERS] == len(looped.orders)
    assert run.counts[at.FILLS] == len(looped.fills)
    assert run.counts[at.REJECTIONS] == sum(str(o.status) == "REJECTED" for o in looped.orders)


def assert_trials_are_the_same(planned, cls, params):
    """Whether a compiled trial has the numbers that the event loop's has."""
    allocation = planned.allocations[0]
    entry = StrategyEntry(
        name=allocation.name, strategy=cls, params=params, capital=allocation.capital, limits=allocation.limits
    )
    config = {"strategies": [{"params": params}]}
    setup = TrialSetup(title="t", plan=replace(planned, allocations=()), entries=(entry,), config=config, lean=True)
    ((_, compiled),) = CompiledPool(setup).run([(0, {})])
    looped = run_trial(setup, {})
    assert (compiled.status, compiled.reason) == (looped.status, looped.reason)
    for name, value in compiled.metrics.items():
        assert value == looped.metrics[name], name
    np.testing.assert_array_equal(compiled.returns, looped.returns)
