"""The scorecard of a run: every metric by name, assembled from its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fairlead.backtest import metrics as m
from fairlead.backtest.benchmark import buy_and_hold
from fairlead.backtest.metrics import Metric
from fairlead.backtest.trades import Ledger, RoundTrip
from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.orders import Order, OrderStatus, OrderType
from fairlead.core.time import NS_PER_MINUTE
from fairlead.engine.record import RunRecord

PASSIVE: Final = (OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


@dataclass(frozen=True, slots=True, eq=False)
class SessionReturns:
    """A run seen once per session; arrays of shape (s,).

    Attributes
    ----------
    days : int32
        Session dates, in days since the epoch.
    closes, returns : float64
        Equity at the session's close, and its return; the first return is measured against the initial cash.
    benchmark, benchmark_returns : float64
        The same of equal-weight buy-and-hold.
    """

    days: DayArray
    closes: FloatArray
    returns: FloatArray
    benchmark: FloatArray
    benchmark_returns: FloatArray


def session_returns(record: RunRecord) -> SessionReturns:
    """Return equity and benchmark of `record` at every session close."""
    days, closes = m.session_closes(record.account.session, record.account.equity)
    held = buy_and_hold(record.prices, record.market_actions, record.initial_cash)
    # Every session of the account has prices; the last known value stands in should one be missing.
    row = np.searchsorted(record.prices.session, days, side="right") - 1
    benchmark = np.where(row >= 0, held[row], record.initial_cash) if len(held) else np.full(len(days), record.initial_cash)
    return SessionReturns(
        days,
        closes,
        m.simple_returns(closes, record.initial_cash),
        benchmark,
        m.simple_returns(benchmark, record.initial_cash),
    )


def score(
    record: RunRecord, ledger: Ledger, sessions: SessionReturns | None = None, *, risk_free: float = 0.0
) -> dict[str, Metric]:
    """Return every metric of a run in reading order (domain rule 6.10 and the usual tear-sheet).

    Parameters
    ----------
    risk_free : float
        Yearly rate used by Sharpe, Sortino and alpha, as a fraction.

    Notes
    -----
    ``net_pnl`` and ``gross_pnl`` are sums over closed trades; ``open_pnl`` is the mark of what is still held, so that
    final_cash = initial_cash + net_pnl + open_pnl + dividends + financing. ``exposure`` and ``turnover``
    include positions still open, up to the last instant and with their entry alone.
    """
    by_session = session_returns(record) if sessions is None else sessions
    return {
        **_money(record, ledger, by_session),
        **_performance(record, by_session, risk_free),
        **_drawdown(record, by_session),
        **_distribution(record, by_session),
        **_exposure(record, ledger),
        **_trades(ledger.closed, record.initial_cash, ledger),
        **_orders(record),
        **_benchmark(record, by_session, risk_free),
    }


def _final(record: RunRecord) -> float:
    return float(record.account.equity[-1]) if len(record.account.equity) else record.initial_cash


def _money(record: RunRecord, ledger: Ledger, sessions: SessionReturns) -> dict[str, Metric]:
    # Every symbol with a fill has a trade, open or closed.
    multipliers = {trade.symbol: trade.multiplier for trade in ledger.trades}
    fees = sum(fill.commission for fill in record.fills)
    slippage = sum(fill.slippage * fill.quantity * multipliers[fill.symbol] for fill in record.fills)
    notional = sum(fill.price * fill.quantity * multipliers[fill.symbol] for fill in record.fills)
    return {
        "sessions": len(sessions.days),
        "bars": record.bars,
        "initial_cash": record.initial_cash,
        "final_cash": _final(record),
        "net_pnl": float(sum(trade.net_pnl for trade in ledger.closed)),
        "gross_pnl": float(sum(trade.gross_pnl for trade in ledger.closed)),
        "open_pnl": float(sum(trade.net_pnl for trade in ledger.open)),
        "dividends": float(sum(dividend.cash for dividend in ledger.dividends)),
        "financing": float(ledger.financing),
        "total_fees": float(fees),
        "total_slippage": float(slippage),
        "cost_bps": m.finite(1e4 * (fees + slippage) / notional) if notional > 0 else None,
    }


def _performance(record: RunRecord, sessions: SessionReturns, risk_free: float) -> dict[str, Metric]:
    final, stamps = _final(record), record.account.ts_ns
    return {
        "total_return": m.total_return(record.initial_cash, final),
        "annualised_return": m.annualised_return(record.initial_cash, final, len(sessions.days)),
        "cagr": m.cagr(record.initial_cash, final, int(stamps[0]), int(stamps[-1])) if len(stamps) else None,
        "annualised_vol": m.annualised_vol(sessions.returns),
        "sharpe": m.sharpe(sessions.returns, risk_free),
        "sortino": m.sortino(sessions.returns, risk_free),
    }


def _drawdown(record: RunRecord, sessions: SessionReturns) -> dict[str, Metric]:
    account, initial = record.account, record.initial_cash
    below, percent = m.drawdowns(account.equity, initial)
    largest = float(below.max()) if len(below) else 0.0
    largest_pct = float(percent.max()) if len(percent) else 0.0
    yearly = m.annualised_return(initial, _final(record), len(sessions.days))
    return {
        "calmar": m.calmar(yearly, largest_pct),
        "max_drawdown": largest,
        "max_drawdown_pct": largest_pct,
        "longest_drawdown_days": m.longest_drawdown_days(account.ts_ns, account.equity, initial),
        "ulcer_index": m.ulcer_index(sessions.closes, initial),
        "recovery_factor": m.finite((_final(record) - initial) / largest) if largest > 0 else None,
    }


def _distribution(record: RunRecord, sessions: SessionReturns) -> dict[str, Metric]:
    returns = sessions.returns
    _, months = m.monthly_returns(sessions.days, sessions.closes, record.initial_cash)
    return {
        "best_day": m.finite(float(returns.max())) if len(returns) else None,
        "worst_day": m.finite(float(returns.min())) if len(returns) else None,
        "best_month": m.finite(float(months.max())) if len(months) else None,
        "worst_month": m.finite(float(months.min())) if len(months) else None,
        "positive_days": m.positive_share(returns),
        "skew": m.skewness(returns),
        "kurtosis": m.kurtosis(returns),
        "var_95": m.value_at_risk(returns),
        "cvar_95": m.conditional_value_at_risk(returns),
        "tail_ratio": m.tail_ratio(returns),
    }


def _exposure(record: RunRecord, ledger: Ledger) -> dict[str, Metric]:
    account = record.account
    with np.errstate(divide="ignore", invalid="ignore"):
        leverage = np.where(account.gross == 0, 0.0, account.gross / account.equity)
        exposed = np.where(account.net == 0, 0.0, account.net / account.equity)
    # Holdings without equity behind them are infinite leverage, which has no mean.
    undefined = len(leverage) == 0 or bool(np.any((account.equity <= 0) & (account.gross > 0)))
    held = sum(trade.exit_ns - trade.entry_ns for trade in ledger.trades)
    span = max((t.exit_ns for t in ledger.trades), default=0) - min((t.entry_ns for t in ledger.trades), default=0)
    return {
        "exposure": held / span if span > 0 else (None if ledger.trades else 0.0),
        "time_in_market": float(np.mean(account.gross > 0)) if len(account.gross) else None,
        "avg_leverage": None if undefined else m.finite(float(leverage.mean())),
        "max_leverage": None if undefined else m.finite(float(leverage.max())),
        "avg_exposure": None if undefined else m.finite(float(exposed.mean())),
        "max_exposure": None if undefined else m.finite(float(exposed[np.argmax(np.abs(exposed))])),
    }


def _trades(closed: list[RoundTrip], initial_cash: float, ledger: Ledger) -> dict[str, Metric]:
    net = np.array([trade.net_pnl for trade in closed])
    wins, losses = net[net > 0], net[net < 0]
    count = len(net)
    turnover = sum(
        trade.qty * (trade.entry_price + (trade.exit_price if trade.status == "closed" else 0.0)) * trade.multiplier
        for trade in ledger.trades
    )
    minutes = [(trade.exit_ns - trade.entry_ns) / NS_PER_MINUTE for trade in closed]
    return {
        "turnover": m.finite(turnover / initial_cash) if initial_cash > 0 else None,
        "num_trades": count,
        "open_trades": len(ledger.open),
        "win_rate": len(wins) / count if count else 0.0,
        "pnl_per_trade": float(net.sum()) / count if count else 0.0,
        "avg_trade": m.finite(float(np.mean([trade.return_frac for trade in closed]))) if count else None,
        "avg_win": float(wins.mean()) if len(wins) else None,
        "avg_loss": float(losses.mean()) if len(losses) else None,
        "best_trade": float(net.max()) if count else None,
        "worst_trade": float(net.min()) if count else None,
        "profit_factor": float(wins.sum()) / abs(float(losses.sum())) if len(losses) else None,
        "avg_holding_minutes": sum(minutes) / count if count else None,
    }


def _orders(record: RunRecord) -> dict[str, Metric]:
    last_ns = int(record.account.ts_ns[-1]) if len(record.account.ts_ns) else 0
    asked = [order for order in record.orders if was_marketable(order, last_ns)]
    submitted = sum(order.quantity for order in asked)
    return {
        "num_orders": len(record.orders),
        "num_fills": len(record.fills),
        "num_rejections": sum(order.status is OrderStatus.REJECTED for order in record.orders),
        "fill_rate": sum(order.filled_quantity for order in asked) / submitted if submitted > 0 else None,
    }


def was_marketable(order: Order, last_ns: int) -> bool:
    """Return whether the market could have filled `order` (domain rule 13.2).

    Passive orders that ended untouched did so by design, a follower may have waited in vain for its parent, and what was
    decided at `last_ns`, the end of the run, no later bar could have met.
    """
    if order.filled_quantity > 0 or order.status is OrderStatus.REJECTED:
        return True
    return order.order_type not in PASSIVE and not order.parent_id and order.created_ns < last_ns


def _benchmark(record: RunRecord, sessions: SessionReturns, risk_free: float) -> dict[str, Metric]:
    mine, theirs, held = sessions.returns, sessions.benchmark_returns, sessions.benchmark
    count = len(held)
    final = float(held[-1]) if count else record.initial_cash
    return {
        "benchmark_return": m.total_return(record.initial_cash, final),
        "benchmark_annualised_return": m.annualised_return(record.initial_cash, final, count),
        "benchmark_annualised_vol": m.annualised_vol(theirs),
        "benchmark_sharpe": m.sharpe(theirs, risk_free),
        "benchmark_max_drawdown_pct": float(m.drawdowns(held, record.initial_cash)[1].max()) if count else None,
        "beta": m.beta(mine, theirs),
        "alpha": m.alpha(mine, theirs, risk_free),
        "correlation": m.correlation(mine, theirs),
        "information_ratio": m.information_ratio(mine, theirs),
    }
