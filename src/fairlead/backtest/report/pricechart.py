"""Trades on the price chart: split-adjusted prices of the most traded symbols, with fills and corporate actions."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Any, Final

import numpy as np

from fairlead.backtest.benchmark import rows_of, split_adjustment
from fairlead.backtest.curves import thin
from fairlead.backtest.report.figures import compact, milliseconds
from fairlead.backtest.result import Result
from fairlead.core.arrays import FloatArray
from fairlead.core.bars import forward_fill
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.core.time import BarSize

MAX_SYMBOLS: Final = 12
MAX_MARKERS: Final = 1_000
MAX_POINTS: Final = 2_000


def price_charts(result: Result) -> dict[str, Any]:
    """Return ``{"symbols": [...], "charts": {symbol: ...}, "note": ...}`` for the page's symbol selector.

    Prices and fills are multiplied so that a split leaves no step. The most traded symbols come first, at most twelve, each
    with its last thousand fills; the note says what was left out.
    """
    prices = result.record.prices
    if len(prices.session) == 0 or not prices.symbols:
        return {"symbols": [], "charts": {}, "note": ""}
    traded = Counter(fill.symbol for fill in result.record.fills)
    ranked = sorted(prices.symbols, key=lambda symbol: (-traded[symbol], symbol))
    shown = ranked[:MAX_SYMBOLS]
    notes = ["Prices are adjusted for splits, so that a split is not a crash; fills are adjusted likewise."]
    if _is_intraday(result):
        notes.append("The line joins the closes of the sessions and the fills; a run keeps no price in between.")
    if len(ranked) > len(shown):
        notes.append(f"The {len(shown)} most traded of {len(ranked)} symbols are shown.")
    if any(traded[symbol] > MAX_MARKERS for symbol in shown):
        notes.append(f"Of each symbol the last {MAX_MARKERS:,} fills are shown.")
    adjustment = split_adjustment(prices, result.record.market_actions)
    marks = forward_fill(prices.mark)
    return {
        "symbols": shown,
        "charts": {symbol: _chart(result, symbol, marks, adjustment) for symbol in shown},
        "note": " ".join(notes),
    }


def _chart(result: Result, symbol: str, marks: FloatArray, adjustment: FloatArray) -> dict[str, Any]:
    prices = result.record.prices
    column = prices.symbols.index(symbol)
    values = marks[:, column] * adjustment[:, column]
    kept = thin(values, MAX_POINTS)
    fills = [fill for fill in result.record.fills if fill.symbol == symbol][-MAX_MARKERS:]
    # A fill belongs to the session that ends at or after it.
    row_of = np.searchsorted(prices.ts_ns, np.array([fill.ts_ns for fill in fills], dtype=np.int64))
    factors = adjustment[np.minimum(row_of, len(adjustment) - 1), column].tolist()
    splits, dividends = [], []
    for row, action in rows_of(prices.session, result.record.market_actions):
        if action.symbol != symbol:
            continue
        stamp = milliseconds(prices.ts_ns[row : row + 1])[0]
        if action.kind is not ActionKind.DIVIDEND:
            splits.append([stamp, _action_text(action)])
        else:
            dividends.append([stamp, *compact(values[row : row + 1], 4), f"Dividend {action.value:g} per share"])
    ts_ns, line = prices.ts_ns[kept], values[kept]
    if _is_intraday(result):
        # A run keeps one price per session; without those of the fills their markers would float beside the line.
        ideal = np.array([fill.price_ideal * factor for fill, factor in zip(fills, factors, strict=True)], dtype=np.float64)
        ts_ns = np.concatenate([ts_ns, np.array([fill.ts_ns for fill in fills], dtype=np.int64)])
        in_order = np.argsort(ts_ns, kind="stable")
        ts_ns, line = ts_ns[in_order], np.concatenate([line, ideal])[in_order]
    return {
        "x": milliseconds(ts_ns),
        "y": compact(line, 4),
        "buys": _markers(fills, factors, Side.BUY),
        "sells": _markers(fills, factors, Side.SELL),
        "splits": splits,
        "dividends": dividends,
    }


def _action_text(action: CorporateAction) -> str:
    if action.kind is ActionKind.SPLIT:
        return f"{action.value:g}:1 split"
    name = str(action.kind).replace("_", " ")
    return f"{name.capitalize()}: {action.other}" if action.other else name.capitalize()


def _is_intraday(result: Result) -> bool:
    return BarSize.parse(result.info.bar_size).is_intraday


def _markers(fills: list[Fill], factors: list[float], side: Side) -> dict[str, list[Any]]:
    chosen = [(fill, factor) for fill, factor in zip(fills, factors, strict=True) if fill.side is side]
    return {
        "x": milliseconds(np.array([fill.ts_ns for fill, _ in chosen], dtype=np.int64)),
        "y": compact(np.array([fill.price * factor for fill, factor in chosen], dtype=np.float64), 4),
        "text": [_hover(fill) for fill, _ in chosen],
    }


def _hover(fill: Fill) -> str:
    verb = "Buy" if fill.side is Side.BUY else "Sell"
    tag = f" · {escape(fill.tag)}" if fill.tag else ""
    return f"{verb} {fill.quantity:,.6g} at {fill.price:,.4f} (raw){tag}"
