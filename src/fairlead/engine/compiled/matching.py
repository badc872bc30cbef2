"""Working orders meet the bars of one row: what `SimulatedExecution.match` does, on arrays. Each function is compiled."""

from __future__ import annotations

from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.layout import Books, History
from fairlead.engine.compiled.orders import end, is_over, list_working, move, trade
from fairlead.execution import kernels
from fairlead.execution.kernels import late_in_bar, limit_after, limit_in_bar, moved_by, stop_after, stop_in_bar

_NONE = float("nan")


def match(b: Books, h: History, row: int) -> None:
    """Serve the orders that could fill by phase and age, then end the day's orders if a session closes."""
    count = find_candidates(b, h, row)
    for i in range(count):
        b.symbols[at.TAKEN, b.ints[b.ints[i, at.SERVED], at.COLUMN]] = 0.0
    served = 0
    while served < count:
        order, phase, way = b.ints[served, at.SERVED], b.ints[served, at.SERVED_PHASE], b.ints[served, at.SERVED_WAY]
        price = b.floats[served, at.SERVED_PRICE]
        served += 1
        if not is_over(b, order):
            column = b.ints[order, at.COLUMN]
            free = h.rules[at.PARTICIPATION] * h.market[row, column, 4] - b.symbols[at.TAKEN, column]
            b.symbols[at.TAKEN, column] += trade(b, h, order, price, phase, way, free, row)
        if b.counts[at.AWAKE] > 0:
            count = wake(b, h, row, served, count)
    if b.counts[at.WORKING] > 0 and h.times[row, at.ENDS] != 0:
        end_day(b, h.times[row, at.KNOWN])


def find_candidates(b: Books, h: History, row: int) -> int:
    """Collect the orders that could fill in a row, in the order in which they are served, and return how many there are."""
    now, session = h.times[row, at.KNOWN], h.times[row, at.SESSION]
    found = 0
    for i in range(list_working(b)):
        order = b.ints[i, at.LISTED]
        own = b.ints[order]
        if is_over(b, order):
            continue
        if own[at.KIND] == at.MARKET and own[at.DAY] >= 0 and session > own[at.DAY]:
            end(b, order, at.EXPIRED, now, at.DAY_END)
            continue
        if own[at.CREATED] >= now or own[at.ARRIVES] > now:
            continue
        if own[at.STATUS] == at.SUBMITTED:
            move(b, order, at.ACKNOWLEDGED, own[at.ARRIVES], at.NO_REASON)
        if own[at.DAY] < 0:
            own[at.DAY] = session
        price, phase = price_in_bar(b, h, order, row)
        if price != price:
            continue
        # By phase, and of one phase by age: they come in the order of their age.
        place = found
        while place > 0 and b.ints[place - 1, at.SERVED_PHASE] > phase:
            shift(b, place)
            place -= 1
        b.ints[place, at.SERVED], b.ints[place, at.SERVED_PHASE] = order, phase
        b.ints[place, at.SERVED_WAY] = moved_by(own[at.SIDE], own[at.KIND] == at.LIMIT, phase)
        b.floats[place, at.SERVED_PRICE] = price
        found += 1
    return found


def shift(b: Books, place: int) -> None:
    """Let the candidate before a place make room for one that is served earlier."""
    b.ints[place, at.SERVED] = b.ints[place - 1, at.SERVED]
    b.ints[place, at.SERVED_PHASE] = b.ints[place - 1, at.SERVED_PHASE]
    b.ints[place, at.SERVED_WAY] = b.ints[place - 1, at.SERVED_WAY]
    b.floats[place, at.SERVED_PRICE] = b.floats[place - 1, at.SERVED_PRICE]


def price_in_bar(b: Books, h: History, order: int, row: int) -> tuple[float, int]:
    """Return (price, phase) at which an order that has arrived fills; NaN if it does not."""
    own = b.ints[order]
    column, side, kind, level = own[at.COLUMN], own[at.SIDE], own[at.KIND], b.floats[order, at.LEVEL]
    close = h.market[row, column, 3]
    if close != close:
        return _NONE, kernels.CLOSE
    high, low = h.market[row, column, 1], h.market[row, column, 2]
    grace = h.rules[at.GRACE_NS]
    late = (
        own[at.ARRIVES] - own[at.CREATED] > grace
        and h.rules[at.WHOLE_SESSIONS] == 0.0
        and own[at.ARRIVES] - h.times[row, at.LABEL] > grace
    )
    if late:
        limit, stop = level if kind == at.LIMIT else _NONE, level if kind == at.STOP else _NONE
        return late_in_bar(side, limit, stop, high, low, close), kernels.CLOSE
    opened = h.market[row, column, 0]
    if kind == at.MARKET:
        return opened, kernels.OPEN
    if kind == at.STOP:
        return stop_in_bar(side, level, opened, high, low)
    return limit_in_bar(side, level, opened, high, low, h.rules[at.ON_TOUCH] != 0.0)


def wake(b: Books, h: History, row: int, served: int, count: int) -> int:
    """Let exits that came to life inside a bar meet what is left of it, and return how many candidates there are then."""
    awake = b.counts[at.AWAKE]
    b.counts[at.AWAKE] = 0
    for i in range(awake):
        child, phase, way = b.ints[i, at.AWOKEN], b.ints[i, at.AWOKEN_PHASE], b.ints[i, at.AWOKEN_WAY]
        if is_over(b, child) or h.rules[at.SAME_BAR_EXIT] == 0.0:
            continue
        own = b.ints[child]
        column, side, level = own[at.COLUMN], own[at.SIDE], b.floats[child, at.LEVEL]
        high, low, close = h.market[row, column, 1], h.market[row, column, 2], h.market[row, column, 3]
        if own[at.KIND] == at.LIMIT:
            price, when = limit_after(
                side, level, b.floats[i, at.SPARK], phase, way, high, low, close, h.rules[at.ON_TOUCH] != 0.0
            )
        else:
            price, when = stop_after(side, level, b.floats[i, at.SPARK], phase, high, low, close)
        if price != price:
            continue
        # Younger than all that was there before, and in the order in which they woke up.
        place = count
        while place > served and b.ints[place - 1, at.SERVED_PHASE] > when:
            shift(b, place)
            place -= 1
        b.ints[place, at.SERVED], b.ints[place, at.SERVED_PHASE] = child, when
        b.ints[place, at.SERVED_WAY] = moved_by(side, own[at.KIND] == at.LIMIT, when)
        b.floats[place, at.SERVED_PRICE] = price
        count += 1
    return count


def end_day(b: Books, now: int) -> None:
    """End the market orders that a session has left unfilled; what has met no bar yet belongs to a later one."""
    for i in range(list_working(b)):
        order = b.ints[i, at.LISTED]
        if b.ints[order, at.KIND] == at.MARKET and b.ints[order, at.DAY] >= 0 and not is_over(b, order):
            end(b, order, at.EXPIRED, now, at.DAY_END)
