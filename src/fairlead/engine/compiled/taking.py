"""Decisions become sized and checked orders: what `OrderDesk.take` does, on arrays. Each function is compiled."""

# ruff: noqa: C901  compiled code has no keyword arguments, and calls cost it more than branches

from __future__ import annotations

import math

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.grid import floor_quantity
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.layout import Books, History
from fairlead.engine.compiled.orders import begin_work, move, new_order, on_tick, write
from fairlead.risk.kernels import (
    BUYING_POWER,
    NOT_SHORTABLE,
    change_to,
    check_limits,
    clipped,
    is_short,
    only_reduces,
    units_for,
    weight_in_units,
    worst_units,
)

_CHANGE = 4
"""Column of the decisions: the signed units that one asks for."""
_MOST = 1e15
"""Units beyond which whole numbers of them are no longer exact."""
_FARTHEST = 1e280
"""A price beyond which the number of ticks may be infinite."""


def take(b: Books, h: History, delays: IntArray, row: int) -> None:
    """Size, check and submit what was wanted at a row."""
    decisions, found = b.decisions, b.found
    count = found[-1]
    if b.tape_ints.shape[0] == 0 and b.counts[at.WORKING] == 0 and b.counts[at.HEADS] == 0:
        b.counts[at.SLOTS] = 0
    value_account(b, h, row)
    for i in range(count):
        decisions[i, _CHANGE] = change_for(b, h, decisions[i], found[i], row)
        if b.counts[at.PROBLEM] != at.FINE:
            return
    # What reduces a position goes first, so that what it frees can be used.
    for turn in range(2):
        for i in range(count):
            column = found[i]
            change = decisions[i, _CHANGE]
            if change == 0.0:
                continue
            if only_reduces(line_of(b, h, column, row), change) == (turn == 0):
                submit(b, h, decisions[i], column, change, delays, row)
                decisions[i, _CHANGE] = 0.0
                if b.counts[at.PROBLEM] != at.FINE:
                    return


def value_account(b: Books, h: History, row: int) -> None:
    """Find equity and exposure at a row, market orders under way counted as filled."""
    net = gross = 0.0
    for i in range(b.counts[at.POSITIONS]):
        column = b.counts[at.COUNTS + i]
        if b.symbols[at.UNITS, column] != 0.0:
            value = b.symbols[at.UNITS, column] * h.market[row, column, 5] * b.symbols[at.MULTIPLIER, column]
            net += value
            gross += abs(value)
    b.money[at.EQUITY], b.money[at.GROSS] = b.money[at.CASH] + net, gross
    b.symbols[at.OPEN_LINE, :] = 0.0
    for i in range(b.counts[at.WORKING]):
        order = b.ints[i, at.WORKS]
        if b.ints[order, at.KIND] == at.MARKET:
            left = b.floats[order, at.QUANTITY] - b.floats[order, at.FILLED]
            count_in(b, h, b.ints[order, at.COLUMN], b.ints[order, at.SIDE] * left, row)


def line_of(b: Books, h: History, column: int, row: int) -> float:
    """Return the signed units of a symbol, market orders under way included, and open its line if it has none."""
    if b.symbols[at.OPEN_LINE, column] == 0.0:
        held = b.symbols[at.UNITS, column]
        b.symbols[at.OPEN_LINE, column] = 1.0
        b.symbols[at.HELD, column] = held
        b.symbols[at.WORTH, column] = abs(held) * unit_value(b, h, column, row) if held != 0.0 else 0.0
    return float(b.symbols[at.HELD, column])


def unit_value(b: Books, h: History, column: int, row: int) -> float:
    """Return what one unit of a symbol is worth, in currency."""
    return float(h.market[row, column, 5] * b.symbols[at.MULTIPLIER, column])


def count_in(b: Books, h: History, column: int, signed: float, row: int) -> None:
    """Count a market order as filled."""
    held = line_of(b, h, column, row)
    worst = worst_units(held + signed, 0.0, 0.0)
    worth = worst * unit_value(b, h, column, row) if worst != 0.0 else 0.0
    b.symbols[at.HELD, column] = held + signed
    b.money[at.GROSS] += worth - b.symbols[at.WORTH, column]
    b.symbols[at.WORTH, column] = worth


def change_for(b: Books, h: History, decision: FloatArray, column: int, row: int) -> float:
    """Return the signed units that a decision asks for; 0.0 for none."""
    kind, amount, stop, target = decision[0], decision[1], decision[2], decision[3]
    price, multiplier, equity = h.market[row, column, 5], b.symbols[at.MULTIPLIER, column], b.money[at.EQUITY]
    lot = h.instruments[column, at.LOT]
    bare = stop != stop and target != target
    if not (math.isfinite(amount) and abs(amount) < _MOST and price > 0.0) or not (bare or exits_fit(amount, stop, target)):
        b.counts[at.PROBLEM] = at.UNSURE
        return 0.0
    if kind == 1.0:
        wanted = math.copysign(floor_quantity(amount, lot), amount)
    else:
        if not abs(amount * equity) < _MOST * price * multiplier:
            b.counts[at.PROBLEM] = at.UNSURE
            return 0.0
        wanted = weight_in_units(amount, equity, price, multiplier, lot)
    size = h.rules[at.MAX_SIZE]
    cap = units_for(size * max(equity, 0.0), price, multiplier, lot) if size == size else size
    return change_to(clipped(wanted, cap), line_of(b, h, column, row), lot, h.instruments[column, at.LEAST])


def exits_fit(amount: float, stop: float, target: float) -> bool:
    """Whether exits are prices on the right sides of each other, of a target that is not 0."""
    if amount == 0.0 or (stop == stop and not 0.0 < stop < _FARTHEST) or (target == target and not 0.0 < target < _FARTHEST):
        return False
    side = 1.0 if amount > 0.0 else -1.0
    return stop != stop or target != target or (target - stop) * side > 0.0


def submit(b: Books, h: History, decision: FloatArray, column: int, signed: float, delays: IntArray, row: int) -> None:
    """Check an order, and send it off with its exits."""
    now = h.times[row, at.KNOWN]
    held = line_of(b, h, column, row)
    code, measured, limit = 0, math.nan, math.nan
    if signed < 0.0 and h.instruments[column, at.SHORTABLE] == 0.0 and is_short(held + signed, h.instruments[column, at.LOT]):
        code = NOT_SHORTABLE
    elif not only_reduces(held, signed):
        worst = worst_units(held + signed, 0.0, 0.0)
        unit = unit_value(b, h, column, row)
        gross = b.money[at.GROSS] - b.symbols[at.WORTH, column] + worst * unit
        value = worst * h.market[row, column, 5] * b.symbols[at.MULTIPLIER, column]
        code, measured, limit = check_limits(b.money[at.EQUITY], value, gross, h.rules[at.MAX_SIZE], h.rules[at.MAX_LEVERAGE])
    side = 1 if signed > 0.0 else -1
    order = new_order(b, column, side, at.MARKET, now)
    if order < 0:
        return
    b.floats[order, at.QUANTITY] = abs(signed)
    place = write(b, at.CREATE, order, now, column, 0)
    if place >= 0:
        b.tape_floats[place, 0] = signed
        for i in range(4):
            b.tape_floats[place, 1 + i] = decision[i]
    if code != 0:
        reject(b, order, now, code, measured, limit)
        return
    stop, target = decision[2], decision[3]
    if stop == stop:
        add_exit(b, h, order, at.STOP_CHILD, at.STOP, stop, now)
    if target == target:
        add_exit(b, h, order, at.TARGET_CHILD, at.LIMIT, target, now)
    count_in(b, h, column, signed, row)
    if b.counts[at.DRAWN] >= delays.shape[0]:
        b.counts[at.PROBLEM] = at.NEEDS_DELAYS
        return
    b.ints[order, at.ARRIVES] = now + delays[b.counts[at.DRAWN]]
    b.counts[at.DRAWN] += 1
    begin_work(b, order)
    if b.ints[order, at.IN_FAMILY] == 1:
        b.ints[b.counts[at.HEADS], at.HEADING] = order
        b.counts[at.HEADS] += 1
    move(b, order, at.SUBMITTED, now, at.NO_REASON)


def reject(b: Books, order: int, now: int, code: int, measured: float, limit: float) -> None:
    """Record why an order was refused."""
    b.ints[order, at.STATUS] = at.REJECTED
    b.counts[at.REJECTIONS] += 1
    place = write(b, at.MOVE, order, now, at.REJECTED, at.FIRST_CHECK + code)
    if place >= 0:
        b.tape_floats[place, 0], b.tape_floats[place, 1] = measured, limit


def add_exit(b: Books, h: History, parent: int, place: int, kind: int, price: float, now: int) -> None:
    """Make an exit of a bracket, asleep until its entry fills."""
    column, side = b.ints[parent, at.COLUMN], -b.ints[parent, at.SIDE]
    child = new_order(b, column, side, kind, now)
    if child < 0:
        return
    # Away from the entry: the stop of a long position, a sell, goes down, and its target up.
    up = (side < 0) == (kind == at.LIMIT)
    b.floats[child, at.LEVEL] = on_tick(h, column, price, up)
    b.ints[child, at.PARENT] = parent
    b.ints[parent, place] = child
    b.ints[parent, at.IN_FAMILY] = 1


assert BUYING_POWER < at.FIRST_CHECK
