"""Pictures of a walk-forward: what was traded against what hindsight would have traded, and what was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fairlead.backtest.plots import ACCENT, INK, LOSS, MUTED, curve_points, date_axis, style_axes
from fairlead.backtest.walkforward import WalkForwardResult, compounded
from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.time import NS_PER_DAY, date_to_day

_BAND = "#f1f4f6"


def equity_figure(result: WalkForwardResult, *, note: str = "") -> Figure:
    """Return the stitched out-of-sample equity over its test windows, with the best fixed parameters of hindsight behind it."""
    figure = Figure(figsize=(11, 4.8), dpi=130, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    _title(axes, f"{result.title}: out of sample", note)
    for outcome in result.folds[::2]:
        span = np.array([date_to_day(outcome.fold.test_start), date_to_day(outcome.fold.test_end) + 1], dtype="datetime64[D]")
        axes.axvspan(span[0], span[1], color=_BAND, linewidth=0, zorder=0)
    if result.best is not None:
        label = f"Best in hindsight: {_params(result.best.params)}"
        held = compounded(result.best.returns, result.capital)
        _line(axes, result.best.days, held, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), label=label)
    _line(axes, result.days, result.equity, color=ACCENT, linewidth=1.5, label="Walk-forward")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("Equity", color=MUTED)
    for text in axes.legend(loc="upper left", frameon=False, labelcolor=INK).get_texts():
        text.set_parse_math(False)
    style_axes(axes)
    date_axis(axes)
    return figure


def parameters_figure(result: WalkForwardResult, *, note: str = "") -> Figure:
    """Return what was chosen in each fold, one panel per parameter, over the range of values that it could take."""
    names = list(result.stability)
    figure = Figure(figsize=(11, 1.3 + 1.9 * len(names)), dpi=130, layout="constrained", facecolor="white")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        _title(axes, f"{result.title}: parameters chosen" if i == 0 else "", note if i == 0 else "")
        _panel(axes, name, result)
        style_axes(axes)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[-1].set_xlim(0.6, len(result.folds) + 0.4)
    panels[-1].set_xlabel("Fold", color=MUTED)
    return figure


def _panel(axes: Axes, name: str, result: WalkForwardResult) -> None:
    values = result.stability[name]["values"]
    tried = [trial.params[name] for trial in result.folds[0].trials]
    folds = np.array([i for i, value in enumerate(values, start=1) if value is not None])
    known = [value for value in values if value is not None]
    if all(_is_number(value) for value in tried):
        heights = np.array(known, dtype=float)
        low, high = min(tried), max(tried)
        margin = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=all(isinstance(value, int) for value in tried)))
    else:
        labels = list(dict.fromkeys(map(str, tried)))
        heights = np.array([labels.index(str(value)) for value in known], dtype=float)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.5, len(labels) - 0.5)
    axes.step(folds, heights, where="mid", color=ACCENT, linewidth=1.0, alpha=0.5)
    axes.plot(folds, heights, "o", color=ACCENT, markersize=5)
    axes.set_ylabel(name, color=MUTED, parse_math=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _line(axes: Axes, days: DayArray, values: FloatArray, **style: Any) -> None:
    axes.plot(*curve_points(days.astype(np.int64) * NS_PER_DAY, values), **style)


def _title(axes: Axes, text: str, note: str) -> None:
    axes.set_title(text, loc="left", fontsize=13, color=INK, fontweight="bold", pad=12, parse_math=False)
    if note:
        axes.set_title(note, loc="right", fontsize=9, color=LOSS, pad=12, parse_math=False)


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())
