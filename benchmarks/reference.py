"""What the workloads must come to, computed from the arrays alone: the gate that every timing has to pass first.

Nothing here uses the engine, the portfolio or the strategies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fairlead.engine.record import RunRecord
from workloads import COMMISSION_BPS, SHARES_PER_CROSS, Columns

# Sums are taken in another order than in the engine.
TOLERANCE = 1e-9


class Expected(NamedTuple):
    """Fills in order, as arrays of shape (f,), and the last equity in currency."""

    label_ns: np.ndarray
    column: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    equity: float


class Swept(NamedTuple):
    """What a sweep must come to: fills and last equity in currency of each parameter set, arrays of shape (p,)."""

    fills: np.ndarray
    equity: np.ndarray


def crossover(columns: Columns, cash: float, fast: int = 20, slow: int = 50) -> Expected:
    """Return the fills and final equity of W1: both averages from cumulative sums, a fill at the open after each cross."""
    close, opened = columns.close[:, 0], columns.open[:, 0]
    total = np.concatenate([[0.0], np.cumsum(close)])
    ends = np.arange(slow, len(close) + 1)
    above = (total[ends] - total[ends - fast]) / fast > (total[ends] - total[ends - slow]) / slow
    crosses = np.flatnonzero(above[1:] != above[:-1]) + 1
    if len(crosses) and not above[crosses[0]]:
        crosses = crosses[1:]  # nothing is held yet that could be sold
    rows = crosses + slow  # the bar after the one that made the cross
    inside = rows < len(close)
    rows, side = rows[inside], np.where(above[crosses[inside]], 1.0, -1.0)
    price, quantity = opened[rows], side * SHARES_PER_CROSS
    paid = quantity @ price + np.abs(quantity) @ price * COMMISSION_BPS / 1e4
    equity = cash - paid + quantity.sum() * close[-1]
    return Expected(columns.label_ns[rows], np.zeros(len(rows), np.int64), quantity, price, float(equity))


def sweep(columns: Columns, cash: float, pairs: Sequence[tuple[int, int]]) -> Swept:
    """Return the number of fills and the final equity of W3 for each pair of fast and slow."""
    each = [crossover(columns, cash, fast, slow) for fast, slow in pairs]
    return Swept(np.array([len(one.price) for one in each]), np.array([one.equity for one in each]))


def momentum(columns: Columns, cash: float, window: int = 126, every: int = 21, count: int = 50) -> Expected:
    """Return the fills and final equity of W2: whole-vector arithmetic at each rebalancing, filled at the next open."""
    opened, close = columns.open, columns.close
    held = np.zeros(close.shape[1])
    fills: list[tuple[np.ndarray, ...]] = []
    for row in range(window, len(close) - 1, every):
        equity = cash + held @ close[row]
        best = np.argsort(-(close[row] / close[row - window]), kind="stable")[:count]
        target = np.zeros_like(held)
        target[best] = np.floor(equity / count / close[row, best])
        change = target - held
        price = opened[row + 1]
        cash -= change @ price + np.abs(change) @ price * COMMISSION_BPS / 1e4
        held = target
        (traded,) = np.nonzero(change)
        fills.append((np.full(len(traded), columns.label_ns[row + 1]), traded, change[traded], price[traded]))
    label, column, quantity, price = (np.concatenate(parts) for parts in zip(*fills, strict=True))
    return Expected(label, column, quantity, price, float(cash + held @ close[-1]))


def disagreement(record: RunRecord, columns: Columns, expected: Expected) -> str:
    """Return the first difference between a run and what is expected; empty if there is none.

    Fills of one instant are compared in column order: the engine sells before it buys, which changes no price here.
    """
    stopped = [s.error for s in record.strategies if s.error]
    if stopped:
        return f"the strategy stopped: {stopped[0]}"
    place = {symbol: column for column, symbol in enumerate(columns.symbols)}
    found = sorted((fill.bar_ns, place[fill.symbol], fill.signed_quantity, fill.price) for fill in record.fills)
    if len(found) != len(expected.price):
        return f"{len(found)} fills, expected {len(expected.price)}"
    wanted = zip(*(array.tolist() for array in expected[:4]), strict=True)
    for number, (fill, want) in enumerate(zip(found, wanted, strict=True)):
        if fill != want:
            return f"fill {number} is {fill}, expected {want} (bar, column, quantity, price)"
    equity = float(record.account.equity[-1])
    if abs(equity - expected.equity) > TOLERANCE * abs(expected.equity):
        return f"final equity is {equity!r}, expected {expected.equity!r}"
    return ""
