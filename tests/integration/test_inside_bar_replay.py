"""InsideBar through the event loop, and the replay of the orders that it exported: the same trades."""

from __future__ import annotations

import numpy as np
import pytest

import fairlead
from fairlead.backtest.canonical import canonical_orders
from fairlead.backtest.replay import ReplaySettings, simulate_orders
from fairlead.contracts.orders import OrderWriter
from fairlead.core.time import BarSize
from fairlead.data.resampling import resample_m1_to_m5
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.strategies.inside_bar import InsideBar
from support_inside_bar import CALENDAR, walk
from support_sessions import FREE

CASH = 1_000_000.0
COSTS = {
    "slippage": SlippageSettings(model="fixed", params={"bps": 1}),
    "commission": CommissionSettings(model="bps", params={"bps": 2}),
}
EXACT = ("symbol", "side", "qty", "entry_ts", "exit_ts", "exit_reason", "duration_minutes")
CLOSE = (
    "entry_price",
    "exit_price",
    "entry_exec_price",
    "exit_exec_price",
    "gross_pnl",
    "slippage_cost",
    "commission_cost",
    "net_pnl",
)
SPANS = {
    "clocks go forward": ("2024-02-20", "2024-04-05"),
    "clocks go back": ("2024-10-15", "2024-11-12"),
    "early closes": ("2024-11-18", "2025-01-10"),
}


def compare(result, execution, tmp_path, data, **minutes):
    """Export, replay, and hold the trades and the final equity against each other; return the trades."""
    exported = canonical_orders(result)
    assert exported.refused == ()
    path = tmp_path / "orders.csv"
    OrderWriter(path).extend(exported.orders)
    settings = ReplaySettings.like(execution, initial_cash=CASH)
    replay = simulate_orders(path, data, settings, bar_size="5min", **minutes)
    mine, theirs = (
        frame.sort_values(["exit_ts", "symbol", "entry_ts"]).reset_index(drop=True) for frame in (replay.trades, result.trades)
    )
    assert len(mine) == len(theirs)
    for name in EXACT:
        assert mine[name].tolist() == theirs[name].tolist(), name
    for name in CLOSE:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-12, atol=1e-9, err_msg=name)
    assert replay.metrics["final_cash"] == pytest.approx(float(result.record.account.equity[-1]), abs=1e-6)
    assert replay.metrics["sharpe"] == pytest.approx(result.metrics["sharpe"], rel=1e-9)
    return mine


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize(
    "parameters", [{}, {"max_trades_per_session": 9, "order_validity_policy": "one_bar"}], ids=["plain", "often"]
)
def test_five_minute_bars(tmp_path, span, parameters):
    """Several stocks, costs, sizing by risk; the pair's sizes and the closes at the session's end come from the run."""
    data = {name: walk(*SPANS[span], seed=seed) for name, seed in (("AAPL", 11), ("IBM", 12), ("MSFT", 13))}
    execution = ExecutionSettings(**FREE | COSTS)
    result = fairlead.backtest(InsideBar(**parameters), data, cash=CASH, execution=execution)
    trades = compare(result, execution, tmp_path, data)
    assert len(trades) > 40
    assert {"stop_loss", "take_profit", "session_end"} >= set(trades["exit_reason"])
    assert trades["exit_reason"].nunique() > 1


def test_minutes(tmp_path):
    """The strategy makes its five-minute bars itself, and its orders meet the minutes, in the run and in the replay."""
    minutes = {
        name: walk("2024-03-06", "2024-03-22", size=BarSize.M1, swing=0.05, seed=seed)
        for name, seed in (("AAPL", 3), ("IBM", 4))
    }
    five = {
        name: resample_m1_to_m5(frame, CALENDAR)[["OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"]] for name, frame in minutes.items()
    }
    execution = ExecutionSettings(**FREE | COSTS)
    strategy = InsideBar(max_trades_per_session=9, min_mother_body_fraction=0.0, min_inside_body_fraction=0.0)
    result = fairlead.backtest(strategy, minutes, cash=CASH, execution=execution)
    trades = compare(result, execution, tmp_path, five, data_path_m1=minutes)
    assert len(trades) > 20
    assert any(stamp.minute % 5 for stamp in trades["entry_ts"])


def test_with_the_latency_that_a_backtest_has(tmp_path):
    """Orders travel some milliseconds, which no bar can tell."""
    data = {"AAPL": walk(*SPANS["clocks go forward"], seed=21)}
    execution = ExecutionSettings(max_bar_participation=1.0, slippage_on_limits=False)
    result = fairlead.backtest(InsideBar(), data, cash=CASH, execution=execution)
    assert len(compare(result, execution, tmp_path, data)) > 10
