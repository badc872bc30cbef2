"""The compiled loop: the stages of the event loop, instant by instant, as machine code."""

# ruff: noqa: PLR0917  compiled code has no keyword arguments, and calls cost it more than branches

from __future__ import annotations

import sys
from functools import cache
from types import FunctionType
from typing import Any, Final

from fairlead.core import accounting, grid, machine_code
from fairlead.engine.compiled import layout, matching, orders, taking
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.layout import Books, History
from fairlead.engine.compiled.matching import match
from fairlead.engine.compiled.orders import cancel_for, end, is_over, list_working, rescale, write
from fairlead.engine.compiled.taking import take
from fairlead.execution import cost_kernels, kernels
from fairlead.risk import kernels as risk_kernels
from fairlead.sdk import scan as scans

_RARE: Final = frozenset(
    {
        *("end", "end_waiting", "cancel_for", "forget", "react", "grow", "shrink", "start", "leave_alone", "rescale", "act"),
        *("reject", "add_exit", "wake", "level", "close_drawdown", "finish", "follow_all"),
    }
)
"""What is called as a function: what a run does seldom, or from many places. The books are many words to hand over."""


def run_many(
    scan: Any,
    h: History,
    b: Books,
    features: Any,
    chosen: Any,
    params: Any,
    states: Any,
    delays: Any,
    closes: Any,
    counts: Any,
    money: Any,
) -> int:
    """Run parameter sets over all of history, one after the other.

    Parameters
    ----------
    scan : compiled function
        See `fairlead.sdk.scan`.
    h : History
    b : Books
        Used by each run in turn; afterwards they are those of the last.
    features : float64 array of shape (features, instants, symbols)
    chosen : int64 array of shape (runs, read)
        Which of them each run reads.
    params : float64 array of shape (runs, parameters)
    states : float64 array of shape (symbols, state)
    delays : int64 array
        Latency of each order in the order in which they leave, nanoseconds.
    closes : float64 array of shape (runs, sessions)
        Gets the equity at the last instant of each session.
    counts, money : int64 array of shape (runs, COUNTS), float64 array of shape (runs, MONEY)
        Get those of the books; ``counts[:, PROBLEM]`` says how each run ended: `layout.FINE` or what was lacking.
    """
    for trial in range(params.shape[0]):
        b.counts[:] = 0
        b.money[:] = 0.0
        b.symbols[:] = 0.0
        for column in range(h.instruments.shape[0]):
            b.symbols[at.MULTIPLIER, column] = h.instruments[column, at.MULTIPLE]
        states[:] = 0.0
        run(scan, h, b, features, chosen[trial], params[trial], states, delays, closes[trial])
        for i in range(counts.shape[1]):
            counts[trial, i] = b.counts[i]
        for i in range(money.shape[1]):
            money[trial, i] = b.money[i]
    return int(params.shape[0])


def run(
    scan: Any, h: History, b: Books, features: Any, chosen: Any, params: Any, states: Any, delays: Any, closes: Any
) -> None:
    """Run one parameter set; see `run_many`."""
    count = h.market.shape[0]
    b.money[at.LAST_EQUITY] = b.money[at.CASH] = b.money[at.PEAK] = h.rules[at.CAPITAL]
    action, actions = 0, h.actions.shape[1]
    row = 0
    while row < count:
        b.counts[at.AT_ROW] = row
        while action < actions and h.actions[at.ROW, action] == row:
            act(b, h, action, row)
            action += 1
        if b.counts[at.WORKING] > 0:
            match(b, h, row)
        # Where nothing works and nothing happens to the symbols, the strategy alone moves on.
        stop = row + 1 if b.counts[at.WORKING] > 0 else count
        if action < actions:
            stop = min(stop, h.actions[at.ROW, action])
        least = h.rules[at.LARGEST_LOT] if h.rules[at.MAX_SIZE] != h.rules[at.MAX_SIZE] and market_orders(b) == 0 else 0.0
        hit = scan(
            row, stop, h.market, features, chosen, params, states, b.money[at.CASH], 0.0, b.symbols, b.counts[at.COUNTS :],
            b.counts[at.POSITIONS], least, b.decisions, b.found,
        )  # fmt: skip
        mark(b, h, row, min(hit + 1, stop), closes)
        if hit < stop:
            b.counts[at.AT_ROW] = hit
            take(b, h, delays, hit)
        if b.counts[at.PROBLEM] != at.FINE:
            return
        row = min(hit + 1, stop)
    finish(b, h, count - 1)


def market_orders(b: Books) -> int:
    """Return how many market orders work."""
    found = 0
    for i in range(b.counts[at.WORKING]):
        found += b.ints[b.ints[i, at.WORKS], at.KIND] == at.MARKET
    return found


def act(b: Books, h: History, action: int, row: int) -> None:
    """Let a corporate action take effect on orders and position."""
    column, value, now = h.actions[at.SYMBOL, action], h.values[action], h.times[row, at.KNOWN]
    write(b, at.ACTION, action, now, row, 0)
    held = b.symbols[at.UNITS, column]
    if h.actions[at.ACTION_KIND, action] == at.DIVIDEND:
        if held != 0.0:
            amount = held * value * b.symbols[at.MULTIPLIER, column]
            b.money[at.CASH] += amount
            b.money[at.DIVIDENDS] += amount
        return
    heads = b.counts[at.HEADS]
    for i in range(heads):
        b.ints[i, at.LISTED_HEADS] = b.ints[i, at.HEADING]
    for i in range(list_working(b)):
        order = b.ints[i, at.LISTED]
        if b.ints[order, at.COLUMN] == column and not is_over(b, order) and not rescale(b, h, order, value):
            cancel_for(b, order, now, at.NOTHING_AFTER_SPLIT)
    for i in range(heads):
        head = b.ints[i, at.LISTED_HEADS]
        for place in range(at.STOP_CHILD, at.TARGET_CHILD + 1):
            child = b.ints[head, place]
            if child >= 0 and b.ints[head, at.COLUMN] == column and b.ints[child, at.STATUS] == at.PENDING:
                rescale(b, h, child, value)
    if held != 0.0:
        b.symbols[at.UNITS, column] *= value
        b.symbols[at.LARGEST, column] *= value
        b.symbols[at.AVERAGE, column] /= value


def mark(b: Books, h: History, first: int, stop: int, closes: Any) -> None:
    """Value the account at the instants from `first` to before `stop`, between which nothing changes it."""
    held = only = 0
    for i in range(b.counts[at.POSITIONS]):
        if b.symbols[at.UNITS, b.counts[at.COUNTS + i]] != 0.0:
            held += 1
            only = b.counts[at.COUNTS + i]
    if held > 0:
        b.counts[at.ROWS_HELD] += stop - first
    row = first
    while row < stop:
        # Session by session, so that the inner loops have nothing to look up.
        session = b.counts[at.SESSIONS]
        end = min(stop, h.last_rows[session] + 1)
        if held == 0:
            b.money[at.LAST_EQUITY] = b.money[at.CASH]
            level(b, h, row, end, b.money[at.CASH])
        elif held == 1:
            follow_one(b, h, row, end, only)
        else:
            follow_all(b, h, row, end)
        if end == h.last_rows[session] + 1:
            closes[session] = b.money[at.LAST_EQUITY]
            b.counts[at.SESSIONS] = session + 1
        row = end


def follow_one(b: Books, h: History, first: int, stop: int, column: int) -> None:
    """Value an account that holds one symbol."""
    cash, units = b.money[at.CASH], b.symbols[at.UNITS, column] * b.symbols[at.MULTIPLIER, column]
    peak, deepest, equity = b.money[at.PEAK], b.money[at.DEEPEST], 0.0
    for row in range(first, stop):
        equity = cash + h.market[row, column, 5] * units
        if equity < peak:
            deepest = max(deepest, peak - equity)
        else:
            b.money[at.DEEPEST] = deepest
            level(b, h, row, row + 1, equity)
            peak, deepest = equity, 0.0
    b.money[at.DEEPEST], b.money[at.LAST_EQUITY] = deepest, equity


def follow_all(b: Books, h: History, first: int, stop: int) -> None:
    """Value an account that holds several symbols, in the order in which the ledger sums."""
    for row in range(first, stop):
        net = 0.0
        for i in range(b.counts[at.POSITIONS]):
            column = b.counts[at.COUNTS + i]
            if b.symbols[at.UNITS, column] != 0.0:
                net += h.market[row, column, 5] * (b.symbols[at.UNITS, column] * b.symbols[at.MULTIPLIER, column])
        b.money[at.LAST_EQUITY] = b.money[at.CASH] + net
        level(b, h, row, row + 1, b.money[at.LAST_EQUITY])


def level(b: Books, h: History, first: int, stop: int, equity: float) -> None:
    """Take in one value of the account over some instants: a new peak, or a depth below the last one."""
    money, counts = b.money, b.counts
    if equity < money[at.PEAK]:
        money[at.DEEPEST] = max(money[at.DEEPEST], money[at.PEAK] - equity)
        return
    close_drawdown(b, h, first)
    money[at.PEAK] = equity
    # Instants count from 1: the run starts at a peak by definition, its initial cash.
    counts[at.PEAK_AT] = stop


def close_drawdown(b: Books, h: History, row: int) -> None:
    """Remember how deep and how long the account was below its peak, now that an instant has reached it again."""
    money, counts = b.money, b.counts
    money[at.WORST] = max(money[at.WORST], money[at.DEEPEST])
    if money[at.DEEPEST] > 0.0:
        money[at.WORST_PCT] = max(money[at.WORST_PCT], 100.0 * money[at.DEEPEST] / money[at.PEAK])
    money[at.DEEPEST] = 0.0
    since = counts[at.PEAK_AT]
    if row + 1 - since > 1:
        counts[at.LONGEST_NS] = max(counts[at.LONGEST_NS], h.times[row, at.KNOWN] - h.times[max(since - 1, 0), at.KNOWN])


def finish(b: Books, h: History, row: int) -> None:
    """Take every order back, and close the last drawdown."""
    now = h.times[row, at.KNOWN]
    for i in range(list_working(b)):
        order = b.ints[i, at.LISTED]
        if not is_over(b, order):
            end(b, order, at.CANCELLED, now, at.END_OF_RUN)
    for order in range(b.counts[at.SLOTS]):
        if b.ints[order, at.STATUS] == at.PENDING:
            cancel_for(b, order, now, at.END_OF_RUN)
    if b.money[at.DEEPEST] > 0.0:
        # However short: a peak that is not reached again is below water to the end.
        since = h.times[max(b.counts[at.PEAK_AT] - 1, 0), at.KNOWN]
        b.counts[at.LONGEST_NS] = max(b.counts[at.LONGEST_NS], now - since)
        close_drawdown(b, h, row)


@cache
def compiled_runs() -> Any:
    """Return `run_many` as machine code, from the disk cache where it is there."""
    from numba import types  # noqa: PLC0415  imported where something is compiled
    from numba.extending import register_jitable  # noqa: PLC0415

    rooms = (grid, accounting, kernels, cost_kernels, risk_kernels, orders, matching, taking)
    own = (run, market_orders, act, mark, follow_one, follow_all, level, close_drawdown, finish)
    found = [value for room in rooms for value in vars(room).values() if getattr(value, "__module__", "") == room.__name__]
    for function in (*found, *own):
        if isinstance(function, FunctionType):
            register_jitable(_nrt=False, forceinline=function.__name__ not in _RARE)(function)
    whole, number = types.int64, types.float64
    index, vector = types.Array(whole, 1, "C"), types.Array(number, 1, "C")
    table, matrix, cube = types.Array(whole, 2, "C"), types.Array(number, 2, "C"), types.Array(number, 3, "C")
    history = types.NamedTuple((cube, table, index, table, vector, matrix, vector), History)
    books = types.NamedTuple((table, matrix, index, vector, matrix, table, matrix, matrix, index), Books)
    scan = types.FunctionType(scans.signature())
    identity = machine_code.files_hash(*rooms, layout, scans, sys.modules[__name__])
    made = machine_code.placed(run_many, run_many, globals(), identity)
    signed = whole(scan, history, books, cube, table, matrix, matrix, index, matrix, table, matrix)
    return machine_code.machine_code(signed, _nrt=False)(made)
