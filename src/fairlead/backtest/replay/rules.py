"""Where an order enters a bar, and where its position leaves it (R2, R3, R6, R7): the kernels, put to the replay's columns.

The functions are compiled into the walk of `walking`; see `layout` for the columns.
"""

# ruff: noqa: FBT001  compiled code has no keyword arguments

from __future__ import annotations

from typing import Any, Final

from fairlead.backtest.replay import layout as at
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.execution import kernels
from fairlead.execution.kernels import limit_after, limit_in_bar, moved_by, stop_after, stop_in_bar, stop_limit_in_bar

_NONE: Final = float("nan")


def entry_in_bar(bar: Any, prices: Any, order: Any, triggered: bool, on_touch: bool) -> tuple[float, int, bool]:
    """Return (price, phase, triggered) of an order in a bar that it may meet; NaN if it does not fill there (R2, R3)."""
    side, kind = order[at.SIDE], order[at.KIND]
    opened, high, low = bar[at.OPEN], bar[at.HIGH], bar[at.LOW]
    if kind == at.MARKET:
        return opened, kernels.OPEN, False
    if kind == at.AT_STOP:
        price, phase = stop_in_bar(side, prices[at.STOP], opened, high, low)
        return price, phase, False
    if kind == at.STOP_LIMIT and not triggered:
        return stop_limit_in_bar(side, prices[at.STOP], prices[at.LIMIT], opened, high, low, on_touch)
    price, phase = limit_in_bar(side, prices[at.LIMIT], opened, high, low, on_touch)
    return price, phase, triggered


def trigger(order_floats: FloatArray, order_ints: IntArray, order: int) -> float:
    """Return the price that an order waits for; NaN for a market order, which waits for none."""
    kind = order_ints[order, at.KIND]
    if kind == at.MARKET:
        return _NONE
    return float(order_floats[order, at.LIMIT if kind == at.AT_LIMIT else at.STOP])


def exit_in_entry_bar(bar: Any, prices: Any, order: Any, entry: float, phase: int, on_touch: bool) -> tuple[float, int]:
    """Return (price, reason) of the exit in the bar of the entry; reason 0 if there is none (R6)."""
    side, kind = order[at.SIDE], order[at.KIND]
    high, low, close = bar[at.HIGH], bar[at.LOW], bar[at.CLOSE]
    stop, stop_phase = _NONE, kernels.CLOSE
    target, target_phase = _NONE, kernels.CLOSE
    if prices[at.PROTECTION] == prices[at.PROTECTION]:
        stop, stop_phase = stop_after(-side, prices[at.PROTECTION], entry, phase, high, low, close)
    if prices[at.TARGET] == prices[at.TARGET]:
        moved = moved_by(side, kind in {at.AT_LIMIT, at.STOP_LIMIT}, phase)
        target, target_phase = limit_after(-side, prices[at.TARGET], entry, phase, moved, high, low, close, on_touch)
    return earlier(stop, stop_phase, target, target_phase)


def exit_in_bar(bar: Any, prices: Any, side: int, on_touch: bool) -> tuple[float, int]:
    """Return (price, reason) of the exit in a later bar; reason 0 if there is none (R7)."""
    opened, high, low = bar[at.OPEN], bar[at.HIGH], bar[at.LOW]
    stop, stop_phase = _NONE, kernels.CLOSE
    target, target_phase = _NONE, kernels.CLOSE
    if prices[at.PROTECTION] == prices[at.PROTECTION]:
        stop, stop_phase = stop_in_bar(-side, prices[at.PROTECTION], opened, high, low)
    if prices[at.TARGET] == prices[at.TARGET]:
        target, target_phase = limit_in_bar(-side, prices[at.TARGET], opened, high, low, on_touch)
    return earlier(stop, stop_phase, target, target_phase)


def earlier(stop: float, stop_phase: int, target: float, target_phase: int) -> tuple[float, int]:
    """Return (price, reason) of the exit that comes first; the stop, where that is not known. NaN is no exit."""
    if stop == stop and (target != target or stop_phase <= target_phase):
        return stop, at.STOP_LOSS
    if target == target:
        return target, at.TAKE_PROFIT
    return _NONE, 0
