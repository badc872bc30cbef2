"""A run in the terminal: the few numbers that one looks at first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead.cli.console import stdout

if TYPE_CHECKING:
    from fairlead.backtest.metrics import Metric
    from fairlead.backtest.result import Result

_LEFT: Final = (
    ("Total return", "total_return", "{:+.1%}"),
    ("Return per year", "annualised_return", "{:+.2%}"),
    ("Volatility per year", "annualised_vol", "{:.2%}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("Sortino", "sortino", "{:.2f}"),
    ("Max drawdown", "max_drawdown_pct", "{:.1f} %"),
)
_RIGHT: Final = (
    ("Final equity", "final_cash", "{:,.2f}"),
    ("Closed trades", "num_trades", "{:,}"),
    ("Win rate", "win_rate", "{:.1%}"),
    ("Profit factor", "profit_factor", "{:.2f}"),
    ("Commission", "total_fees", "{:,.2f}"),
    ("Slippage", "total_slippage", "{:,.2f}"),
)


def print_summary(result: Result, folder: Path) -> None:
    """Print headline numbers, warnings, and where the report is."""
    from rich.box import ROUNDED
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    console, info = stdout(), result.info
    table = Table.grid(padding=(0, 3))
    for justify in ("left", "right", "left", "right"):
        table.add_column(justify=justify)
    for (left, left_key, left_form), (right, right_key, right_form) in zip(_LEFT, _RIGHT, strict=True):
        table.add_row(
            f"[dim]{left}[/]",
            _shown(result.metrics.get(left_key), left_form),
            f"[dim]{right}[/]",
            _shown(result.metrics.get(right_key), right_form),
        )
    subtitle = f"{info.dataset}, {info.start} to {info.end}, {result.record.bars:,} bars of {info.bar_size}"
    label = "[black on yellow] SYNTHETIC DATA [/] " if info.synthetic else ""
    console.print(
        Panel(
            table,
            title=f"{label}[bold]{escape(info.title)}[/]",
            subtitle=f"[dim]{escape(subtitle)}[/]",
            box=ROUNDED,
            expand=False,
        )
    )
    for warning in result.warnings:
        console.print(f"  [yellow]![/] {escape(warning)}", soft_wrap=True)
    console.print(f"  run     {escape(result.run_id)}", soft_wrap=True)
    console.print(f"  digest  {result.digest[:16]}")
    if (folder / "report.html").is_file():
        console.print(f"  report  {escape(str(folder / 'report.html'))}", soft_wrap=True)
    else:
        console.print(f"  folder  {escape(str(folder))}", soft_wrap=True)


def _shown(value: Metric, pattern: str) -> str:
    return "n/a" if value is None else pattern.format(value)
