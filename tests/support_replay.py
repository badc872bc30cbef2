"""Bars and orders of a replay test: one session, one symbol, prices as a test lists them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl

from fairlead.backtest.replay import ReplayResult, simulate_insidebar_from_orders
from fairlead.contracts.orders import CanonicalOrder, OrderSource, OrderWriter
from fairlead.core.orders import OrderType, Side, TimeInForce

OPENING = dt.datetime(2025, 1, 6, 14, 30, tzinfo=dt.UTC)
"""XNYS on a winter Monday: 09:30 in New York."""
CLOSE = OPENING + dt.timedelta(minutes=390)
FREE = {"commission_bps": 0, "slippage_bps": 0}


def at(bar: int, minutes: int = 5) -> dt.datetime:
    """The opening of a bar of the session."""
    return OPENING + dt.timedelta(minutes=minutes * bar)


def bars(*rows: Sequence[float], first: int = 0, minutes: int = 5, symbol: str = "AAPL") -> pl.DataFrame:
    """Bars of open, high, low, close from a bar of the session on."""
    return pl.DataFrame(
        {
            "ts": [at(first + i, minutes) for i in range(len(rows))],
            "symbol": [symbol] * len(rows),
            **{name: [float(row[i]) for row in rows] for i, name in enumerate(("open", "high", "low", "close"))},
            "volume": [1000.0] * len(rows),
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC")},
    )


def row(side: str = "BUY", **given) -> CanonicalOrder:
    """A bracket that enters at 101 or 100.20, valid from the second bar to the twelfth, as domain rule 6.4 has it."""
    buys = side == "BUY"
    prices = {"stop_price": "101.00", "stop_loss_price": "100.60", "take_profit_price": "101.80"}
    if not buys:
        prices = {"stop_price": "100.20", "stop_loss_price": "100.60", "take_profit_price": "99.40"}
    values = {
        "run_id": "bt_test",
        "strategy": "insidebar",
        "strategy_version": "1.0.0",
        "symbol": "AAPL",
        "side": Side(side),
        "qty": 10,
        "order_type": OrderType.STOP,
        "oco_id": "AAPL_20250106_143500",
        "valid_from": at(1),
        "valid_to": at(12),
        "time_in_force": TimeInForce.DAY,
        "source": OrderSource.BACKTEST,
        "created_at": at(1),
        **prices,
        **given,
    }
    for name in ("qty", "stop_price", "limit_price", "stop_loss_price", "take_profit_price"):
        if values.get(name) is not None:
            values[name] = Decimal(str(values[name]))
    return CanonicalOrder.new(**values)


def replayed(
    folder: Path,
    orders: Sequence[CanonicalOrder],
    data: pl.DataFrame,
    minutes: pl.DataFrame | None = None,
    *,
    costs: dict | None = None,
    **options,
) -> ReplayResult:
    """Write an order file and replay it; free of costs if a test does not say what they are."""
    path = folder / "orders.csv"
    path.unlink(missing_ok=True)
    OrderWriter(path).extend(orders)
    tz, charged = options.pop("tz", "America/New_York"), FREE if costs is None else costs
    size = options.pop("bar_size", "5min")
    return simulate_insidebar_from_orders(path, data, tz, charged, data_path_m1=minutes, bar_size=size, **options)


def told(result: ReplayResult) -> list[tuple]:
    """What became of the orders: side, entry bar, price, exit bar, price and reason of trades; side and reason of the rest."""
    found = []
    for leg in result.fills.legs:
        side = leg.order.side.value
        if leg.trade is None:
            found.append((side, leg.reason))
        elif leg.kind == "ENTRY":
            trade, ints = leg.trade, result.bars.ints
            opened, closed = (_bar(int(ints[bar, 0])) for bar in (trade.entry_bar, trade.exit_bar))
            found.append((side, opened, trade.entry_price, closed, trade.exit_price, trade.exit_reason))
    return found


def _bar(label_ns: int) -> float:
    bar = (label_ns / 1e9 - OPENING.timestamp()) / 300
    return int(bar) if bar == int(bar) else round(bar, 2)
