"""The walk over the bars, as compiled code: where orders trigger, which of them fill, and where their positions end.

Prices come from `fairlead.execution.kernels`; here stands only what rules R1 to R12 say about which order and which bar. Bars
of all symbols lie one after the other, ordered by symbol and time; see `layout` for the columns.
"""

# ruff: noqa: PLR0917  compiled code has no keyword arguments

from __future__ import annotations

import sys
from functools import cache
from types import FunctionType
from typing import Any, Final

from fairlead.backtest.replay import layout, rules
from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.rules import entry_in_bar, exit_in_bar, exit_in_entry_bar, trigger
from fairlead.core import machine_code
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.execution import kernels
from fairlead.execution.kernels import distance_rank

_NONE: Final = float("nan")


def find_triggers(
    floats: FloatArray,
    ints: IntArray,
    starts: IntArray,
    order_floats: FloatArray,
    order_ints: IntArray,
    switches: IntArray,
    out_floats: FloatArray,
    out_ints: IntArray,
) -> int:
    """Find the first eligible bar in which each order would fill (R1-R4), and say so in its outcome; return how many do.

    Parameters
    ----------
    floats, ints : arrays of shape (bars, BAR_FLOATS) and (bars, BAR_INTS)
    starts : int64 array of shape (symbols + 1,)
        Where the bars of each symbol begin.
    order_floats, order_ints : arrays of shape (orders, ORDER_FLOATS) and (orders, ORDER_INTS)
    switches : int64 array of shape (SWITCHES,)
    out_floats, out_ints : arrays of shape (orders, OUTCOME_FLOATS) and (orders, OUTCOME_INTS)
    """
    on_touch, found = switches[at.LIMITS_ON_TOUCH] != 0, 0
    for order in range(order_ints.shape[0]):
        out_ints[order, at.BAR] = -1
        out_ints[order, at.EXIT_BAR] = -1
        if out_ints[order, at.STATUS] != at.WAITING:
            continue
        symbol, triggered = order_ints[order, at.SYMBOL], False
        stop = starts[symbol + 1]
        bar = first_bar(ints, starts[symbol], stop, order_ints[order, at.FROM])
        until, prompt = order_ints[order, at.TO], order_ints[order, at.PROMPT] != 0
        while bar < stop and ints[bar, at.LABEL] < until:
            price, phase, triggered = entry_in_bar(floats[bar], order_floats[order], order_ints[order], triggered, on_touch)
            if price == price:
                out_floats[order, at.ENTRY] = price
                out_ints[order, at.PHASE] = phase
                out_ints[order, at.BAR] = bar
                found += 1
                break
            if prompt:
                out_ints[order, at.STATUS] = at.NOT_MARKETABLE
                out_ints[order, at.BAR] = bar
                break
            bar += 1
    return found


def first_bar(ints: IntArray, low: int, high: int, instant: int) -> int:
    """Return the first bar of [low, high) that opens at `instant` or later."""
    while low < high:
        middle = (low + high) // 2
        if ints[middle, at.LABEL] < instant:
            low = middle + 1
        else:
            high = middle
    return low


def fill_orders(
    floats: FloatArray,
    ints: IntArray,
    order_floats: FloatArray,
    order_ints: IntArray,
    switches: IntArray,
    queue: IntArray,
    busy: IntArray,
    filled: IntArray,
    out_floats: FloatArray,
    out_ints: IntArray,
) -> int:
    """Serve the orders that trigger, in the order of `queue` (R12), and return how many fill.

    Parameters
    ----------
    queue : int64 array of shape (n,)
        Orders that trigger: by time, symbol and order id.
    busy : int64 array of shape (symbols,)
        Bar in which the last position of each symbol ends; -1 before the first.
    filled : int64 array of shape (groups,)
        Bar in which a group was filled; -1 before.
    """
    count = 0
    for place in range(queue.shape[0]):
        order = queue[place]
        if out_ints[order, at.STATUS] != at.WAITING:
            continue
        group, symbol, bar = order_ints[order, at.GROUP], order_ints[order, at.SYMBOL], out_ints[order, at.BAR]
        if filled[group] >= 0:
            end(out_ints, order, at.CANCELLED_OCO, filled[group])
            continue
        if bar <= busy[symbol]:
            end(out_ints, order, at.NETTED, bar)
            continue
        winner, rivals = first_reached(floats, order_floats, order_ints, queue, place, out_ints)
        if rivals > 0 and switches[at.NO_FILL] != 0 and out_ints[winner, at.PHASE] != kernels.OPEN:
            end_rivals(order_ints, queue, place, -1, at.AMBIGUOUS, out_ints)
            continue
        if rivals > 0:
            end_rivals(order_ints, queue, place, winner, at.CANCELLED_OCO, out_ints)
        out_ints[winner, at.STATUS] = at.FILLED
        filled[group] = bar
        close_position(floats, ints, order_floats, order_ints, switches, winner, out_floats, out_ints)
        busy[symbol] = out_ints[winner, at.EXIT_BAR]
        count += 1
    return count


def end(out_ints: IntArray, order: int, status: int, bar: int) -> None:
    """Let an order end without a fill."""
    out_ints[order, at.STATUS] = status
    out_ints[order, at.BAR] = bar


def is_rival(order_ints: IntArray, out_ints: IntArray, order: int, other: int) -> bool:
    """Whether two orders of one set trigger in the same bar."""
    return bool(
        out_ints[other, at.STATUS] == at.WAITING
        and order_ints[other, at.GROUP] == order_ints[order, at.GROUP]
        and out_ints[other, at.BAR] == out_ints[order, at.BAR]
    )


def first_reached(
    floats: FloatArray, order_floats: FloatArray, order_ints: IntArray, queue: IntArray, place: int, out_ints: IntArray
) -> tuple[int, int]:
    """Return the leg of a set that its bar reaches first, and how many others it reaches (R5).

    A leg at the open comes before all others, then the one nearer to it; of two that are as near, the buy.
    """
    order = queue[place]
    best, rivals = order, 0
    bar = out_ints[order, at.BAR]
    opened = floats[bar, at.OPEN]
    for i in range(place + 1, queue.shape[0]):
        other = queue[i]
        if out_ints[other, at.BAR] != bar:
            break
        if not is_rival(order_ints, out_ints, order, other):
            continue
        rivals += 1
        at_open, other_at_open = out_ints[best, at.PHASE] == kernels.OPEN, out_ints[other, at.PHASE] == kernels.OPEN
        if at_open != other_at_open:
            best = other if other_at_open else best
            continue
        rank = distance_rank(trigger(order_floats, order_ints, best), opened)
        other_rank = distance_rank(trigger(order_floats, order_ints, other), opened)
        if other_rank < rank or (other_rank == rank and order_ints[other, at.SIDE] > order_ints[best, at.SIDE]):
            best = other
    return best, rivals


def end_rivals(order_ints: IntArray, queue: IntArray, place: int, winner: int, status: int, out_ints: IntArray) -> None:
    """Let the legs of a set end that trigger in one bar, all but `winner`."""
    order = queue[place]
    bar = out_ints[order, at.BAR]
    for i in range(place + 1, queue.shape[0]):
        other = queue[i]
        if out_ints[other, at.BAR] != bar:
            break
        if other != winner and is_rival(order_ints, out_ints, order, other):
            out_ints[other, at.STATUS] = status
    if order != winner:
        out_ints[order, at.STATUS] = status


def close_position(
    floats: FloatArray,
    ints: IntArray,
    order_floats: FloatArray,
    order_ints: IntArray,
    switches: IntArray,
    order: int,
    out_floats: FloatArray,
    out_ints: IntArray,
) -> None:
    """Find where the position of a filled order ends (R6-R8)."""
    entry_bar = out_ints[order, at.BAR]
    limit_ns = min(order_ints[order, at.UNTIL], ints[entry_bar, at.CLOSES])
    last = ints[entry_bar, at.LAST]
    if ints[entry_bar, at.KNOWN] > limit_ns:
        out_ints[order, at.EXIT_BAR], out_ints[order, at.EXIT_REASON] = entry_bar, at.NO_BAR
        return
    on_touch = switches[at.TARGETS_ON_TOUCH] != 0
    same_bar = switches[at.SAME_BAR_EXIT] != 0 or ints[entry_bar, at.MINUTE] == 0
    bar, reason, price = entry_bar, 0, _NONE
    if same_bar:
        price, reason = exit_in_entry_bar(
            floats[bar],
            order_floats[order],
            order_ints[order],
            out_floats[order, at.ENTRY],
            out_ints[order, at.PHASE],
            on_touch,
        )
    while reason == 0 and bar < last and ints[bar + 1, at.KNOWN] <= limit_ns:
        bar += 1
        price, reason = exit_in_bar(floats[bar], order_floats[order], order_ints[order, at.SIDE], on_touch)
    if reason == 0:
        price, reason = floats[bar, at.CLOSE], at.SESSION_END
    out_floats[order, at.EXIT] = price
    out_ints[order, at.EXIT_BAR] = bar
    out_ints[order, at.EXIT_REASON] = reason


def mark_positions(
    floats: FloatArray, slots: IntArray, spans: IntArray, amounts: FloatArray, size: int, marks: FloatArray, net: FloatArray
) -> None:
    """Add the open and the realised profit of every trade to the instants of the equity curve.

    Parameters
    ----------
    floats : float64 array of shape (bars, BAR_FLOATS)
    slots : int64 array of shape (bars,)
        Instant of the curve at which each bar becomes known.
    spans : int64 array of shape (trades, 2)
        Bars of entry and exit.
    amounts : float64 array of shape (trades, 4)
        Signed units times multiplier, entry price with costs, commission of the entry, net profit.
    size : int
        Instants of the curve.
    marks, net : float64 arrays of shape (size,)
        Get the open profit, and the profit that is realised at each instant.
    """
    for trade in range(spans.shape[0]):
        last = spans[trade, 1]
        units, entry, fee = amounts[trade, 0], amounts[trade, 1], amounts[trade, 2]
        for bar in range(spans[trade, 0], last):
            value = (floats[bar, at.CLOSE] - entry) * units - fee
            # Until the symbol's next bar its last price stands.
            for slot in range(slots[bar], min(slots[bar + 1], size)):
                marks[slot] += value
        net[slots[last]] += amounts[trade, 3]


@cache
def compiled_walk() -> tuple[Any, Any, Any]:
    """Return `find_triggers`, `fill_orders` and `mark_positions` as machine code, from the disk cache where it is there."""
    from numba import types  # noqa: PLC0415  imported where something is compiled
    from numba.extending import register_jitable  # noqa: PLC0415

    own = (first_bar, end, is_rival, first_reached, end_rivals, close_position)
    rooms = (kernels, rules)
    found = [value for room in rooms for value in vars(room).values() if getattr(value, "__module__", "") == room.__name__]
    for function in (*found, *own):
        if isinstance(function, FunctionType):
            register_jitable(function)
    index, number = types.Array(types.int64, 1, "C"), types.Array(types.float64, 1, "C")
    table, matrix = types.Array(types.int64, 2, "C"), types.Array(types.float64, 2, "C")
    identity = machine_code.files_hash(*rooms, layout, sys.modules[__name__])
    signed = (
        (find_triggers, types.int64(matrix, table, index, matrix, table, index, matrix, table)),
        (fill_orders, types.int64(matrix, table, matrix, table, index, index, index, index, matrix, table)),
        (mark_positions, types.void(matrix, index, table, matrix, types.int64, number, number)),
    )
    first, second, third = (
        machine_code.machine_code(signature)(machine_code.placed(function, function, globals(), identity))
        for function, signature in signed
    )
    return first, second, third
