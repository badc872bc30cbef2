"""Still pictures of a run, with matplotlib's object interface: no window, no global state."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from fairlead.backtest.curves import thin
from fairlead.backtest.metrics import drawdowns, session_closes, simple_returns
from fairlead.core.arrays import DayArray, FloatArray, IntArray

INK: Final = "#1c2733"
MUTED: Final = "#66737f"
GRID: Final = "#e4e8ec"
ACCENT: Final = "#1f5f8b"
LOSS: Final = "#b3423a"


def equity_figure(
    ts_ns: IntArray,
    equity: FloatArray,
    benchmark_ns: IntArray | None = None,
    benchmark: FloatArray | None = None,
    net: FloatArray | None = None,
    *,
    title: str,
    note: str = "",
) -> Figure:
    """Return equity over time, with the benchmark behind it if there is one, and what it is net of cash flows."""
    figure, axes = _figure(title, note)
    if benchmark_ns is not None and benchmark is not None:
        behind = curve_points(benchmark_ns, benchmark)
        axes.plot(*behind, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), label="Buy and hold")
    if net is not None:
        axes.plot(*curve_points(ts_ns, net), color=ACCENT, linewidth=1.0, linestyle=(0, (1, 1.5)), label="Net of cash flows")
    axes.plot(*curve_points(ts_ns, equity), color=ACCENT, linewidth=1.5, label="Strategy")
    if len(axes.lines) > 1:  # one alone is told by the title
        axes.legend(loc="upper left", frameon=False, labelcolor=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("Equity", color=MUTED)
    date_axis(axes)
    return figure


def drawdown_figure(ts_ns: IntArray, equity: FloatArray, initial_cash: float, *, title: str, note: str = "") -> Figure:
    """Return the distance from the running peak, in percent, downwards."""
    figure, axes = _figure(title, note)
    x, y = curve_points(ts_ns, -drawdowns(equity, initial_cash)[1])
    axes.fill_between(x, y, 0.0, color=LOSS, alpha=0.18, linewidth=0)
    axes.plot(x, y, color=LOSS, linewidth=1.1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g} %"))
    axes.set_ylabel("Drawdown", color=MUTED)
    if len(y) == 0 or not y.min() < 0:
        axes.set_ylim(-1.0, 0.1)
    date_axis(axes)
    return figure


def returns_figure(session: DayArray, equity: FloatArray, initial_cash: float, *, title: str, note: str = "") -> Figure:
    """Return the distribution of returns per session, in percent."""
    figure, axes = _figure(title, note)
    _, closes = session_closes(session, equity)
    returns = 100.0 * simple_returns(closes, initial_cash)
    known = returns[np.isfinite(returns)]
    if len(known):
        axes.hist(known, bins=min(60, max(5, len(known) // 10)), color=ACCENT, alpha=0.85, edgecolor="white", linewidth=0.4)
    axes.set_xlabel("Return per session, %", color=MUTED)
    axes.set_ylabel("Sessions", color=MUTED)
    return figure


def to_png(figure: Figure) -> bytes:
    """Return the picture as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)  # becomes the figure's canvas
    figure.savefig(buffer, format="png", metadata={"Software": "fairlead"})
    return buffer.getvalue()


def style_axes(axes: Axes) -> None:
    """Give axes the look of all pictures: quiet lines, no frame."""
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)


def date_axis(axes: Axes) -> None:
    """Write dates under axes, as few words as will do."""
    locator = AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def _figure(title: str, note: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(11, 4.6), dpi=130, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    # A title may hold a dollar sign, which would otherwise start a formula.
    axes.set_title(title, loc="left", fontsize=13, color=INK, fontweight="bold", pad=12, parse_math=False)
    if note:
        axes.set_title(note, loc="right", fontsize=9, color=LOSS, pad=12, parse_math=False)
    style_axes(axes)
    return figure, axes


def curve_points(ts_ns: IntArray, values: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Return a curve as x and y, with as many points as a picture can show."""
    kept = thin(values)
    return ts_ns[kept].view("datetime64[ns]"), values[kept]
