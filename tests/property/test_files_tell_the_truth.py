"""A run's files, read as a stranger would: what they say adds up, and every headline metric follows from them alone."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fairlead.backtest.run import run_backtest
from fairlead.backtest.rundir import write_directory
from fairlead.core.bars import BarSlice
from fairlead.core.events import ActionKind
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import AmountKind
from fairlead.evidence.lookahead import check_lookahead
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import Random, allocate, days, dividend, free, minutes, plan, random_bars, split

ROWS = 60
NOON = dt.datetime(2024, 6, 3, 12, tzinfo=dt.UTC)
SYMBOLS = ("A", "B", "C")
INSTRUMENTS = {
    "B": Instrument(symbol="B", multiplier=10.0, tick_size=0.25),
    "C": Instrument(symbol="C", lot_step=0.001, min_quantity=0.001, tick_size=0.00001),
}
SEEDS = range(24)


class FineLots(Random):
    """Random orders; those in C are large and on a fine lot, like currency."""

    def generate_orders(self, context):
        units = (AmountKind.QUANTITY, AmountKind.TARGET_POSITION)
        return [
            replace(i, amount=i.amount * 1000.001)
            if isinstance(i, OrderIntent) and i.symbol == "C" and i.amount_kind in units
            else i
            for i in super().generate_orders(context)
        ]


class FineLotsBySlice(FineLots):
    event_type = BarSlice

    def on_market_event(self, event, context):
        """Nothing to note."""


def a_plan(seed):
    """Return two strategies on three symbols with holes, a late start, an early end, splits and dividends."""
    random = np.random.default_rng(seed)
    bars = {s: random_bars(random, ROWS, gaps=float(random.choice([0.0, 0.3, 0.6]))) for s in SYMBOLS}
    bars["A"] = random_bars(random, ROWS)
    begin, end = int(random.integers(0, ROWS // 2)), int(random.integers(ROWS // 2, ROWS))
    bars["B"][:begin] = [None] * begin
    bars["C"] = [(*(p / 40 for p in b[:4]), b[4] * 200) if b else None for b in random_bars(random, ROWS, gaps=0.2)]
    bars["C"][end:] = [None] * (ROWS - end)
    daily = bool(random.integers(2))
    span = ROWS if daily else ROWS // 10
    actions = {}
    for _ in range(int(random.integers(0, 7))):
        symbol, day = str(random.choice(SYMBOLS)), int(random.integers(0, span))
        action = split(symbol, day, float(random.choice([2.0, 1.5, 0.1])))
        if random.random() < 0.4:
            action = dividend(symbol, day, float(random.choice([0.01, 0.5])))
        actions[symbol, day, action.kind] = action
    made = {"actions": list(actions.values()), "rows": (None, 1, 7)[int(random.integers(3))]}
    source = days(bars, **made) if daily else minutes(bars, per_session=10, **made)
    execution = free(
        slippage=SlippageSettings(model=str(random.choice(["none", "fixed", "volume_based"]))),
        commission=CommissionSettings(model=str(random.choice(["bps", "per_share", "per_order"]))),
        latency=LatencySettings(mean_ms=90_000, std_ms=60_000) if random.random() < 0.5 else LatencySettings(),
        max_bar_participation=float(random.choice([0.05, 1.0])),
    )
    leverage = float(random.choice([1.0, 20.0]))
    each = [allocate(FineLots(), "a", 100_000.0, max_leverage=leverage), allocate(FineLotsBySlice(), "b", 3_000.0)]
    return plan(source, *each, execution=execution, instruments=INSTRUMENTS, seed=seed)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def total(rows, name, **where):
    return math.fsum(float(row[name]) for row in rows if all(row[key] == value for key, value in where.items()))


def stamp(text):
    return int(np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64))


def close_to(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.fixture(scope="module", params=SEEDS)
def told(request, tmp_path_factory):
    """Return a result and the folder of its files."""
    result = run_backtest(a_plan(request.param), title="q", config={"seed": request.param}, created_at=NOON)
    assert [s.error for s in result.record.strategies] == ["", ""]
    folder = tmp_path_factory.mktemp("files") / "run"
    return result, write_directory(result, folder, report=False, plots=False)


def test_trades_and_dividends_explain_the_equity_of_the_account_and_of_every_strategy(told):
    result, folder = told
    trades, curve = rows_of(folder / "trades.csv"), rows_of(folder / "equity_curve.csv")
    dividends = {name: math.fsum(a.cash for a in result.record.applied_actions if a.strategy == name) for name in ("a", "b")}
    capital = {s.name: s.capital for s in result.record.strategies}
    assert float(curve[-1]["equity"]) == close_to(
        sum(capital.values()) + total(trades, "net_pnl") + math.fsum(dividends.values())
    )
    for name, own in result.record.by_strategy.items():
        assert own.equity[-1] == close_to(capital[name] + total(trades, "net_pnl", strategy=name) + dividends[name])
    assert all(float(trade["qty"]) > 0 for trade in trades)


def test_costs_of_fills_are_the_costs_of_trades_in_currency(told):
    _, folder = told
    fills, trades = rows_of(folder / "filled_orders.csv"), rows_of(folder / "trades.csv")
    legs = [row for row in fills if row["fill_type"] in ("ENTRY", "EXIT")]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert total(legs, "commission") == close_to(total(trades, "commission_cost")) == close_to(metrics["total_fees"])
    assert total(legs, "slippage") == pytest.approx(total(trades, "slippage_cost"), rel=1e-7, abs=1e-4)
    assert total(legs, "slippage") == close_to(metrics["total_slippage"])


def test_headline_metrics_follow_from_the_files(told):
    result, folder = told
    metrics = json.loads((folder / "metrics.json").read_text())
    trades, curve = rows_of(folder / "trades.csv"), rows_of(folder / "equity_curve.csv")
    net = [float(t["net_pnl"]) for t in trades if t["status"] == "closed"]
    wins, losses = [x for x in net if x > 0], [x for x in net if x < 0]
    initial = metrics["initial_cash"]
    peak, drop, drop_pct = initial, 0.0, 0.0
    closes = {}
    for session, row in zip(result.record.account.session.tolist(), curve, strict=True):
        equity = closes[session] = float(row["equity"])
        peak = max(peak, equity)
        drop, drop_pct = max(drop, peak - equity), max(drop_pct, 100 * (peak - equity) / peak)
    values = [initial, *closes.values()]
    sharpe = None
    if min(values[:-1]) > 0:
        returns = np.array([b / a - 1 for a, b in itertools.pairwise(values)])
        sharpe = math.sqrt(252) * returns.mean() / returns.std(ddof=1)
    expected = {
        "num_trades": len(net),
        "net_pnl": math.fsum(net),
        "win_rate": len(wins) / len(net) if net else 0.0,
        "avg_win": np.mean(wins) if wins else None,
        "profit_factor": sum(wins) / -sum(losses) if losses else None,
        "max_drawdown": drop,
        "max_drawdown_pct": drop_pct,
        "sharpe": sharpe,
    }
    for name, value in expected.items():
        assert metrics[name] == (None if value is None else close_to(value)), name


def test_the_benchmark_is_what_buying_and_holding_would_have_been(told):
    """Bar by bar: equal shares bought at each symbol's first close, actions at the symbol's own next bar."""
    result, _ = told
    source, initial = a_plan(result.info.seed).source, result.record.initial_cash
    share = initial / len(SYMBOLS)
    units, paid, mark = np.zeros(3), np.zeros(3), np.full(3, np.nan)
    due = [a for a in source.actions if a.ex_session > source.session[0]]
    values = {}
    for row, session in enumerate(source.session.tolist()):
        for j, close in enumerate(source.arrays["close"][row].tolist()):
            if math.isnan(close):
                continue
            for action in [a for a in due if a.symbol == SYMBOLS[j] and a.ex_session <= session]:
                due.remove(action)
                if action.kind is ActionKind.SPLIT:
                    units[j] *= action.value
                else:
                    paid[j] += units[j] * action.value
            mark[j] = close
        if row + 1 == len(source.session) or source.session[row + 1] != session:
            known = ~np.isnan(mark)
            units[known] += np.where(units[known] == 0, share, paid[known]) / mark[known]
            paid[:] = 0
            values[session] = float((units[known] * mark[known]).sum()) + share * int((~known).sum())
    np.testing.assert_allclose(result.sessions.benchmark, list(values.values()), rtol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_honest_strategy_is_accused(seed):
    """Random orders look at nothing to come, whatever splits, holes, delays and expiries lie beyond the cut."""
    report = check_lookahead(lambda: a_plan(seed), cuts=6)
    assert [str(d) for d in report.divergences] == []
    assert report.orders > 0
