"""A run in the terminal: the few numbers that one looks at first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead.cli.console import say, stdout

if TYPE_CHECKING:
    from fairlead.backtest.metrics import Metric
    from fairlead.backtest.result import Result

_LEFT: Final = (
    ("Total return", "total_return", "{:+,.1%}"),
    ("Return per year", "annualised_return", "{:+,.2%}"),
    ("Volatility per year", "annualised_vol", "{:.2%}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("Sortino", "sortino", "{:.2f}"),
    ("Max drawdown", "max_drawdown_pct", "{:.1f}%"),
)
_RIGHT: Final = (
    ("Final equity", "final_cash", "{:,.2f}"),
    ("Closed trades", "num_trades", "{:,}"),
    ("Win rate", "win_rate", "{:.1%}"),
    ("Profit factor", "profit_factor", "{:.2f}"),
    ("Commission", "total_fees", "{:,.2f}"),
    ("Slippage", "total_slippage", "{:,.2f}"),
)
_COLOURED: Final = ("total_return", "annualised_return")


def print_summary(result: Result, folder: Path) -> None:
    """Print headline numbers, warnings, and where the report is."""
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console, info, metrics = stdout(), result.info, result.metrics
    table = Table.grid(padding=(0, 3))
    for justify in ("left", "right", "left", "right"):
        table.add_column(justify=justify)
    for (left, left_key, left_form), (right, right_key, right_form) in zip(_LEFT, _RIGHT, strict=True):
        table.add_row(
            f"[dim]{left}[/]",
            _toned(left_key, metrics.get(left_key), left_form),
            f"[dim]{right}[/]",
            # Without a trade there is nothing to win.
            _toned(right_key, metrics.get(right_key) if right != "Win rate" or metrics["num_trades"] else None, right_form),
        )
    # As text objects: the titles of a panel would turn ":key:" in a name into a picture.
    title = Text(info.title, "bold")
    if info.synthetic:
        title = Text.assemble((" SYNTHETIC DATA ", "not dim black on yellow"), " ", title)
    bars = f"{result.record.bars:,} bars of {info.bar_size}"
    subtitle = Text(f"{info.dataset}, {info.start} to {info.end}, {bars}", "dim")
    border = "red" if result.status == "stopped" else "dim"
    console.print(Panel(table, title=title, subtitle=subtitle, box=ROUNDED, border_style=border, expand=False))
    # A strategy that was stopped is an error, and is named on standard error.
    stopped = {outcome.error for outcome in result.record.strategies if outcome.status == "stopped"}
    for warning in result.warnings:
        if not any(error in warning for error in stopped):
            say("  [yellow]![/] {warning}", warning=warning)
    say("  [dim]run[/]     {run}", run=result.run_id)
    say("  [dim]digest[/]  {digest}", digest=result.digest[:16])
    say("  [dim]orders[/]  meet {fidelity}", fidelity=info.fidelity)
    if (folder / "report.html").is_file():
        say(
            "  [dim]report[/]  [link={uri}]{path}[/link]",
            uri=(folder / "report.html").absolute().as_uri(),
            path=folder / "report.html",
        )
    else:
        say("  [dim]folder[/]  {path}", path=folder)


def _toned(key: str, value: Metric, pattern: str) -> str:
    if value is None:
        return "[dim]n/a[/]"
    text = pattern.format(value)
    # A loss that rounds to nothing is neither a loss nor a gain to a reader.
    if key not in _COLOURED or pattern.format(0.0) == text.replace("-", "+"):
        return text.replace("-", "+") if key in _COLOURED else text
    return f"[{'green' if value > 0 else 'red'}]{text}[/]"
