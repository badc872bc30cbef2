"""The scorecard of a run: every metric by name, assembled from its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fairlead.backtest import metrics as m
from fairlead.backtest.benchmark import buy_and_hold
from fairlead.backtest.flows import falls, gains, growth
from fairlead.backtest.metrics import Metric
from fairlead.backtest.trades import Ledger, RoundTrip
from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.events import CorporateAction
from fairlead.core.orders import Order, OrderStatus, OrderType
from fairlead.core.time import NS_PER_MINUTE
from fairlead.engine.record import RunRecord, SessionPrices

PASSIVE: Final = (OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


@dataclass(frozen=True, slots=True, eq=False)
class SessionReturns:
    """A run seen once per session; arrays of shape (s,).

    Attributes
    ----------
    days : int32
        Session dates, in days since the epoch.
    closes, returns : float64
        Equity at the session's close, net of money paid in and out, and its return; the first return is measured against the
        initial cash.
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
    days, closes = m.session_closes(record.account.session, growth(record.account, record.cash_flows, record.initial_cash))
    return returns_of(days, closes, record.prices, record.market_actions, record.initial_cash)


def returns_of(
    days: DayArray,
    closes: FloatArray,
    prices: SessionPrices,
    actions: Sequence[CorporateAction],
    initial: float,
    held: FloatArray | None = None,
) -> SessionReturns:
    """Return equity and benchmark at every session close.

    Parameters
    ----------
    days, closes : arrays of shape (s,)
    prices, actions
        As a `RunRecord` has them.
    initial : float
        Capital, in currency.
    held : float64 array, optional
        The value of the benchmark at each session of `prices`, if it is known already.
    """
    if held is None:
        held = buy_and_hold(prices, actions, initial)
    # Every session of the account has prices; the last known value stands in should one be missing.
    row = np.searchsorted(prices.session, days, side="right") - 1
    benchmark = np.where(row >= 0, held[row], initial) if len(held) else np.full(len(days), initial)
    return SessionReturns(days, closes, m.simple_returns(closes, initial), benchmark, m.simple_returns(benchmark, initial))


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
    final_cash = initial_cash + net_pnl + open_pnl + dividends + financing, and ``cash_flows`` where money was paid in or
    taken out: only then is it there, and all else is net of it. ``exposure`` and ``turnover`` include positions still open, up
    to the last instant and with their entry alone.
    """
    by_session = session_returns(record) if sessions is None else sessions
    return {
        **_money(record, ledger, by_session),
        **performance(_span(record), by_session, risk_free),
        **drawdown(_span(record), by_session, _depth(record)),
        **distribution(record.initial_cash, by_session),
        **_exposure(record, ledger),
        **_trades(ledger.closed, record.initial_cash, ledger),
        **_orders(record),
        **against_benchmark(record.initial_cash, by_session, risk_free),
    }


class Span(NamedTuple):
    """Where an account came from and how far it got: money in currency, instants in nanoseconds, None without any.

    What it got to is net of money paid in and out.
    """

    initial: float
    final: float
    first_ns: int | None
    last_ns: int | None


class Depth(NamedTuple):
    """How far an account was below its peak, and how long: in currency, in percent of the peak, in calendar days.

    `profit` is what it made all in all, in currency.
    """

    largest: float
    largest_pct: float
    longest_days: float
    profit: float


def _span(record: RunRecord) -> Span:
    stamps = record.account.ts_ns
    first, last = (int(stamps[0]), int(stamps[-1])) if len(stamps) else (None, None)
    initial = record.initial_cash
    return Span(initial, _last(growth(record.account, record.cash_flows, initial), initial), first, last)


def _depth(record: RunRecord) -> Depth:
    account, initial, flows = record.account, record.initial_cash, record.cash_flows
    below, percent = falls(account, flows, initial)
    longest = m.longest_drawdown_days(account.ts_ns, growth(account, flows, initial), initial)
    if not len(below):
        return Depth(0.0, 0.0, longest, 0.0)
    return Depth(float(below.max()), float(percent.max()), longest, _last(gains(account, flows, initial), initial) - initial)


def _last(values: FloatArray, initial: float) -> float:
    return float(values[-1]) if len(values) else initial


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
        "final_cash": _last(record.account.equity, record.initial_cash),
        **({"cash_flows": float(sum(flow.amount for flow in record.cash_flows))} if record.cash_flows else {}),
        "net_pnl": float(sum(trade.net_pnl for trade in ledger.closed)),
        "gross_pnl": float(sum(trade.gross_pnl for trade in ledger.closed)),
        "open_pnl": float(sum(trade.net_pnl for trade in ledger.open)),
        "dividends": float(sum(dividend.cash for dividend in ledger.dividends)),
        "financing": float(ledger.financing),
        "total_fees": float(fees),
        "total_slippage": float(slippage),
        "cost_bps": m.finite(1e4 * (fees + slippage) / notional) if notional > 0 else None,
    }


def performance(span: Span, sessions: SessionReturns, risk_free: float) -> dict[str, Metric]:
    """Return the metrics of growth and of reward for risk."""
    initial, final, first, last = span
    return {
        "total_return": m.total_return(initial, final),
        "annualised_return": m.annualised_return(initial, final, len(sessions.days)),
        "cagr": m.cagr(initial, final, first, last) if first is not None and last is not None else None,
        "annualised_vol": m.annualised_vol(sessions.returns),
        "sharpe": m.sharpe(sessions.returns, risk_free),
        "sortino": m.sortino(sessions.returns, risk_free),
    }


def drawdown(span: Span, sessions: SessionReturns, depth: Depth) -> dict[str, Metric]:
    """Return the metrics of the way below the peak."""
    yearly = m.annualised_return(span.initial, span.final, len(sessions.days))
    return {
        "calmar": m.calmar(yearly, depth.largest_pct),
        "max_drawdown": depth.largest,
        "max_drawdown_pct": depth.largest_pct,
        "longest_drawdown_days": depth.longest_days,
        "ulcer_index": m.ulcer_index(sessions.closes, span.initial),
        "recovery_factor": m.finite(depth.profit / depth.largest) if depth.largest > 0 else None,
    }


def distribution(initial: float, sessions: SessionReturns) -> dict[str, Metric]:
    """Return the metrics of the returns by session and by month."""
    returns = sessions.returns
    _, months = m.monthly_returns(sessions.days, sessions.closes, initial)
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


def against_benchmark(initial: float, sessions: SessionReturns, risk_free: float) -> dict[str, Metric]:
    """Return the metrics of equal-weight buy-and-hold, and of what the run has to do with it."""
    mine, theirs, held = sessions.returns, sessions.benchmark_returns, sessions.benchmark
    count = len(held)
    final = float(held[-1]) if count else initial
    return {
        "benchmark_return": m.total_return(initial, final),
        "benchmark_annualised_return": m.annualised_return(initial, final, count),
        "benchmark_annualised_vol": m.annualised_vol(theirs),
        "benchmark_sharpe": m.sharpe(theirs, risk_free),
        "benchmark_max_drawdown_pct": float(m.drawdowns(held, initial)[1].max()) if count else None,
        "beta": m.beta(mine, theirs),
        "alpha": m.alpha(mine, theirs, risk_free),
        "correlation": m.correlation(mine, theirs),
        "information_ratio": m.information_ratio(mine, theirs),
    }
