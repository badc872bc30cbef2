"""The narrow replay and the event loop give the same trades; and the compiled walk those of a slow one, written anew."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.backtest.canonical import canonical_orders
from fairlead.backtest.replay import ReplaySettings, simulate_orders
from fairlead.backtest.result import Result
from fairlead.contracts.orders import OrderWriter
from fairlead.core.orders import OrderType
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from support_pairs import WEEKS, Pairs, frames_of, random_source
from support_records import info_for
from support_sessions import allocate, free, run

COLUMNS = (
    *("symbol", "side", "qty", "entry_ts", "exit_ts", "entry_price", "exit_price", "entry_exec_price", "exit_exec_price"),
    *("gross_pnl", "slippage_cost", "commission_cost", "net_pnl", "exit_reason", "duration_minutes"),
)
PRICED = {
    "slippage": SlippageSettings(model="fixed", params={"bps": 1}),
    "commission": CommissionSettings(model="per_share", params={"per_share": 0.01, "minimum": 1.0}),
}


@pytest.mark.parametrize("week", WEEKS)
@pytest.mark.parametrize("on_touch", [False, True])
@pytest.mark.parametrize("policy", ["pessimistic", "no_fill"])
def test_the_event_loop_and_the_replay_of_its_orders_give_the_same_trades(tmp_path, week, on_touch, policy):
    """Random pairs of brackets over random sessions: entries, exits, prices, costs, reasons and equity."""
    seed = 100 * sorted(WEEKS).index(week) + 10 * on_touch + (policy == "no_fill")
    source = random_source(seed, week)
    execution = free(limit_fill_on_touch=on_touch, oco_same_bar=policy, **PRICED)
    compare(tmp_path, source, execution)


def test_orders_that_travel_meet_the_same_bars(tmp_path):
    """With the latency that a backtest has if nothing is said, and limits at their price."""
    execution = ExecutionSettings(max_bar_participation=1.0, slippage_on_limits=False)
    compare(tmp_path, random_source(7, "early closes"), execution)


def compare(tmp_path, source, execution):
    """Run, export, replay, and hold trades and equity against each other."""
    record = run(source, allocate(Pairs(), name="pairs"), execution=execution)
    result = Result(record, info_for(record))
    found = canonical_orders(result)
    # The close at the session's end is rule R8 of the replay, and no order of the file.
    path = tmp_path / "orders.csv"
    OrderWriter(path).extend([order for order in found.orders if order.order_type is OrderType.STOP])
    replay = simulate_orders(path, frames_of(source), ReplaySettings.like(execution, initial_cash=100_000.0), bar_size="5min")
    assert len(replay.trades) > 40
    assert {"stop_loss", "take_profit", "session_end"} <= set(replay.trades["exit_reason"])
    mine, theirs = replay.trades, result.trades
    assert len(mine) == len(theirs)
    order = ["exit_ts", "symbol", "entry_ts"]
    mine, theirs = (frame.sort_values(order).reset_index(drop=True)[list(COLUMNS)] for frame in (mine, theirs))
    for name in COLUMNS:
        if mine[name].dtype == float:
            # The ledger's prices are averages, quantity times price through quantity: they differ in their last bits.
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-12, atol=1e-9, err_msg=name)
        else:
            assert mine[name].tolist() == theirs[name].tolist(), name
    # The curve too, instant by instant; the replay has one point more, the start.
    account = record.account
    assert replay.curve.ts_ns[1:].tolist() == account.ts_ns.tolist()
    np.testing.assert_allclose(replay.curve.equity[1:], account.equity, rtol=1e-12)
    assert replay.metrics["final_cash"] == pytest.approx(float(account.equity[-1]), abs=1e-8)
    assert replay.metrics["sharpe"] == pytest.approx(result.metrics["sharpe"], rel=1e-9)
    assert replay.metrics["max_drawdown_pct"] == pytest.approx(result.metrics["max_drawdown_pct"], rel=1e-9)
