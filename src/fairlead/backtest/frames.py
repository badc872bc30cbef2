"""A run as pandas frames: the edge at which arrays and objects become tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fairlead.backtest.execution_quality import Cost, OrderExecution
from fairlead.backtest.flows import falls, paid_at
from fairlead.backtest.metrics import Metric
from fairlead.backtest.trades import RoundTrip
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.fills import Fill
from fairlead.core.orders import Order
from fairlead.engine.record import CashFlow, EquityCurve

_TRADE_FIELDS = (
    "trade_id",
    "strategy",
    "symbol",
    "side",
    "qty",
    "entry_price",
    "exit_price",
    "entry_exec_price",
    "exit_exec_price",
    "gross_pnl",
    "slippage_cost",
    "commission_cost",
    "net_pnl",
    "return_frac",
    "duration_minutes",
    "exit_reason",
    "status",
    "order_id",
    "oco_id",
)
_ORDER_FIELDS = (
    "order_id",
    "strategy",
    "symbol",
    "side",
    "order_type",
    "quantity",
    "limit_price",
    "stop_price",
    "time_in_force",
    "status",
    "filled_quantity",
    "average_price",
    "commission",
    "reason",
    "tag",
)
_EXECUTION_OF_ORDER = (
    "order_id",
    "strategy",
    "symbol",
    "side",
    "order_type",
    "status",
    "reason",
    "quantity",
    "filled_quantity",
)
_EXECUTION_AMOUNTS = ("reference_price", "delay", "slippage", "commission", "opportunity", "shortfall", "paper_value")
_FILL_FIELDS = ("fill_id", "order_id", "strategy", "symbol", "side", "quantity", "price_ideal", "price", "commission", "tag")


def instants(ts_ns: IntArray | Sequence[int], name: str | None = None) -> pd.DatetimeIndex:
    """Return a UTC index of nanosecond stamps."""
    stamps = np.asarray(ts_ns, dtype=np.int64).view("datetime64[ns]")
    return pd.DatetimeIndex(stamps, name=name).tz_localize("UTC")


def stats_series(metrics: Mapping[str, Metric], curve: EquityCurve, name: str) -> pd.Series:
    """Return all metrics in reading order after the run's first and last instant; what is undefined is NaN."""
    ends = instants(curve.ts_ns[[0, -1]]) if len(curve.ts_ns) else (pd.NaT, pd.NaT)
    values: dict[str, object] = {"start": ends[0], "end": ends[1]}
    values |= {key: float("nan") if value is None else value for key, value in metrics.items()}
    return pd.Series(values, dtype=object, name=name)


def equity_frame(curve: EquityCurve, initial_cash: float, flows: Sequence[CashFlow] = ()) -> pd.DataFrame:
    """Return equity, cash, exposures and drawdown at every instant; where there were any, what was paid in besides."""
    below, percent = falls(curve, flows, initial_cash)
    columns = {"equity": curve.equity, "cash": curve.cash, "gross": curve.gross, "net": curve.net}
    columns |= {"drawdown": below, "drawdown_pct": percent}
    if flows:
        columns["cash_flow"] = paid_at(curve.ts_ns, flows)
    return pd.DataFrame(columns, index=instants(curve.ts_ns, "ts"))


def trades_frame(trades: Sequence[RoundTrip]) -> pd.DataFrame:
    """Return one row per round trip."""
    columns: dict[str, object] = {name: _column(trades, name) for name in _TRADE_FIELDS}
    frame = pd.DataFrame(columns)
    frame.insert(5, "entry_ts", instants([trade.entry_ns for trade in trades]))
    frame.insert(6, "exit_ts", instants([trade.exit_ns for trade in trades]))
    return frame


def orders_frame(orders: Sequence[Order]) -> pd.DataFrame:
    """Return one row per order, with what became of it."""
    frame = pd.DataFrame({name: _column(orders, name) for name in _ORDER_FIELDS})
    for name in ("limit_price", "stop_price", "average_price"):
        frame[name] = frame[name].astype(float)
    frame.insert(0, "created", instants([order.created_ns for order in orders]))
    return frame


def fills_frame(fills: Sequence[Fill]) -> pd.DataFrame:
    """Return one row per execution; slippage is its cost in currency per unit."""
    frame = pd.DataFrame({name: _column(fills, name) for name in _FILL_FIELDS})
    frame.insert(0, "ts", instants([fill.ts_ns for fill in fills]))
    frame.insert(9, "slippage", np.array([fill.slippage for fill in fills], dtype=float))
    return frame


def execution_frame(orders: Sequence[OrderExecution]) -> pd.DataFrame:
    """Return one row per order as it was executed: amounts in currency, slippage in basis points, NaN where not known."""
    listed = [item.order for item in orders]
    frame = pd.DataFrame({name: _column(listed, name) for name in _EXECUTION_OF_ORDER})
    frame.insert(0, "decided", instants([order.created_ns for order in listed]))
    frame.insert(1, "arrived", instants([order.arrives_ns for order in listed]))
    for name in ("first_fill", "last_fill"):
        stamps = pd.array([getattr(item, f"{name}_ns") for item in orders], dtype="Int64")
        frame[name] = pd.to_datetime(pd.Series(stamps), utc=True, unit="ns")
    frame["reference"] = [item.reference for item in orders]
    for name in _EXECUTION_AMOUNTS:
        frame[name] = np.array([getattr(item, name) for item in orders], dtype=float)
    for name in ("arrival", "trigger", "mid", "typical"):
        costs: list[Cost | None] = [getattr(item, f"against_{name}") for item in orders]
        frame[f"{name}_bps"] = np.array([None if cost is None else cost.bps for cost in costs], dtype=float)
    return frame


def benchmark_series(ts_ns: IntArray, values: FloatArray) -> pd.Series:
    """Return the benchmark's value at the end of every session."""
    return pd.Series(values, index=instants(ts_ns, "ts"), name="benchmark")


def _column(items: Sequence[object], name: str) -> list[object]:
    values = [getattr(item, name) for item in items]
    # Enumerations become their text: a frame is for reading and for files.
    return [str(value) if isinstance(value, str) else value for value in values]
