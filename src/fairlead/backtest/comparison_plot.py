"""Two equity curves in one picture, and what lies between them."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from fairlead.backtest.comparison import equity_gap
from fairlead.backtest.plots import ACCENT, INK, LOSS, MUTED, curve_points, date_axis, style_axes
from fairlead.backtest.result import Result


def comparison_figure(a: Result, b: Result) -> Figure:
    """Return the equity of A and B above, and the difference B less A below."""
    figure = Figure(figsize=(11, 6.4), dpi=130, layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for result, letter, colour, width in ((a, "A", MUTED, 1.2), (b, "B", ACCENT, 1.5)):
        account = result.record.account
        upper.plot(
            *curve_points(account.ts_ns, account.equity), color=colour, linewidth=width, label=f"{letter}: {result.info.title}"
        )
    upper.set_title("Equity of A and B", loc="left", fontsize=13, color=INK, fontweight="bold", pad=12)
    if a.info.synthetic or b.info.synthetic:
        upper.set_title("synthetic data", loc="right", fontsize=9, color=LOSS, pad=12)
    for text in upper.legend(loc="upper left", frameon=False, labelcolor=INK).get_texts():
        text.set_parse_math(False)  # a title may hold a dollar sign, which would otherwise start a formula
    x, y = curve_points(*equity_gap(a.record.account, b.record.account))
    lower.fill_between(x, y, 0.0, color=ACCENT, alpha=0.18, linewidth=0)
    lower.plot(x, y, color=ACCENT, linewidth=1.1)
    lower.set_ylabel("B less A", color=MUTED)
    for axes in (upper, lower):
        style_axes(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if abs(value) >= 10 else f"{value:,.3g}"))
    date_axis(lower)
    return figure
