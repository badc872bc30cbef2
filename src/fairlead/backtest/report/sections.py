"""The report's tables and tiles as HTML. Every text that comes from outside passes `escape`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

import numpy as np

from fairlead.backtest import metrics as m
from fairlead.backtest.flows import flows_of, growth
from fairlead.backtest.report import wording as w
from fairlead.backtest.result import SYNTHETIC_NOTE, Result
from fairlead.backtest.trades import RoundTrip

LAST_TRADES: Final = 200
EXTREMES: Final = 5
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_Format = Callable[[float | None], str]
METRIC_GROUPS: Final[tuple[tuple[str, tuple[tuple[str, str, _Format], ...]], ...]] = (
    (
        "Return",
        (
            ("initial_cash", "Initial cash", w.money),
            ("final_cash", "Final equity", w.money),
            ("cash_flows", "Paid in, less taken out", w.money),
            ("total_return", "Total return", w.percent),
            ("annualised_return", "Annualised, 252 sessions", w.percent),
            ("cagr", "CAGR, calendar", w.percent),
            ("net_pnl", "Net profit, closed trades", w.money),
            ("gross_pnl", "Gross profit, before costs", w.money),
            ("open_pnl", "Profit of open positions", w.money),
            ("dividends", "Dividends", w.money),
            ("financing", "Interest and loan fees", w.money),
        ),
    ),
    (
        "Risk",
        (
            ("annualised_vol", "Volatility, annualised", w.percent),
            ("sharpe", "Sharpe", w.ratio),
            ("sortino", "Sortino", w.ratio),
            ("calmar", "Calmar", w.ratio),
            ("max_drawdown_pct", "Largest drawdown", w.points),
            ("max_drawdown", "Largest drawdown, currency", w.money),
            ("longest_drawdown_days", "Longest drawdown", w.days),
            ("ulcer_index", "Ulcer index", w.ratio),
            ("recovery_factor", "Recovery factor", w.ratio),
        ),
    ),
    (
        "Sessions",
        (
            ("sessions", "Sessions", w.whole),
            ("bars", "Bars", w.whole),
            ("best_day", "Best day", w.percent),
            ("worst_day", "Worst day", w.percent),
            ("best_month", "Best month", w.percent),
            ("worst_month", "Worst month", w.percent),
            ("positive_days", "Positive days", w.percent),
            ("skew", "Skew", w.ratio),
            ("kurtosis", "Excess kurtosis", w.ratio),
            ("var_95", "Value at risk, 95%", w.percent),
            ("cvar_95", "Expected shortfall, 95%", w.percent),
            ("tail_ratio", "Tail ratio", w.ratio),
        ),
    ),
    (
        "Trades",
        (
            ("num_trades", "Closed trades", w.whole),
            ("open_trades", "Open at the end", w.whole),
            ("win_rate", "Win rate", w.percent),
            ("profit_factor", "Profit factor", w.ratio),
            ("pnl_per_trade", "Profit per trade", w.money),
            ("avg_trade", "Average trade", w.percent),
            ("avg_win", "Average win", w.money),
            ("avg_loss", "Average loss", w.money),
            ("best_trade", "Best trade", w.money),
            ("worst_trade", "Worst trade", w.money),
            ("avg_holding_minutes", "Average holding time", w.minutes),
        ),
    ),
    (
        "Exposure and costs",
        (
            ("time_in_market", "Time in market", w.percent),
            ("exposure", "Holding time / span of trades", w.percent),
            ("avg_leverage", "Average leverage", w.ratio),
            ("max_leverage", "Largest leverage", w.ratio),
            ("avg_exposure", "Average net exposure", w.percent),
            ("max_exposure", "Largest net exposure", w.percent),
            ("turnover", "Turnover / initial cash", w.ratio),
            ("total_fees", "Commission", w.money),
            ("total_slippage", "Slippage", w.money),
            ("cost_bps", "Costs, bps of traded value", w.ratio),
            ("num_orders", "Orders", w.whole),
            ("num_fills", "Fills", w.whole),
            ("num_rejections", "Rejected", w.whole),
            ("fill_rate", "Fill rate", w.percent),
        ),
    ),
    (
        "Against buy and hold",
        (
            ("benchmark_return", "Benchmark return", w.percent),
            ("benchmark_annualised_return", "Benchmark, annualised", w.percent),
            ("benchmark_annualised_vol", "Benchmark volatility", w.percent),
            ("benchmark_sharpe", "Benchmark Sharpe", w.ratio),
            ("benchmark_max_drawdown_pct", "Benchmark drawdown", w.points),
            ("alpha", "Alpha, annualised", w.percent),
            ("beta", "Beta", w.ratio),
            ("correlation", "Correlation", w.ratio),
            ("information_ratio", "Information ratio", w.ratio),
        ),
    ),
)


def tiles(result: Result) -> str:
    """Return the headline numbers, each with a line of context."""
    k = result.metrics
    costs = (k["total_fees"] or 0) + (k["total_slippage"] or 0)
    held_return, held_sharpe = w.percent(k["benchmark_return"], 1), w.ratio(k["benchmark_sharpe"])
    volatility = w.percent(k["annualised_vol"], 1)
    wins = w.percent(k["win_rate"], 0) if k["num_trades"] else w.NOT_DEFINED
    entries = (
        ("Total return", w.percent(k["total_return"], 1, signed=True), f"buy and hold {held_return}", "total_return"),
        ("Per year", w.percent(k["annualised_return"], 1, signed=True), f"volatility {volatility}", "annualised_return"),
        ("Sharpe", w.ratio(k["sharpe"]), f"buy and hold {held_sharpe}", ""),
        ("Sortino", w.ratio(k["sortino"]), f"Calmar {w.ratio(k['calmar'])}", ""),
        ("Largest drawdown", w.points(k["max_drawdown_pct"], 1), f"longest {w.days(k['longest_drawdown_days'])}", ""),
        ("Closed trades", w.whole(k["num_trades"]), f"win rate {wins}", ""),
        ("Profit factor", w.ratio(k["profit_factor"]), f"per trade {w.money(k['pnl_per_trade'], 0, signed=True)}", ""),
        ("Costs", w.money(costs, 0), f"{w.ratio(k['cost_bps'], 1)} bps of traded value", ""),
    )
    return "".join(
        f'<div class="tile"><div class="name">{escape(name)}</div>'
        f'<div class="value {w.tone(k[key]) if key else ""}">{escape(value)}</div><div class="note">{escape(note)}</div></div>'
        for name, value, note, key in entries
    )


def metric_tables(result: Result) -> str:
    """Return every metric, in groups."""
    groups = []
    for title, entries in METRIC_GROUPS:
        told = [(label, show(result.metrics[key])) for key, label, show in entries if key in result.metrics]
        rows = "".join(w.row([w.cell(label), w.cell(value, "num")]) for label, value in told)
        groups.append(f'<div class="group"><h3>{escape(title)}</h3><table class="facts">{rows}</table></div>')
    return "".join(groups)


def monthly_table(result: Result) -> str:
    """Return returns by month and year, shaded by size."""
    days, closes, initial = result.sessions.days, result.sessions.closes, result.record.initial_cash
    months, returns = m.monthly_returns(days, closes, initial)
    if len(months) == 0:
        return _empty("No session closed.")
    values = dict(zip(months.tolist(), [m.finite(value) for value in returns.tolist()], strict=True))
    known = [abs(value) for value in values.values() if value is not None]
    scale = max(float(np.quantile(known, 0.95)), 1e-9) if known else 1.0
    lines = []
    for year in range(months[0] // 12, months[-1] // 12 + 1):
        cells = [w.cell(1970 + year, head=True)]
        total: float | None = 1.0
        for month in range(12 * year, 12 * year + 12):
            value = values.get(month)
            if month in values:
                total = None if total is None or value is None else total * (1 + value)
            cells.append(_heat(value, scale) if month in values else "<td></td>")
        yearly = None if total is None else total - 1
        cells.append(w.cell(w.percent(yearly, 1), f"num total {w.tone(yearly)}"))
        lines.append(w.row(cells))
    head = w.row([w.cell(name, head=True) for name in ("", *_MONTHS, "Year")])
    return f'<div class="scroll"><table class="heat"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def trade_tables(result: Result) -> str:
    """Return the best and the worst trades, then the last ones."""
    ledger = result.ledger
    if not ledger.trades:
        return _empty("The run made no trade.")
    ranked = sorted(ledger.closed, key=lambda trade: trade.net_pnl)
    parts = []
    if len(ranked) > 2 * EXTREMES:
        pairs = [("Best", ranked[::-1][:EXTREMES]), ("Worst", ranked[:EXTREMES])]
        parts = [f'<div class="group"><h3>{title}</h3>{_trades(result, some, brief=True)}</div>' for title, some in pairs]
        parts = [f'<div class="pair">{"".join(parts)}</div>']
    last = [*ledger.open, *ledger.closed[::-1]][:LAST_TRADES]
    total = len(ledger.trades)
    title = f"All {total} trades" if total <= LAST_TRADES else f"Last {len(last)} of {total:,} trades"
    return "".join([*parts, f"<h3>{title}, newest first</h3>", _trades(result, last, brief=False)])


def strategy_table(result: Result) -> str:
    """Return how each strategy ended, with its parameters, and what was paid into it and taken out."""
    rows = []
    for s in result.record.strategies:
        curve = result.record.by_strategy.get(s.name)
        final = grown = s.capital
        if curve is not None and len(curve.equity):
            final, grown = float(curve.equity[-1]), float(growth(curve, flows_of(result.record, s.name), s.capital)[-1])
        gain = m.total_return(s.capital, grown)
        shown = ", ".join(f"{key} = {_value(value)}" for key, value in sorted(s.params.items())) or "none"
        outcome = s.status if not s.error else f"{s.status}: {s.error}"
        rows.append(
            w.row(
                [
                    w.cell(s.name, "strong"),
                    w.cell(s.version),
                    w.cell(shown, "mono"),
                    w.cell(w.money(s.capital, 0), "num"),
                    w.cell(w.money(final, 0), "num"),
                    w.cell(w.percent(gain, 1, signed=True), f"num {w.tone(gain)}"),
                    w.cell(outcome, "stopped" if s.status == "stopped" else ""),
                ]
            )
        )
    names = ("Strategy", "Version", "Parameters", "Capital", "Final equity", "Return", "Outcome")
    return _table(names, rows, numeric=(3, 4, 5)) + _flow_table(result)


def settings_tables(result: Result) -> str:
    """Return costs and the effective configuration."""
    costs = "".join(w.row([w.cell(k), w.cell(_value(v), "mono")]) for k, v in _flat(result.info.costs))
    config = "".join(w.row([w.cell(k), w.cell(_value(v), "mono")]) for k, v in _flat(result.info.config))
    blocks = [("Costs", costs), ("Configuration", config)]
    return "".join(
        f'<div class="group"><h3>{title}</h3><table class="facts">{rows}</table></div>' for title, rows in blocks if rows
    )


def provenance(result: Result) -> str:
    """Return what is needed to make the run again and to prove that it is the same."""
    info = result.info
    entries = (
        ("Run", info.run_id),
        ("Created", info.created_at),
        ("Digest", result.digest),
        ("Code", f"{info.code_version} · {info.code_hash}"),
        ("Configuration", info.config_hash),
        ("Data", f"{info.dataset} · {info.dataset_hash}"),
        ("Ticks", f"{info.ticks} · {info.ticks_hash}" if info.ticks else ""),
        ("Seed", str(info.seed)),
        ("Python", info.python_version),
        ("Command", info.command),
    )
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries if value)


def notices(result: Result) -> str:
    """Return what a careful reader must know; synthetic prices have a banner of their own."""
    return "".join(f"<li>{escape(text)}</li>" for text in result.warnings if text != SYNTHETIC_NOTE)


def _flow_table(result: Result) -> str:
    flows = result.record.cash_flows
    if not flows:
        return ""
    rows = [
        w.row([w.cell(w.stamp(f.ts_ns, with_time=True)), w.cell(f.strategy), w.cell(w.money(f.amount, signed=True), "num")])
        for f in flows
    ]
    return f"<h3>Capital paid in and taken out</h3>{_table(('After', 'Strategy', 'Amount'), rows, numeric=(2,))}"


def _trades(result: Result, trades: Sequence[RoundTrip], *, brief: bool) -> str:
    orders = {order.order_id: order for order in result.record.orders} if not brief else {}
    with_time = result.info.bar_size != "1d"
    many = len(result.record.strategies) > 1
    rows = []
    for t in trades:
        cells = [w.cell(t.symbol, "strong"), w.cell("long" if t.side == "BUY" else "short")]
        if not brief:
            cells = [*([w.cell(t.strategy)] if many else []), *cells, w.cell(f"{t.qty:,.6g}", "num")]
        cells += [w.cell(w.stamp(t.entry_ns, with_time=with_time)), w.cell(_end(t, with_time=with_time))]
        if not brief:
            tags = [orders[i].tag for i in (t.order_id, t.exit_order_id) if i in orders and orders[i].tag]
            cells += [
                w.cell(f"{t.entry_exec_price:,.2f}", "num"),
                w.cell(f"{t.exit_exec_price:,.2f}", "num"),
                w.cell(w.money(t.slippage_cost + t.commission_cost), "num"),
            ]
        net = [w.cell(w.money(t.net_pnl, signed=True), f"num {w.tone(t.net_pnl)}"), w.cell(w.percent(t.return_frac, 1), "num")]
        cells += net
        if not brief:
            cells += [w.cell(w.minutes(t.duration_minutes), "num"), w.cell(" → ".join(tags), "quiet")]
        rows.append(w.row(cells))
    if brief:
        return _table(("Symbol", "Side", "Entry", "Exit", "Net", "Return"), rows, numeric=(4, 5))
    names = ("Symbol", "Side", "Qty", "Entry", "Exit", "Entry price", "Exit price", "Costs", "Net", "Return", "Held", "Tags")
    numeric = (2, 5, 6, 7, 8, 9, 10)
    if many:
        return _table(("Strategy", *names), rows, numeric=tuple(i + 1 for i in numeric))
    return _table(names, rows, numeric=numeric)


def _end(trade: RoundTrip, *, with_time: bool) -> str:
    return "open" if trade.status == "open" else w.stamp(trade.exit_ns, with_time=with_time)


def _table(names: Sequence[str], rows: Sequence[str], *, numeric: Sequence[int] = ()) -> str:
    head = w.row([w.cell(name, "num" if i in numeric else "", head=True) for i, name in enumerate(names)])
    return f'<div class="scroll"><table class="rows"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _heat(value: float | None, scale: float) -> str:
    if value is None:
        return w.cell(w.NOT_DEFINED, "num")
    share = min(1.0, abs(value) / scale)
    kind = "up" if value >= 0 else "down"
    return f'<td class="num {kind}" style="--s:{share:.2f}">{escape(w.percent(value, 1))}</td>'


def _flat(tree: object, prefix: str = "") -> list[tuple[str, object]]:
    if isinstance(tree, dict) and tree:
        return [pair for key in sorted(tree, key=str) for pair in _flat(tree[key], f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(tree, list | tuple) and any(isinstance(item, dict) for item in tree):
        return [pair for i, item in enumerate(tree) for pair in _flat(item, f"{prefix}[{i}]")]
    return [(prefix, tree)] if prefix else []


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def _empty(text: str) -> str:
    return f'<p class="empty">{escape(text)}</p>'
