"""The report's section on execution: what became of the orders, what they cost and where, and one picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from fairlead.backtest.execution_summary import ExecutionSummary, Slippage, Spread
from fairlead.backtest.report import wording as w
from fairlead.backtest.result import Result

MOST_ROWS: Final = 15
_SHORTFALL: Final = (
    ("delay", "Delay", "@muted"),
    ("slippage", "Slippage", "@warm"),
    ("commission", "Commission", "@accent"),
    ("opportunity", "Not filled", "@loss"),
)


def execution_figure(result: Result) -> dict[str, Any]:
    """Return the shortfall by symbol in its four parts, the dearest on top; empty if none is known."""
    known = {name: s.shortfall for name, s in result.execution.by_symbol.items() if s.shortfall is not None}
    ranked = sorted(known, key=lambda name: (-known[name].total, name))[:MOST_ROWS]
    if not ranked or all(known[name].total == 0.0 for name in ranked):
        return {}
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": label,
            "y": ranked,
            "x": [round(getattr(known[name], part), 2) for name in ranked],
            "marker": {"color": colour},
            "hovertemplate": f"%{{y}}: %{{x:,.2f}}<extra>{label}</extra>",
        }
        for part, label, colour in _SHORTFALL
    ]
    axis: dict[str, Any] = {"type": "category", "autorange": "reversed", "showgrid": False}
    if len(ranked) < 4:
        # Few bars would fill the whole height; empty categories keep them slim.
        axis = {"type": "category", "range": [len(ranked) + 0.5, -0.9], "showgrid": False}
    layout = {
        "barmode": "relative",
        "legend": {"traceorder": "normal"},
        "bargap": 0.35,
        "xaxis": {"type": "linear", "tickformat": ",.3~s", "zeroline": True, "zerolinecolor": "@muted"},
        "yaxis": axis,
    }
    return {"data": bars, "layout": layout}


def execution_section(result: Result) -> str:
    """Return the facts, the costs by strategy and symbol, and why orders ended unfilled."""
    quality = result.execution
    if not quality.orders:
        return '<p class="empty">The run sent no order.</p>'
    parts = [f'<div class="columns">{_facts(quality.total)}</div>']
    if len(quality.by_strategy) > 1:
        parts.append(_table("Strategy", quality.by_strategy))
    parts.append(_table("Symbol", _dearest(quality.by_symbol)))
    if len(quality.by_symbol) > MOST_ROWS:
        parts.append(f'<div class="sub">The {MOST_ROWS} dearest of {len(quality.by_symbol)} symbols.</div>')
    return "".join(parts)


def _facts(total: ExecutionSummary) -> str:
    groups = (
        (
            "Orders",
            [
                ("Filled completely", w.percent(total.fill_rate_orders, 1)),
                ("Quantity filled", w.percent(total.fill_rate_quantity, 1)),
                ("Filled in part", w.whole(total.partly_filled)),
                *(
                    (f"{status.capitalize()}: {reason}", w.whole(n))
                    for status, each in total.reasons.items()
                    for reason, n in each.items()
                ),
            ],
        ),
        (
            "Slippage, positive is a cost",
            [
                ("Against the decision", _slippage(total.arrival)),
                ("Stops, against their level", _slippage(total.trigger)),
                ("Against mid", _slippage(total.mid)),
                ("Against the bar's typical price", _slippage(total.typical)),
                ("Charged by the model", _slippage(total.modelled)),
            ],
        ),
        (
            "Time",
            [
                ("Decision to arrival, median", _median(total.decision_to_arrival)),
                ("Decision to arrival, 95%", _p95(total.decision_to_arrival)),
                ("Arrival to first fill, median", _median(total.arrival_to_fill)),
                ("Decision to last fill, median", _median(total.time_to_fill)),
                ("Decision to last fill, 95%", _p95(total.time_to_fill)),
            ],
        ),
    )
    return "".join(
        f'<div class="group"><h3>{escape(title)}</h3><table class="facts">'
        + "".join(w.row([w.cell(name), w.cell(value, "num")]) for name, value in entries)
        + "</table></div>"
        for title, entries in groups
    )


def _dearest(groups: Mapping[str, ExecutionSummary]) -> dict[str, ExecutionSummary]:
    ranked = sorted(groups, key=lambda name: (-_cost(groups[name]), name))
    return {name: groups[name] for name in ranked[:MOST_ROWS]}


def _cost(summary: ExecutionSummary) -> float:
    return summary.costs.total if summary.shortfall is None else summary.shortfall.total


def _table(kind: str, groups: Mapping[str, ExecutionSummary]) -> str:
    financed = any(s.costs.financing is not None for s in groups.values())
    names = [kind, "Orders", "Filled", "Slippage", "Commission", *(["Financing"] if financed else [])]
    names += ["Costs, bps", "Delay", "Not filled", "Shortfall", "Shortfall, bps"]
    rows = []
    for name, s in groups.items():
        short = s.shortfall
        cells = [w.cell(name, "strong")]
        cells += [w.cell(w.whole(s.orders), "num"), w.cell(w.percent(s.fill_rate_quantity, 0), "num")]
        cells += [w.cell(w.money(s.costs.slippage, 0), "num"), w.cell(w.money(s.costs.commission, 0), "num")]
        if financed:
            cells.append(w.cell(w.money(s.costs.financing, 0), "num"))
        cells.append(w.cell(w.ratio(s.costs.bps, 1), "num"))
        for value in (None, None, None) if short is None else (short.delay, short.opportunity, short.total):
            cells.append(w.cell(w.money(value, 0, signed=True), "num"))
        cells.append(w.cell(w.ratio(None if short is None else short.bps, 1), "num"))
        rows.append(w.row(cells))
    head = w.row([w.cell(name, "" if i == 0 else "num", head=True) for i, name in enumerate(names)])
    return f'<div class="scroll"><table class="rows"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _slippage(measured: Slippage | None) -> str:
    return w.NOT_DEFINED if measured is None else f"{w.money(measured.cost, 0)} · {w.ratio(measured.bps, 1)} bps"


def _median(spread: Spread | None) -> str:
    return w.seconds(None if spread is None else spread.median)


def _p95(spread: Spread | None) -> str:
    return w.seconds(None if spread is None else spread.p95)
