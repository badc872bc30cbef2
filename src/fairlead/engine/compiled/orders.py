"""The lives of orders in a compiled run: what `Venue`, `Families` and the ledger do, on arrays. Each function is compiled."""

from __future__ import annotations

from fairlead.core.accounting import execute
from fairlead.core.grid import ceil_price, floor_price, floor_quantity
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.layout import Books, History
from fairlead.execution.cost_kernels import (
    bps_commission,
    per_order_commission,
    per_share_commission,
    slipped,
    volume_slippage,
)

# Of a million units on a lot of 0.001 one part in 1e9 is a lot; the rounding of sums is a thousand times finer.
_ROUNDING = 1e-12


def write(b: Books, kind: int, order: int, when: int, code: int, more: int) -> int:
    """Add an entry to the tape and return its place; -1 if none is kept."""
    if b.tape_ints.shape[0] == 0:
        return -1
    place = b.counts[at.EVENTS]
    if place >= b.tape_ints.shape[0]:
        b.counts[at.PROBLEM] = at.NEEDS_EVENTS
        return -1
    b.counts[at.EVENTS] = place + 1
    b.tape_ints[place, 0] = kind
    b.tape_ints[place, 1] = order
    b.tape_ints[place, 2] = when
    b.tape_ints[place, 3] = code
    b.tape_ints[place, 4] = more
    b.tape_ints[place, 5] = b.counts[at.AT_ROW]
    for i in range(b.tape_floats.shape[1]):
        b.tape_floats[place, i] = 0.0
    return int(place)


def is_over(b: Books, order: int) -> bool:
    """Whether nothing can happen to an order any more."""
    return bool(b.ints[order, at.STATUS] >= at.FILLED_UP)


def move(b: Books, order: int, status: int, when: int, reason: int) -> None:
    """Change where an order stands."""
    b.ints[order, at.STATUS] = status
    write(b, at.MOVE, order, when, status, reason)


def new_order(b: Books, column: int, side: int, kind: int, created: int) -> int:
    """Return a new order; -1 if there is no room for it."""
    order = b.counts[at.SLOTS]
    if order >= b.ints.shape[0]:
        b.counts[at.PROBLEM] = at.NEEDS_ORDERS
        return -1
    b.counts[at.SLOTS] = order + 1
    b.counts[at.ORDERS] += 1
    own = b.ints[order]
    own[at.COLUMN], own[at.SIDE], own[at.KIND] = column, side, kind
    own[at.CREATED], own[at.ARRIVES], own[at.DAY] = created, created, -1
    own[at.STATUS], own[at.PARENT], own[at.STOP_CHILD], own[at.TARGET_CHILD] = at.PENDING, -1, -1, -1
    own[at.IN_FAMILY] = 0
    b.floats[order, :] = 0.0
    return int(order)


def begin_work(b: Books, order: int) -> None:
    """Add an order to those that work."""
    b.ints[b.counts[at.WORKING], at.WORKS] = order
    b.counts[at.WORKING] += 1


def list_working(b: Books) -> int:
    """Write down what works now, for a pass that may end some of it, and return how many orders that is."""
    count = b.counts[at.WORKING]
    for i in range(count):
        b.ints[i, at.LISTED] = b.ints[i, at.WORKS]
    return int(count)


def remove(b: Books, order: int) -> None:
    """Take an order out of those that work."""
    count = b.counts[at.WORKING]
    place = 0
    while place < count and b.ints[place, at.WORKS] != order:
        place += 1
    if place < count:
        for i in range(place, count - 1):
            b.ints[i, at.WORKS] = b.ints[i + 1, at.WORKS]
        b.counts[at.WORKING] = count - 1


def end(b: Books, order: int, status: int, when: int, reason: int) -> None:
    """End an order that works, and what waits for it."""
    remove(b, order)
    move(b, order, status, when, reason)
    end_waiting(b, order, when, at.PARENT_ENDED)
    forget(b, order)


def end_waiting(b: Books, parent: int, when: int, reason: int) -> None:
    """End the exits that never came to life."""
    for place in range(at.STOP_CHILD, at.TARGET_CHILD + 1):
        child = b.ints[parent, place]
        if child >= 0 and b.ints[child, at.STATUS] == at.PENDING:
            move(b, child, at.CANCELLED, when, reason)


def cancel_for(b: Books, order: int, when: int, reason: int) -> None:
    """Cancel an order, whether it works or waits, unless it has ended."""
    if is_over(b, order):
        return
    if b.ints[order, at.STATUS] == at.PENDING:
        move(b, order, at.CANCELLED, when, reason)
    else:
        end(b, order, at.CANCELLED, when, reason)


def forget(b: Books, order: int) -> None:
    """Let go of a family all of whose orders have ended."""
    head = order if b.ints[order, at.PARENT] < 0 else b.ints[order, at.PARENT]
    if b.ints[head, at.IN_FAMILY] == 0 or not is_over(b, head):
        return
    for place in range(at.STOP_CHILD, at.TARGET_CHILD + 1):
        child = b.ints[head, place]
        if child >= 0 and not is_over(b, child):
            return
    b.ints[head, at.IN_FAMILY] = 0
    count = b.counts[at.HEADS]
    place = 0
    while b.ints[place, at.HEADING] != head:
        place += 1
    for i in range(place, count - 1):
        b.ints[i, at.HEADING] = b.ints[i + 1, at.HEADING]
    b.counts[at.HEADS] = count - 1


def commission_of(h: History, quantity: float, price: float, multiplier: float, executed: float, charged: float) -> float:
    """Return the commission of an execution, in currency."""
    rules = h.rules
    model = int(rules[at.FEE_MODEL])
    if model == at.BPS:
        return bps_commission(rules[at.FEE_A], quantity, price, multiplier)
    if model == at.PER_SHARE:
        return per_share_commission(
            rules[at.FEE_A], rules[at.FEE_B], rules[at.FEE_C], quantity, price, multiplier, executed, charged
        )
    if model == at.PER_ORDER:
        return per_order_commission(rules[at.FEE_A], executed)
    return 0.0


def trade(b: Books, h: History, order: int, ideal: float, phase: int, way: int, free: float, row: int) -> float:
    """Let an order take what it may of `free` units, and return what it took; see `Venue._trade`."""
    own, numbers = b.ints[order], b.floats[order]
    column, side, now = own[at.COLUMN], own[at.SIDE], h.times[row, at.KNOWN]
    lot = h.instruments[column, at.LOT]
    quantity = min(numbers[at.QUANTITY] - numbers[at.FILLED], floor_quantity(free, lot) if free > 0.0 else 0.0)
    if own[at.KIND] != at.MARKET:
        reducible = -b.symbols[at.UNITS, column] * side
        if not reducible > 0.0:
            end(b, order, at.CANCELLED, now, at.NOTHING_TO_REDUCE)
            return 0.0
        quantity = min(quantity, reducible)
    if not quantity > 0.0:
        return 0.0
    slip = 0.0
    if own[at.KIND] != at.LIMIT or h.rules[at.SLIP_LIMITS] != 0.0:
        slip = h.rules[at.SLIP_A]
        if h.rules[at.SLIP_MODEL] == at.BY_VOLUME:
            slip = volume_slippage(h.rules[at.SLIP_A], h.rules[at.SLIP_B], quantity, h.market[row, column, 4])
    fill(b, h, order, quantity, ideal, slipped(side, ideal, slip), row)
    if b.counts[at.HEADS] > 0:
        react(b, order, quantity, ideal, phase, way, now, h.times[row, at.SESSION])
    return float(quantity)


def fill(b: Books, h: History, order: int, quantity: float, ideal: float, price: float, row: int) -> None:
    """Book an execution: order, ledger and costs."""
    own, numbers, money = b.ints[order], b.floats[order], b.money
    column, side, now = own[at.COLUMN], own[at.SIDE], h.times[row, at.KNOWN]
    multiplier = b.symbols[at.MULTIPLIER, column]
    fee = commission_of(h, quantity, price, multiplier, numbers[at.EXECUTED], numbers[at.CHARGED])
    filled = numbers[at.FILLED] + quantity
    complete = filled >= numbers[at.QUANTITY] * (1 - _ROUNDING)
    numbers[at.FILLED] = numbers[at.QUANTITY] if complete else filled
    numbers[at.EXECUTED] += quantity
    numbers[at.CHARGED] += fee
    own[at.STATUS] = at.FILLED_UP if complete else at.PARTLY
    if complete:
        remove(b, order)
    place = write(b, at.FILL, order, now, row, 0)
    if place >= 0:
        b.tape_floats[place, 0], b.tape_floats[place, 1] = quantity, ideal
        b.tape_floats[place, 2], b.tape_floats[place, 3] = price, fee
    known = False
    for i in range(b.counts[at.POSITIONS]):
        known |= b.counts[at.COUNTS + i] == column
    if not known:
        b.counts[at.COUNTS + b.counts[at.POSITIONS]] = column
        b.counts[at.POSITIONS] += 1
    signed = quantity if side > 0 else -quantity
    after, average, largest, _ = execute(
        b.symbols[at.UNITS, column], b.symbols[at.AVERAGE, column], b.symbols[at.LARGEST, column], signed, price, multiplier
    )
    b.symbols[at.UNITS, column], b.symbols[at.AVERAGE, column], b.symbols[at.LARGEST, column] = after, average, largest
    money[at.CASH] -= signed * price * multiplier + fee
    money[at.FEES] += fee
    money[at.SLIPPAGE] += (price - ideal) * side * quantity * multiplier
    money[at.NOTIONAL] += price * quantity * multiplier
    b.counts[at.FILLS] += 1


def react(b: Books, order: int, quantity: float, price: float, phase: int, way: int, now: int, session: int) -> None:
    """Let a fill have its consequences for the other orders of its family; see `Venue._react`."""
    own = b.ints[order]
    column, side, parent = own[at.COLUMN], own[at.SIDE], own[at.PARENT]
    if parent >= 0:
        if not is_over(b, parent):
            cancel_for(b, parent, now, at.OCO)
        twin = b.ints[parent, at.STOP_CHILD] + b.ints[parent, at.TARGET_CHILD] - order
        if twin >= 0 and twin != order and not is_over(b, twin):
            shrink(b, twin, quantity, now)
    held = b.symbols[at.UNITS, column]
    opened = min(quantity, max(0.0, held * side))
    if opened > 0.0:
        for place in range(at.STOP_CHILD, at.TARGET_CHILD + 1):
            child = own[place]
            if child >= 0 and not is_over(b, child):
                grow(b, child, opened)
                if b.ints[child, at.STATUS] == at.PENDING:
                    start(b, child, price, phase, way, now, session)
    leave_alone(b, column, held, now)
    if is_over(b, order):
        end_waiting(b, order, now, at.NOTHING_TO_REDUCE)
    forget(b, order)


def grow(b: Books, child: int, opened: float) -> None:
    """Let an exit protect more."""
    b.floats[child, at.QUANTITY] += opened
    place = write(b, at.GROW, child, 0, 0, 0)
    if place >= 0:
        b.tape_floats[place, 0] = opened


def shrink(b: Books, twin: int, quantity: float, now: int) -> None:
    """Take what one exit has filled off the other."""
    numbers = b.floats[twin]
    numbers[at.QUANTITY] = max(numbers[at.FILLED], numbers[at.QUANTITY] - quantity)
    place = write(b, at.SHRINK, twin, 0, 0, 0)
    if place >= 0:
        b.tape_floats[place, 0] = quantity
    if numbers[at.QUANTITY] - numbers[at.FILLED] <= 0.0:
        cancel_for(b, twin, now, at.OCO)


def start(b: Books, child: int, price: float, phase: int, way: int, now: int, session: int) -> None:
    """Bring an exit to life at the fill of its entry."""
    own = b.ints[child]
    own[at.ARRIVES], own[at.DAY] = now, session
    begin_work(b, child)
    move(b, child, at.SUBMITTED, now, at.NO_REASON)
    move(b, child, at.ACKNOWLEDGED, now, at.NO_REASON)
    place = b.counts[at.AWAKE]
    b.ints[place, at.AWOKEN], b.ints[place, at.AWOKEN_PHASE], b.ints[place, at.AWOKEN_WAY] = child, phase, way
    b.floats[place, at.SPARK] = price
    b.counts[at.AWAKE] = place + 1


def leave_alone(b: Books, column: int, held: float, now: int) -> None:
    """Cancel the exits in a symbol that have no position to leave, and what works of their entries."""
    # What there is at the start: to cancel one family changes the list of those that are kept.
    count = b.counts[at.HEADS]
    if count == 0:
        return
    for i in range(count):
        b.ints[i, at.LISTED_HEADS] = b.ints[i, at.HEADING]
    for i in range(count):
        head = b.ints[i, at.LISTED_HEADS]
        if b.ints[head, at.COLUMN] != column:
            continue
        for place in range(at.STOP_CHILD, at.TARGET_CHILD + 1):
            child = b.ints[head, place]
            if child < 0 or b.ints[child, at.STATUS] == at.PENDING or is_over(b, child):
                continue
            if held * b.ints[child, at.SIDE] < 0.0:
                continue
            cancel_for(b, head, now, at.POSITION_CLOSED)
            cancel_for(b, child, now, at.POSITION_CLOSED)


def on_tick(h: History, column: int, price: float, up: bool) -> float:  # noqa: FBT001  compiled code has no keyword arguments
    """Return `price` on the tick grid."""
    tick = h.instruments[column, at.TICK]
    return ceil_price(price, tick) if up else floor_price(price, tick)


def rescale(b: Books, h: History, order: int, ratio: float) -> bool:
    """Bring an order into the shares of after a split, and return whether it still asks for something; see `rescale_order`."""
    own, numbers = b.ints[order], b.floats[order]
    place = write(b, at.RESCALE, order, 0, 0, 0)
    if place >= 0:
        b.tape_floats[place, 0] = ratio
    before = numbers[at.QUANTITY] - numbers[at.FILLED]
    remaining = before * ratio
    if own[at.KIND] == at.MARKET:
        remaining = floor_quantity(remaining, h.instruments[own[at.COLUMN], at.LOT])
    numbers[at.FILLED] *= ratio
    numbers[at.QUANTITY] = numbers[at.FILLED] + remaining
    if own[at.KIND] != at.MARKET:
        # Away from a better fill: the limit of a sell and the stop of a buy go up.
        up = (own[at.SIDE] < 0) == (own[at.KIND] == at.LIMIT)
        numbers[at.LEVEL] = on_tick(h, own[at.COLUMN], numbers[at.LEVEL] / ratio, up)
    return remaining > 0.0 or not before > 0.0
