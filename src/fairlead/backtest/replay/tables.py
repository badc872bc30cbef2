"""The rows of a replay's files and frames, in exactly the columns of domain rule 6.12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from fairlead.backtest.frames import instants
from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.bars import ReplayBars
from fairlead.backtest.replay.equity import Equity
from fairlead.backtest.replay.evidence import status_of
from fairlead.backtest.replay.fills import Fills, Leg, Trade
from fairlead.backtest.tables import FILL_COLUMNS, TRADE_COLUMNS, number
from fairlead.contracts.cells import line_of
from fairlead.contracts.orders import ORDER_COLUMNS, CanonicalOrder
from fairlead.core.identity import short_hash
from fairlead.core.time import BarSize, format_utc

REPLAY_TRADE_COLUMNS: Final = tuple(name for name in TRADE_COLUMNS if name not in {"strategy", "status"})
EQUITY_COLUMNS: Final = ("ts", "equity", "drawdown", "drawdown_pct")
_STAMPS: Final = frozenset({"entry_ts", "exit_ts", "fill_ts", "bar_ts", "valid_from", "valid_to", "created_at"})
_TEXT: Final = frozenset(
    {
        *("trade_id", "order_id", "oco_id", "symbol", "side", "exit_reason", "signal_tf", "exec_tf", "evidence_status"),
        *("evidence_codes", "fill_id", "fill_type", "reason", "idempotency_key", "run_id", "session", "time_in_force"),
        *("source", "strategy", "strategy_version", "order_type", "schema_version"),
    }
)


def trade_rows(trades: Sequence[Trade], codes: Sequence[Sequence[str]], bars: ReplayBars) -> list[dict[str, Any]]:
    """Return one row per round trip; stamps in nanoseconds, numbers as they are."""
    return [
        {
            "trade_id": trade.trade_id,
            "order_id": trade.order.order_id,
            "oco_id": trade.order.oco_id or "",
            "symbol": trade.order.symbol,
            "side": trade.order.side.value,
            "qty": trade.units,
            "entry_ts": trade.entry_ns,
            "exit_ts": trade.exit_ns,
            "entry_price": trade.entry_price,
            "exit_price": trade.exit_price,
            "entry_exec_price": trade.entry_exec,
            "exit_exec_price": trade.exit_exec,
            "gross_pnl": trade.gross_pnl,
            "slippage_cost": trade.slippage_cost,
            "commission_cost": trade.commission,
            "net_pnl": trade.net_pnl,
            "exit_reason": trade.exit_reason,
            "duration_minutes": trade.minutes,
            "signal_tf": bars.signal.size.value,
            "exec_tf": _size_of(trade, bars).value,
            "evidence_status": status_of(found),
            "evidence_codes": ";".join(found),
        }
        for trade, found in zip(trades, codes, strict=True)
    ]


def fill_rows(fills: Fills) -> list[dict[str, Any]]:
    """Return one row per execution, and one per order that ended without one."""
    return [_execution_row(leg) if leg.trade is not None else _end_row(leg) for leg in fills.legs]


def order_rows(orders: Sequence[CanonicalOrder]) -> list[list[str]]:
    """Return the orders as canonical cells."""
    return [order.to_cells() for order in orders]


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as RFC 4180 text: UTC stamps, shortest floats, None as nothing."""
    lines = [line_of(columns)]
    lines += [line_of([_cell(name, row[name]) for name in columns]) for row in rows]
    return "".join(lines)


def orders_csv(orders: Sequence[CanonicalOrder]) -> str:
    """Return orders as the canonical file that `read_orders` reads."""
    return "".join([line_of(ORDER_COLUMNS), *(line_of(cells) for cells in order_rows(orders))])


def rows_frame(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame whose columns have their types even without a row."""
    return pd.DataFrame({name: _column(name, [row[name] for row in rows]) for name in columns})


def orders_frame(orders: Sequence[CanonicalOrder]) -> pd.DataFrame:
    """Return orders as a frame: quantities and prices as floats, stamps in UTC."""
    rows = [{name: getattr(order, name) for name in ORDER_COLUMNS} for order in orders]
    frame = rows_frame([name for name in ORDER_COLUMNS if name not in _STAMPS], rows)
    for place, name in enumerate(ORDER_COLUMNS):
        if name in _STAMPS:
            frame.insert(place, name, pd.to_datetime(pd.Series([row[name] for row in rows], dtype=object), utc=True))
    return frame


def equity_frame(equity: Equity) -> pd.DataFrame:
    """Return the equity curve, indexed by time."""
    columns = {name: getattr(equity, name) for name in EQUITY_COLUMNS[1:]}
    return pd.DataFrame(columns, index=instants(equity.ts_ns, "ts"))


def _execution_row(leg: Leg) -> dict[str, Any]:
    trade = leg.trade
    assert trade is not None
    is_entry = leg.kind == "ENTRY"
    ideal, price = (trade.entry_price, trade.entry_exec) if is_entry else (trade.exit_price, trade.exit_exec)
    side = trade.side if is_entry else -trade.side
    return {
        "fill_id": short_hash(leg.order.order_id, str(leg.ordinal)),
        "order_id": leg.order.order_id,
        "trade_id": trade.trade_id,
        "symbol": leg.order.symbol,
        "fill_type": leg.kind,
        "fill_ts": leg.ts_ns,
        "bar_ts": leg.bar_ns,
        "price_ideal": ideal,
        "price_exec": price,
        "qty": trade.units,
        "commission": trade.entry_fee if is_entry else trade.exit_fee,
        "slippage": side * (price - ideal) * trade.units * trade.multiplier,
        "reason": leg.reason,
    }


def _end_row(leg: Leg) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(FILL_COLUMNS)
    return blank | {
        "fill_id": short_hash(leg.order.order_id, str(leg.ordinal)),
        "order_id": leg.order.order_id,
        "trade_id": "",
        "symbol": leg.order.symbol,
        "fill_type": leg.kind,
        "fill_ts": leg.ts_ns,
        "bar_ts": leg.bar_ns,
        "qty": float(leg.order.qty),
        "reason": leg.reason,
    }


def _size_of(trade: Trade, bars: ReplayBars) -> BarSize:
    return BarSize.M1 if bars.ints[trade.entry_bar, at.MINUTE] else bars.signal.size


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _STAMPS:
        return format_utc(value)
    if name == "qty":
        return str(int(value)) if value == int(value) else number(value)
    return number(value) if isinstance(value, float) else str(value)


def _column(name: str, values: list[Any]) -> Any:
    if name in _STAMPS:
        known = pd.array(values, dtype="Int64")
        return pd.to_datetime(pd.Series(known), utc=True, unit="ns")
    if name in _TEXT:
        return pd.Series(["" if value is None else str(value) for value in values], dtype=object)
    return np.array([None if value is None else float(value) for value in values], dtype=float)
