"""The report's charts as plain data for the chart library in the page.

A colour that starts with ``@`` names a variable of the page's style sheet, so that the charts follow light and dark.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np

from fairlead.backtest.curves import thin
from fairlead.backtest.metrics import drawdowns, rolling_sharpe
from fairlead.backtest.report.execution import execution_figure
from fairlead.backtest.result import Result
from fairlead.core.arrays import FloatArray, IntArray

Figure: TypeAlias = dict[str, Any]

ROLLING_SESSIONS: Final = 126
BARS_OF_COSTS: Final = 15
_NS_PER_MS: Final = 1_000_000


def build_figures(result: Result) -> dict[str, Figure]:
    """Return every chart that the run has data for, by the name of its place in the page."""
    figures = {
        "equity": equity(result),
        "drawdown": drawdown(result),
        "rolling": rolling(result),
        "exposure": exposure(result),
        "distribution": distribution(result),
        "costs": costs(result),
        "execution": execution_figure(result),
    }
    return {name: figure for name, figure in figures.items() if figure}


def equity(result: Result) -> Figure:
    """Equity at every instant, with the benchmark at every session's close."""
    account = result.record.account
    if len(account.ts_ns) == 0:
        return {}
    held, net = result.benchmark_values, result.net_equity
    flowed = [_line(account.ts_ns, net, "Net of cash flows", "@warm", width=1.2)] if result.record.cash_flows else []
    return {
        "data": [
            _line(result.record.prices.ts_ns, held, "Buy and hold", "@muted", width=1.2, dash="dot"),
            *flowed,
            _line(account.ts_ns, account.equity, "Strategy", "@accent", width=1.8),
        ],
        "layout": {"yaxis": {"tickformat": _money_ticks(account.equity)}, "hovermode": "x unified"},
        "log": bool(np.all(account.equity > 0) and np.all(net > 0) and np.all(held > 0)),
    }


def drawdown(result: Result) -> Figure:
    """Distance from the running peak, downwards, as a fraction."""
    record = result.record
    if len(record.account.ts_ns) == 0:
        return {}
    mine = -drawdowns(result.net_equity, record.initial_cash)[1] / 100
    theirs = -drawdowns(result.benchmark_values, record.initial_cash)[1] / 100
    own = _line(record.account.ts_ns, mine, "Strategy", "@loss", width=1.2, digits=5)
    axis: Figure = {"tickformat": ".0%", "rangemode": "tozero"}
    if float(min(mine.min(), theirs.min(initial=0.0))) > -0.03:
        axis = {"tickformat": ".1%", "range": [min(-0.01, 1.1 * float(min(mine.min(), theirs.min(initial=0.0)))), 0]}
    return {
        "data": [
            _line(record.prices.ts_ns, theirs, "Buy and hold", "@muted", width=1.0, dash="dot", digits=5),
            {**own, "fill": "tozeroy", "fillcolor": "@loss-soft"},
        ],
        "layout": {"yaxis": axis, "hovermode": "x unified"},
    }


def rolling(result: Result) -> Figure:
    """Sharpe ratio of the last six months, at every session's close."""
    sessions = result.sessions
    mine = rolling_sharpe(sessions.returns, ROLLING_SESSIONS)
    if len(mine) == 0:
        return {}
    stamps = _session_stamps(sessions.days[ROLLING_SESSIONS - 1 :].astype(np.int64))
    theirs = rolling_sharpe(sessions.benchmark_returns, ROLLING_SESSIONS)
    return {
        "data": [
            _line(stamps, theirs, "Buy and hold", "@muted", width=1.0, dash="dot", digits=3),
            _line(stamps, mine, "Strategy", "@accent", width=1.5, digits=3),
        ],
        "layout": {"yaxis": {"zeroline": True}, "hovermode": "x unified"},
    }


def exposure(result: Result) -> Figure:
    """Gross and net exposure as fractions of equity."""
    account = result.record.account
    if len(account.ts_ns) == 0:
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        gross = np.where(account.equity > 0, account.gross / account.equity, np.nan)
        net = np.where(account.equity > 0, account.net / account.equity, np.nan)
    area = {
        **_line(account.ts_ns, gross, "Gross", "@accent", width=1.0, digits=4),
        "fill": "tozeroy",
        "fillcolor": "@accent-soft",
    }
    lines = [area] if np.allclose(gross, net, equal_nan=True) else [area, _line(account.ts_ns, net, "Net", "@warm", digits=4)]
    top = float(np.nanmax(gross)) if np.any(np.isfinite(gross)) else 0.0
    axis = {"tickformat": ".0%", "rangemode": "tozero"} if top > 0 else {"tickformat": ".0%", "range": [0, 1]}
    return {"data": lines, "layout": {"yaxis": axis, "hovermode": "x unified"}}


def distribution(result: Result) -> Figure:
    """How often which return per session came, with the value at risk marked."""
    returns = result.sessions.returns[np.isfinite(result.sessions.returns)]
    if len(returns) < 2:
        return {}
    low, high = np.quantile(returns, [0.002, 0.998]).tolist()
    if high - low < 1e-9:
        low, high = low - 0.005, high + 0.005
    counts, edges = np.histogram(np.clip(returns, low, high), bins=min(61, max(11, len(returns) // 12)), range=(low, high))
    middle = (edges[:-1] + edges[1:]) / 2
    figure: Figure = {
        "data": [
            {
                "type": "bar",
                "x": np.round(middle, 6).tolist(),
                "y": counts.tolist(),
                "marker": {"color": [_side_of_zero(*pair) for pair in pairwise(edges.tolist())]},
                "hovertemplate": "%{x:.2%}: %{y} sessions<extra></extra>",
            }
        ],
        "layout": {"xaxis": {"type": "linear", "tickformat": ".1%"}, "bargap": 0.06, "showlegend": False},
    }
    risk = result.metrics["var_95"]
    if risk is not None and risk > 0:
        figure["layout"] |= {
            "shapes": [_vertical(-risk, "@muted")],
            "annotations": [{**_label(-risk, f"VaR 95: {risk:.2%}"), "xanchor": "right", "xshift": -4}],
        }
    return figure


def costs(result: Result) -> Figure:
    """Commission and slippage by symbol, the dearest on top."""
    fees: defaultdict[str, float] = defaultdict(float)
    slip: defaultdict[str, float] = defaultdict(float)
    multipliers = {trade.symbol: trade.multiplier for trade in result.ledger.trades}
    for fill in result.record.fills:
        fees[fill.symbol] += fill.commission
        slip[fill.symbol] += fill.slippage * fill.quantity * multipliers[fill.symbol]
    ranked = sorted(fees, key=lambda symbol: (-(fees[symbol] + slip[symbol]), symbol))
    if not ranked:
        return {}
    shown, rest = ranked[:BARS_OF_COSTS], ranked[BARS_OF_COSTS:]
    names = [*shown, *([f"{len(rest)} others"] if rest else [])]
    bars = []
    for label, amounts, colour in (("Commission", fees, "@accent"), ("Slippage", slip, "@warm")):
        values = [amounts[symbol] for symbol in shown]
        if rest:
            values.append(sum(amounts[symbol] for symbol in rest))
        bars.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": label,
                "y": names,
                "x": [round(value, 2) for value in values],
                "marker": {"color": colour},
                "hovertemplate": f"%{{y}}: %{{x:,.2f}}<extra>{label}</extra>",
            }
        )
    # Few bars would fill the whole height; empty categories keep them slim.
    layout = {
        "barmode": "stack",
        "legend": {"traceorder": "normal"},
        "bargap": 0.35,
        "xaxis": {"type": "linear", "tickformat": ",.3~s", "rangemode": "tozero"},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
    }
    if len(names) < 4:
        layout["yaxis"] = {"type": "category", "range": [len(names) + 0.5, -0.9], "showgrid": False}
    return {"data": bars, "layout": layout}


def milliseconds(ts_ns: IntArray) -> list[int]:
    """Return stamps in the unit of the page's time axis."""
    whole: list[int] = (ts_ns // _NS_PER_MS).tolist()
    return whole


def compact(values: FloatArray, digits: int = 2) -> list[float | None]:
    """Return rounded values with None for what is not finite: short text, and JSON knows no NaN."""
    rounded: list[float | None] = np.round(values, digits).tolist()
    if bool(np.isfinite(values).all()):
        return rounded
    return [value if value is not None and np.isfinite(value) else None for value in rounded]


def _line(
    ts_ns: IntArray,
    values: FloatArray,
    name: str,
    colour: str,
    *,
    width: float = 1.4,
    dash: str = "solid",
    digits: int = 2,
) -> Figure:
    kept = thin(values)
    return {
        "type": "scatter",
        # A line needs two points; a single one is shown as a dot.
        "mode": "lines" if len(kept) > 1 else "markers",
        "name": name,
        "x": milliseconds(ts_ns[kept]),
        "y": compact(values[kept], digits),
        "line": {"color": colour, "width": width, "dash": dash},
        "marker": {"color": colour},
    }


def _side_of_zero(low: float, high: float) -> str:
    # Idle sessions fall into the bar that holds 0: it is neither gain nor loss.
    if low <= 0 <= high:
        return "@muted"
    return "@loss" if high < 0 else "@accent"


def _money_ticks(values: FloatArray) -> str:
    """Return the number format whose neighbouring ticks differ."""
    if float(values.max() - values.min()) < 10:
        return ",.2f"
    return ",.0f" if float(np.abs(values).max()) < 1e7 else ",.4~s"


def _session_stamps(days: IntArray) -> IntArray:
    return days * 86_400 * 1_000_000_000


def _vertical(x: float, colour: str) -> Figure:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": colour, "width": 1, "dash": "dot"},
    }


def _label(x: float, text: str) -> Figure:
    return {"x": x, "y": 1, "yref": "paper", "text": text, "showarrow": False, "font": {"size": 11, "color": "@muted"}}
