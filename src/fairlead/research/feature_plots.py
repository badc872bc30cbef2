"""Pictures of features: below their prices, and spread over two windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fairlead.backtest.curves import thin
from fairlead.backtest.plots import ACCENT, INK, LOSS, MUTED, date_axis, style_axes
from fairlead.core.arrays import FloatArray
from fairlead.core.time import NS_PER_MINUTE, day_to_date
from fairlead.features.definition import Output
from fairlead.features.drift_report import DriftReport, FeatureDrift
from fairlead.features.panel import FeaturePanel

MOST_SYMBOLS: Final = 4
"""Symbols that one picture has room for."""
_COLOURS: Final = (ACCENT, "#c9812b", "#4b8f6b", "#8a5a9b", LOSS, "#5b7f95")
_WIDTH: Final = 11.0
_PRICE_HEIGHT: Final = 3.2
_PANEL_HEIGHT: Final = 1.5
_FAR_FROM_PRICE: Final = 0.5
_MOST_TICKS: Final = 8
_MINUTES_PER_DAY: Final = 1440


def feature_figure(panel: FeaturePanel, symbols: Sequence[str], *, note: str = "") -> Figure:
    """Return prices with the features of each symbol below them; what moves near the price is drawn over it.

    Parameters
    ----------
    panel : FeaturePanel
    symbols : sequence of str
        Up to `MOST_SYMBOLS` of the panel's.
    note : str
        A warning to stand in the title.
    """
    below = [label for label in panel.plan.asked if any(not _near_price(panel, key) for key, _ in _outputs(panel, label))]
    heights = [_PRICE_HEIGHT, *[_PANEL_HEIGHT] * len(below)]
    figure = Figure((_WIDTH, len(symbols) * sum(heights) + 0.4), dpi=130, layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(symbols) * len(heights), height_ratios=heights * len(symbols))
    for i, symbol in enumerate(symbols):
        top = i * len(heights)
        price = figure.add_subplot(grid[top])
        price.set_title(symbol, loc="left", fontsize=13, color=INK, fontweight="bold", pad=10, parse_math=False)
        if note:
            price.set_title(note, loc="right", fontsize=9, color=LOSS, pad=10, parse_math=False)
        column = panel.symbols.index(symbol)
        _draw_price(price, panel, column)
        axes = [price]
        for k, label in enumerate(below):
            axes.append(figure.add_subplot(grid[top + 1 + k], sharex=price))
            _draw_feature(axes[-1], panel, label, column)
        for one in axes:
            style_axes(one)
            one.tick_params(labelbottom=one is axes[-1])
        _time_axis(axes[-1], panel)
    return figure


def drift_figure(
    report: DriftReport, reference: Mapping[str, FloatArray], current: Mapping[str, FloatArray], *, note: str = ""
) -> Figure:
    """Return the distributions of each feature in the two windows of a drift report, one over the other."""
    rows = [row for row in report.features if row.feature in reference and row.feature in current]
    across = 1 if len(rows) == 1 else 2
    down = -(-len(rows) // across)
    figure = Figure((_WIDTH, 3.0 * down + 0.6), dpi=130, layout="constrained", facecolor="white")
    for i, row in enumerate(rows):
        axes = figure.add_subplot(down, across, i + 1)
        _draw_windows(axes, row, reference[row.feature], current[row.feature])
        style_axes(axes)
        if i == 0:
            axes.legend(loc="upper right", frameon=False, labelcolor=INK, fontsize=9)
    if note:
        figure.suptitle(note, fontsize=9, color=LOSS, x=0.99, ha="right")
    return figure


def _outputs(panel: FeaturePanel, label: str) -> list[tuple[str, Output]]:
    outputs = panel.plan.asked[label].feature.outputs
    return [(label if len(outputs) == 1 else f"{label}.{output.name}", output) for output in outputs]


def _near_price(panel: FeaturePanel, key: str) -> bool:
    # By its values: a difference of prices has their unit too, and does not belong among them.
    output = next(o for label in panel.plan.asked for name, o in _outputs(panel, label) if name == key)
    if output.unit != "price":
        return False
    away = np.abs(panel.values[key] / panel.close - 1.0)
    known = away[np.isfinite(away)]
    return len(known) == 0 or bool(np.median(known) < _FAR_FROM_PRICE)


def _draw_price(axes: Axes, panel: FeaturePanel, column: int) -> None:
    _line(axes, panel, panel.close[:, column], color=INK, linewidth=1.1, label="close")
    for label, colour in zip(panel.plan.asked, _colours(len(panel.plan.asked)), strict=True):
        drawn = {o.name: key for key, o in _outputs(panel, label) if _near_price(panel, key)}
        if {"upper", "lower"} <= drawn.keys():
            x = _times(panel)
            low, high = (panel.values[drawn[name]][:, column] for name in ("lower", "upper"))
            axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        for name, key in drawn.items():
            edge = name in {"upper", "lower"}
            _line(
                axes,
                panel,
                panel.values[key][:, column],
                color=colour,
                linewidth=0.9 if edge else 1.4,
                alpha=0.8 if edge else 1.0,
                label=None if edge else key,
            )
    axes.set_ylabel("Price", color=MUTED)
    if len(axes.get_lines()) > 1:
        # Beside the title: on the lines it would hide some of them.
        axes.legend(loc="lower left", bbox_to_anchor=(0.09, 1.0), ncols=6, frameon=False, labelcolor=INK, fontsize=9)


def _draw_feature(axes: Axes, panel: FeaturePanel, label: str, column: int) -> None:
    drawn = [(key, output) for key, output in _outputs(panel, label) if not _near_price(panel, key)]
    for (key, output), colour in zip(drawn, _colours(len(drawn)), strict=True):
        values = panel.values[key][:, column]
        if output.name == "histogram":
            axes.fill_between(_times(panel), values, 0.0, color=MUTED, alpha=0.35, linewidth=0, label=output.name)
        else:
            _line(axes, panel, values, color=colour, linewidth=1.1, label=output.name)
    low, high = axes.get_ylim()
    if low < 0.0 < high:
        axes.axhline(0.0, color=MUTED, linewidth=0.7, alpha=0.6)
    _frame(axes, [output for _, output in drawn])
    name = label.partition(":")[2] or label
    if len(drawn) == 1:
        name = drawn[0][1].name if len(panel.plan.asked[label].feature.outputs) > 1 else name
    axes.set_ylabel(name if len(name) <= 16 else f"{name[:15]}.", color=MUTED)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if len(drawn) > 1:
        axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=8, ncols=len(drawn))


def _frame(axes: Axes, outputs: Sequence[Output]) -> None:
    # A declared range is shown whole where the values use a good part of it.
    bottom, top = min(o.low for o in outputs), max(o.high for o in outputs)
    low, high = axes.get_ylim()
    if np.isfinite([bottom, top]).all() and high - low > 0.2 * (top - bottom):
        margin = 0.04 * (top - bottom)
        axes.set_ylim(bottom - margin, top + margin)


def _draw_windows(axes: Axes, row: FeatureDrift, reference: FloatArray, current: FloatArray) -> None:
    then, now = (values[np.isfinite(values)] for values in (reference, current))
    both = np.concatenate([then, now])
    if len(both):
        # What lies far out is counted in the last bins, or it would flatten all the others.
        low, high = np.percentile(both, [0.5, 99.5])
        edges = np.linspace(low, high if high > low else low + 1.0, 31)
        for values, style in (
            (then, {"color": MUTED, "alpha": 0.35, "histtype": "stepfilled", "linewidth": 0.0, "label": "reference"}),
            (now, {"color": LOSS if row.drifted else ACCENT, "histtype": "step", "linewidth": 1.5, "label": "current"}),
        ):
            if len(values):
                share = np.full(len(values), 100.0 / len(values))
                axes.hist(np.clip(values, edges[0], edges[-1]), bins=edges, weights=share, **style)  # type: ignore[arg-type]  # keywords of one call
    axes.set_ylabel("% of values", color=MUTED)
    axes.set_title(row.feature, loc="left", fontsize=11, color=INK, fontweight="bold", parse_math=False)
    told = row.status if row.psi is None else f"PSI {row.psi:.3f}   {row.status}"
    axes.set_title(told, loc="right", fontsize=9, color=LOSS if row.drifted else MUTED)


def _line(axes: Axes, panel: FeaturePanel, values: FloatArray, **style: object) -> None:
    known = np.flatnonzero(~np.isnan(values)) if _lone(values) else np.arange(len(values))
    kept = known[thin(values[known])]
    axes.plot(_times(panel)[kept], values[kept], **style)  # type: ignore[arg-type]  # keywords of one call


def _lone(values: FloatArray) -> bool:
    # Where other symbols have bars in between, every line would break into invisible points.
    known = ~np.isnan(values)
    return bool(known.any()) and not bool((known[1:] & known[:-1]).any())


def _times(panel: FeaturePanel) -> np.ndarray:
    # Within the day the hours between sessions would take most of the room: bars stand side by side instead.
    if panel.bar_size.is_intraday:
        return np.arange(len(panel.label_ns))
    return panel.label_ns.view("datetime64[ns]")


def _time_axis(axes: Axes, panel: FeaturePanel) -> None:
    if not panel.bar_size.is_intraday:
        date_axis(axes)
        return
    first = np.flatnonzero(np.diff(panel.session, prepend=panel.session[0] - 1))
    if len(first) > 1:
        ticks = first[:: -(-len(first) // _MOST_TICKS)]
        names = [day_to_date(int(panel.session[i])).isoformat() for i in ticks]
    else:
        ticks = np.arange(0, len(panel.label_ns), max(1, len(panel.label_ns) // _MOST_TICKS))
        minutes = panel.label_ns[ticks] // NS_PER_MINUTE % _MINUTES_PER_DAY
        names = [f"{minute // 60:02d}:{minute % 60:02d} UTC" for minute in minutes]
    axes.set_xticks(ticks, names)
    axes.margins(x=0.01)


def _colours(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]
