"""Pictures of a sweep: the objective over two parameters, and a line per trial across all of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fairlead.backtest.objectives import LOWER_IS_BETTER, natural
from fairlead.backtest.plots import GRID, INK, LOSS, MUTED
from fairlead.backtest.space import Interval, Values
from fairlead.core.errors import ConfigurationError

if TYPE_CHECKING:
    from fairlead.backtest.sweep_result import SweepResult

_MOST_CELLS: Final = 60
_WRITTEN_CELLS: Final = 150
_MOST_TICKS: Final = 12
_MOST_LINES: Final = 2_000
_BEST_LINES: Final = 5
_EMPTY: Final = "#f1f3f5"


def heatmap_figure(result: SweepResult) -> Figure:
    """Return the objective over two parameters: those with the most values, the mean over all others.

    Values without end are shown as points instead of cells. What did not complete is left grey.

    Raises
    ------
    ConfigurationError
        If fewer than two parameters vary, or no trial has a value.
    """
    if len(result.space.axes) < 2 or not result.ranking:
        rule = "have two parameters and a completed trial to draw a map of"
        raise ConfigurationError.of("sweep", rule, str(result.space), "Look at plot('parallel').")
    y_name, x_name = sorted(result.space.axes, key=lambda name: -_distinct(result, name))[:2]
    others = [name for name in result.space.axes if name not in (x_name, y_name)]
    is_map = all(_is_finite(result, name) for name in (x_name, y_name))
    over = f", {'mean over' if is_map else 'whatever the'} {', '.join(others)}" if others else ""
    figure, axes = _figure(result, f"{_label(result.objective)} by {y_name} and {x_name}{over}")
    figure.set_size_inches(9, 6.2)
    (_cells if is_map else _points)(figure, axes, result, (x_name, y_name))
    axes.set_xlabel(x_name, color=MUTED)
    axes.set_ylabel(y_name, color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def parallel_figure(result: SweepResult) -> Figure:
    """Return one line per completed trial across all parameters and the objective, the best drawn last and thickest.

    Raises
    ------
    ConfigurationError
        If no trial has a value.
    """
    if not result.ranking:
        raise ConfigurationError.of("sweep", "have a completed trial to draw", result.counts)
    shown = result.ranking[:_MOST_LINES]
    few = f", the best {len(shown):,} of {len(result.ranking):,} trials" if len(shown) < len(result.ranking) else ""
    figure, axes = _figure(result, f"{_label(result.objective)} across parameters{few}")
    names = list(result.space.axes)
    scales = [_Scale.of(result, name, shown) for name in names]
    values = np.array([_natural(result, ordinal) for ordinal in shown])
    lowest, highest = float(values.min()), float(values.max())
    span = (highest - lowest) or 1.0
    rows = [
        [*(scale.place(result.trials[o].params[name]) for name, scale in zip(names, scales, strict=True)), (v - lowest) / span]
        for o, v in zip(shown, values.tolist(), strict=True)
    ]
    norm, colours = _colours(values, result.objective)
    lines = [list(enumerate(row)) for row in reversed(rows)]
    widths = [0.8] * max(0, len(rows) - _BEST_LINES) + [2.2] * min(_BEST_LINES, len(rows))
    axes.add_collection(
        LineCollection(lines, linewidths=widths, colors=ScalarMappable(norm, colours).to_rgba(values[::-1]), alpha=0.75)
    )
    for i, scale in enumerate(scales):
        axes.axvline(i, color=MUTED, linewidth=0.8, zorder=3)
        for place, text in scale.ticks:
            axes.text(
                i - 0.02, place, text, ha="right", va="center", fontsize=8, color=INK, zorder=4, parse_math=False, bbox=_PAPER
            )
    axes.axvline(len(names), color=MUTED, linewidth=0.8, zorder=3)
    for place in np.linspace(0, 1, 5).tolist():
        text = f"{lowest + place * span:.3g}"
        axes.text(len(names) + 0.02, place, text, ha="left", va="center", fontsize=8, color=INK, zorder=4, bbox=_PAPER)
    axes.set_xlim(-0.25, len(names) + 0.25)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xticks(range(len(names) + 1), [*names, _label(result.objective)])
    axes.tick_params(colors=INK, labelsize=10, length=0, labelleft=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


_PAPER: Final = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}


def _cells(figure: Figure, axes: Axes, result: SweepResult, names: tuple[str, str]) -> None:
    x_all, y_all = (_all_values(result, name) for name in names)
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for ordinal in result.values:
        params = result.trials[ordinal].params
        found[y_all.index(params[names[1]]), x_all.index(params[names[0]])].append(_natural(result, ordinal))
    grid = np.full((len(y_all), len(x_all)), np.nan)
    for place, values in found.items():
        grid[place] = sum(values) / len(values)
    norm, colours = _colours(grid[np.isfinite(grid)], result.objective)
    axes.set_facecolor(_EMPTY)
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap=colours, norm=norm, interpolation="nearest")
    _bar(figure, axes, image, result.objective)
    _ticks(axes, x_all, y_all)
    if grid.size <= _WRITTEN_CELLS:
        for (row, column), value in np.ndenumerate(grid):
            if math.isfinite(value):
                dark = sum(image.cmap(norm(value))[:3]) < 1.5
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
    best = result.trials[result.ranking[0]].params
    corner = (x_all.index(best[names[0]]) - 0.5, y_all.index(best[names[1]]) - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=2.2))


def _points(figure: Figure, axes: Axes, result: SweepResult, names: tuple[str, str]) -> None:
    chosen = list(reversed(result.ranking))  # the best on top
    places: list[list[float]] = []
    for name, set_ticks, set_scale in zip(
        names, (axes.set_xticks, axes.set_yticks), (axes.set_xscale, axes.set_yscale), strict=True
    ):
        axis = result.space.axes[name]
        values = [result.trials[ordinal].params[name] for ordinal in chosen]
        if all(isinstance(value, int | float) for value in values):
            places.append(values)
            if isinstance(axis, Interval) and axis.log:
                set_scale("log")
        else:
            known = _all_values(result, name)
            places.append([float(known.index(value)) for value in values])
            set_ticks(range(len(known)), [str(value) for value in known])
    shades = np.array([_natural(result, ordinal) for ordinal in chosen])
    norm, colours = _colours(shades, result.objective)
    edges = ["none"] * (len(chosen) - 1) + [INK]
    points = axes.scatter(places[0], places[1], c=shades, cmap=colours, norm=norm, s=42, edgecolors=edges, linewidths=1.8)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _bar(figure, axes, points, result.objective)


def _bar(figure: Figure, axes: Axes, shades: ScalarMappable, objective: str) -> None:
    bar = figure.colorbar(shades, ax=axes, label=_label(objective), pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=9, length=0)


def _ticks(axes: Axes, x_all: Sequence[Any], y_all: Sequence[Any]) -> None:
    for set_ticks, values in ((axes.set_xticks, x_all), (axes.set_yticks, y_all)):
        every = math.ceil(len(values) / _MOST_TICKS)
        set_ticks(range(0, len(values), every), [_text(value) for value in values[::every]])


class _Scale:
    """Places of values on an axis of height 1."""

    def __init__(self, known: Sequence[Any], *, log: bool = False, as_names: bool = False) -> None:
        self._log, self._names = log, list(known) if as_names else None
        if self._names is None:
            self._low, high = self._moved(min(known)), self._moved(max(known))
            self._span = (high - self._low) or 1.0
            every = math.ceil(len(known) / _MOST_TICKS)
            marks = known[::every] if len(known) <= _MOST_CELLS else self._even(self._low, high)
            self.ticks = [(self.place(value), _text(value)) for value in marks]
        else:
            self.ticks = [(self.place(value), _text(value)) for value in self._names]

    @classmethod
    def of(cls, result: SweepResult, name: str, shown: Sequence[int]) -> _Scale:
        axis = result.space.axes[name]
        if isinstance(axis, Interval):
            return cls([axis.low, axis.high, *(result.trials[o].params[name] for o in shown)], log=axis.log).with_even_ticks()
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values)
        return cls(_all_values(result, name), as_names=not numbers)

    def with_even_ticks(self) -> _Scale:
        self.ticks = [(self.place(value), _text(value)) for value in self._even(self._low, self._low + self._span)]
        return self

    def place(self, value: Any) -> float:
        if self._names is not None:
            return self._names.index(value) / max(1, len(self._names) - 1)
        return (self._moved(value) - self._low) / self._span

    def _moved(self, value: float) -> float:
        return math.log(value) if self._log else float(value)

    def _even(self, low: float, high: float) -> list[float]:
        marks = np.linspace(low, high, 6).tolist()
        return [math.exp(mark) for mark in marks] if self._log else marks


def _figure(result: SweepResult, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(11, 5.2), dpi=130, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    figure.suptitle(result.study.title, x=0.01, ha="left", fontsize=13, color=INK, fontweight="bold", parse_math=False)
    axes.set_title(title, loc="left", fontsize=10, color=MUTED, pad=10, parse_math=False)
    if result.study.synthetic:
        axes.set_title("synthetic data", loc="right", fontsize=9, color=LOSS, pad=10)
    return figure, axes


def _natural(result: SweepResult, ordinal: int) -> float:
    value = natural(result.objective, result.values[ordinal])
    assert value is not None
    return value


def _colours(values: np.ndarray, objective: str) -> tuple[Normalize, str]:
    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        # The same distance from 0 has the same strength on both sides.
        reach = max(-low, high)
        return TwoSlopeNorm(0.0, -reach, reach), "RdBu"
    return Normalize(low, high if high > low else low + 1.0), "viridis_r" if objective in LOWER_IS_BETTER else "viridis"


def _is_finite(result: SweepResult, name: str) -> bool:
    axis = result.space.axes[name]
    return isinstance(axis, Values) or (axis.whole and not axis.log and axis.high - axis.low < _MOST_CELLS)


def _distinct(result: SweepResult, name: str) -> int:
    axis = result.space.axes[name]
    return len(axis) if isinstance(axis, Values) else _MOST_CELLS


def _all_values(result: SweepResult, name: str) -> list[Any]:
    # As they stand in trials: a tuple is a list there.
    axis = result.space.axes[name]
    if isinstance(axis, Values):
        return [list(value) if isinstance(value, tuple) else value for value in axis.values]
    return list(range(int(axis.low), int(axis.high) + 1))


def _label(objective: str) -> str:
    return objective.replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
