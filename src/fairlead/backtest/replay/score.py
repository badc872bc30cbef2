"""The metrics of a replay (domain rule 6.10); the formulas are those of `fairlead.backtest.metrics`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlead.backtest import metrics as m
from fairlead.backtest.metrics import Metric
from fairlead.backtest.replay.equity import Equity
from fairlead.backtest.replay.fills import Trade
from fairlead.backtest.replay.settings import ReplaySettings


def score_replay(trades: Sequence[Trade], num_orders: int, equity: Equity, settings: ReplaySettings) -> dict[str, Metric]:
    """Return every metric by name; what is not defined is None.

    Notes
    -----
    Fill rate is the share of the orders that filled: an order of a file fills whole or not at all.
    """
    initial = settings.initial_cash
    net = np.array([trade.net_pnl for trade in trades])
    wins, losses = net[net > 0], net[net < 0]
    count = len(trades)
    final = float(equity.equity[-1])
    returns = m.simple_returns(equity.closes, initial)
    yearly = m.annualised_return(initial, final, len(equity.closes))
    largest_pct = float(equity.drawdown_pct.max())
    invested = [trade.entry_exec * trade.units * trade.multiplier for trade in trades]
    return {
        "initial_cash": initial,
        "final_cash": final,
        "net_pnl": float(net.sum()),
        "gross_pnl": float(sum(trade.gross_pnl for trade in trades)),
        "num_trades": count,
        "win_rate": len(wins) / count if count else 0.0,
        "pnl_per_trade": float(net.sum()) / count if count else 0.0,
        "avg_trade": m.finite(float(np.mean(net / np.array(invested)))) if count else None,
        "avg_win": float(wins.mean()) if len(wins) else None,
        "avg_loss": float(losses.mean()) if len(losses) else None,
        "profit_factor": float(wins.sum()) / abs(float(losses.sum())) if len(losses) else None,
        "max_drawdown": float(equity.drawdown.max()),
        "max_drawdown_pct": largest_pct,
        "sharpe": m.sharpe(returns, settings.risk_free),
        "sortino": m.sortino(returns, settings.risk_free),
        "calmar": m.calmar(yearly, largest_pct),
        "annualised_return": yearly,
        "annualised_vol": m.annualised_vol(returns),
        "exposure": _exposure(trades),
        "turnover": _turnover(trades) / initial,
        "total_fees": float(sum(trade.commission for trade in trades)),
        "total_slippage": float(sum(trade.slippage_cost for trade in trades)),
        "avg_holding_minutes": sum(trade.minutes for trade in trades) / count if count else None,
        "fill_rate": count / num_orders if num_orders else None,
    }


def _exposure(trades: Sequence[Trade]) -> float | None:
    if not trades:
        return 0.0
    span = max(trade.exit_ns for trade in trades) - min(trade.entry_ns for trade in trades)
    return sum(trade.exit_ns - trade.entry_ns for trade in trades) / span if span > 0 else None


def _turnover(trades: Sequence[Trade]) -> float:
    return float(sum(trade.units * (trade.entry_price + trade.exit_price) * trade.multiplier for trade in trades))
