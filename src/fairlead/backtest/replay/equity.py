"""The equity curve of a replay: marked to market at every close of an execution bar of any symbol (domain rule 6.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlead.backtest.metrics import drawdowns
from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.bars import ReplayBars, end_ns
from fairlead.backtest.replay.fills import Trade
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.backtest.replay.walking import compiled_walk
from fairlead.contracts.orders import CanonicalOrder
from fairlead.contracts.orders.row import OPEN_END
from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.time import to_ns
from fairlead.data.calendars import ExchangeCalendar


@dataclass(frozen=True, slots=True, eq=False)
class Equity:
    """Arrays of shape (m,); the first point is the initial cash at the start.

    Attributes
    ----------
    ts_ns : int64
    equity, drawdown, drawdown_pct : float64
        In currency, and in percent of the peak so far.
    days : int32 array of shape (s,)
        Every session of the run.
    closes : float64 array of shape (s,)
        Equity at their closes.
    """

    ts_ns: IntArray
    equity: FloatArray
    drawdown: FloatArray
    drawdown_pct: FloatArray
    days: DayArray
    closes: FloatArray


def mark_equity(
    trades: Sequence[Trade], orders: Sequence[CanonicalOrder], bars: ReplayBars, settings: ReplaySettings
) -> Equity:
    """Return the curve; of a run without a fill it is one point (domain rule 6.11).

    Commission is paid at the fill it is charged for: an open position is worth its mark less the commission of its entry.
    """
    known = bars.ints[:, at.KNOWN]
    instants, slots = _instants(known)
    days, last = _sessions(bars, instants, ExchangeCalendar.get(settings.calendar))
    initial = settings.initial_cash
    if not trades:
        ts = np.array([_only_instant(orders, bars, settings)], np.int64)
        return _curve(ts, np.array([initial]), days, np.full(len(days), initial), initial)
    spans = np.array([(trade.entry_bar, trade.exit_bar) for trade in trades], np.int64)
    amounts = np.array(
        [(trade.side * trade.units * trade.multiplier, trade.entry_exec, trade.entry_fee, trade.net_pnl) for trade in trades]
    )
    marks, net = np.zeros(len(instants)), np.zeros(len(instants))
    compiled_walk()[2](bars.floats, slots, spans, amounts, len(instants), marks, net)
    equity = initial + np.cumsum(net) + marks
    closes = equity[last]
    ts = np.concatenate((bars.ints[:, at.LABEL].min(keepdims=True), instants))
    return _curve(ts, np.concatenate(([initial], equity)), days, closes, initial)


def _curve(ts: IntArray, equity: FloatArray, days: DayArray, closes: FloatArray, initial: float) -> Equity:
    return Equity(ts, equity, *drawdowns(equity, initial), days, closes)


def _instants(known: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct instants, and the place of each bar among them."""
    ordered = np.sort(known)
    instants = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return instants, np.searchsorted(instants, known)


def _sessions(bars: ReplayBars, instants: IntArray, calendar: ExchangeCalendar) -> tuple[DayArray, IntArray]:
    """Return the sessions of the run, and the place of the last instant up to the close of each."""
    # Sessions without a bar are sessions of the run.
    days = calendar.sessions(int(bars.session.min()), int(bars.session.max()))
    return days, np.searchsorted(instants, calendar.bounds(days)[1], side="right") - 1


def _only_instant(orders: Sequence[CanonicalOrder], bars: ReplayBars, settings: ReplaySettings) -> int:
    asked = end_ns(settings, ExchangeCalendar.get(settings.calendar))
    if asked is not None:
        return asked
    ends = [order.valid_to for order in orders if order.valid_to < OPEN_END]
    return to_ns(max(ends)) if ends else int(bars.ints[:, at.KNOWN].max())
