"""Curves net of the money that was paid in and taken out while a run went on; without any they are the curve itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from fairlead.backtest.metrics import drawdowns
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.flows import NetOfFlows
from fairlead.engine.record import CashFlow, EquityCurve, RunRecord

# What was worth the same before, but for the last bits of a sum of floats, has not moved.
_ROUNDING: Final = 1e-12


def paid_at(ts_ns: IntArray, flows: Sequence[CashFlow]) -> FloatArray:
    """Return what came in at each instant, less what went out, in currency; shape (n,)."""
    paid = np.zeros(len(ts_ns))
    for row, flow in zip(_rows(ts_ns, flows), flows, strict=True):
        paid[row] += flow.amount
    return paid


def growth(curve: EquityCurve, flows: Sequence[CashFlow], initial: float) -> FloatArray:
    """Return what the equity would be had no money come or gone: its changes are the time-weighted returns.

    Parameters
    ----------
    curve : EquityCurve
    flows : sequence of CashFlow
        Those of the curve's books. Each is in the curve from its instant on.
    initial : float
        What the books began with, in currency.

    Returns
    -------
    array of shape (n,)
        Currency, on what the books began with.
    """
    if not flows:
        return curve.equity
    net, grown = NetOfFlows(), curve.equity.copy()
    for part, before, after in _parts(curve, flows, initial):
        net.paid(before, after)
        grown[part] = net.of(curve.equity[part])
    return grown


def gains(curve: EquityCurve, flows: Sequence[CashFlow], initial: float) -> FloatArray:
    """Return the equity less what has been paid in so far: its changes are profit and loss in currency.

    Parameters and shape as in `growth`.
    """
    if not flows:
        return curve.equity
    level = base = 0.0
    gained = curve.equity.copy()
    for part, before, after in _parts(curve, flows, initial):
        level, base = level + (before - base), after
        gained[part] = level + (curve.equity[part] - base)
    return gained


def falls(curve: EquityCurve, flows: Sequence[CashFlow], initial: float) -> tuple[FloatArray, FloatArray]:
    """Return the distance from the running peak in currency, of `gains`, and in percent of it, of `growth`; both at least 0."""
    if not flows:
        return drawdowns(curve.equity, initial)
    return drawdowns(gains(curve, flows, initial), initial)[0], drawdowns(growth(curve, flows, initial), initial)[1]


def flows_of(record: RunRecord, strategy: str) -> list[CashFlow]:
    """Return the cash flows of one strategy."""
    return [flow for flow in record.cash_flows if flow.strategy == strategy]


class _Part(NamedTuple):
    """The rows from one flow to the next, and what the books were worth just before and just after it."""

    rows: slice
    before: float
    after: float


def _parts(curve: EquityCurve, flows: Sequence[CashFlow], initial: float) -> Iterator[_Part]:
    equity, paid = curve.equity.tolist(), paid_at(curve.ts_ns, flows)
    for start, end in pairwise([*sorted(set(_rows(curve.ts_ns, flows))), len(equity)]):
        after, last = equity[start], equity[start - 1] if start else initial
        before = after - float(paid[start])
        if abs(before - last) <= _ROUNDING * max(abs(before), abs(after)):
            before = last
        yield _Part(slice(start, end), before, after)


def _rows(ts_ns: IntArray, flows: Sequence[CashFlow]) -> list[int]:
    rows: list[int] = np.searchsorted(ts_ns, [flow.ts_ns for flow in flows]).tolist()
    return rows
