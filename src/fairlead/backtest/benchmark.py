"""The benchmark of a run: buy equal weights of its symbols at the first close, hold, reinvest dividends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.bars import forward_fill
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.engine.record import SessionPrices


def buy_and_hold(prices: SessionPrices, actions: Sequence[CorporateAction], initial_cash: float) -> FloatArray:
    """Return the value of the benchmark at the end of every session, shape (s,).

    Each symbol gets an equal share of `initial_cash` and is bought, without costs, at its first known close; until then its
    share waits in cash. Splits multiply the units; a dividend, or the worth of spun-off shares, buys more units at the close of
    its ex-session. What a delisting or a merger pays, shares at their close, is held in cash. A symbol and the new name that it
    got are one.

    Parameters
    ----------
    prices : SessionPrices
    actions : sequence of CorporateAction
        Those of `RunRecord.market_actions`: in the order, and dated with the session, in which they took effect.
    initial_cash : float
        In currency.
    """
    marks = forward_fill(prices.mark)
    count, width = marks.shape
    if count == 0 or width == 0:
        return np.full(count, initial_cash)
    growth = growth_factors(prices.symbols, prices.session, marks, actions)
    new_names = _follow_names(prices, marks, growth, actions)
    share = initial_cash / (width - len(new_names))
    value = np.zeros(count)
    for column in sorted(set(range(width)) - new_names):
        known = np.flatnonzero(~np.isnan(marks[:, column]))
        if len(known) == 0:
            value += share
            continue
        first = known[0]
        units = np.cumprod(growth[first:, column]) / growth[first, column]
        value[:first] += share
        value[first:] += share * units * marks[first:, column] / marks[first, column]
    return value


def _follow_names(prices: SessionPrices, marks: FloatArray, growth: FloatArray, actions: Sequence[CorporateAction]) -> set[int]:
    """Let the column of a renamed symbol go on with that of its new name; return the columns of the new names."""
    columns = {symbol: i for i, symbol in enumerate(prices.symbols)}
    found: set[int] = set()
    # The last change first, so that a name that changes twice is followed through.
    for row, action in reversed(rows_of(prices.session, actions)):
        if action.kind is ActionKind.RENAME and action.symbol in columns and action.other in columns:
            old, new = columns[action.symbol], columns[action.other]
            marks[row:, old] = marks[row:, new]
            growth[row:, old] *= growth[row:, new]
            found.add(new)
    return found


def growth_factors(
    symbols: Sequence[str], session: DayArray, marks: FloatArray, actions: Sequence[CorporateAction]
) -> FloatArray:
    """Return by what corporate actions multiply the units of each symbol in each session, shape (s, k)."""
    columns = {symbol: i for i, symbol in enumerate(symbols)}
    splits, cash = np.ones_like(marks), np.zeros_like(marks)
    for row, action in rows_of(session, actions):
        column = columns.get(action.symbol)
        if column is None:
            continue
        other = columns.get(action.other)
        worth = 0.0 if other is None or action.kind is ActionKind.RENAME else action.value * marks[row, other]
        if action.share_factor != 1.0:
            splits[row, column] *= action.share_factor
        elif action.kind is ActionKind.DIVIDEND:
            # Per share as it is by then: of a split in the same session only what came before counts.
            cash[row, column] += action.value * splits[row, column]
        elif action.kind is ActionKind.SPIN_OFF and worth == worth:
            cash[row, column] += worth * splits[row, column]
        elif action.kind is ActionKind.MERGER or action.cash is not None:
            # The last price stands from here on: as many units as are worth what was paid.
            splits[row, column] *= ((action.cash or 0.0) + worth) / marks[row, column]
    # The reinvestment is at the price of the session's close.
    with np.errstate(invalid="ignore"):
        grown = splits + cash / marks
    return np.where(np.isnan(grown), 1.0, grown)


def split_adjustment(prices: SessionPrices, actions: Sequence[CorporateAction]) -> FloatArray:
    """Return what multiplies each raw price so that a split leaves no step; 1.0 in the last session. Shape (s, k)."""
    only_splits = [action for action in actions if action.share_factor != 1.0]
    factors = growth_factors(prices.symbols, prices.session, np.ones_like(prices.mark), only_splits)
    if len(factors) == 0:
        return factors
    later = np.vstack([factors[1:], np.ones((1, factors.shape[1]))])
    adjustment: FloatArray = 1.0 / np.cumprod(later[::-1], axis=0)[::-1]
    return adjustment


def rows_of(session: DayArray, actions: Sequence[CorporateAction]) -> list[tuple[int, CorporateAction]]:
    """Return each action with the row of the first session at or after its ex-session; those outside the run are left out."""
    if len(session) == 0:
        return []
    return [
        (int(np.searchsorted(session, action.ex_session)), action)
        for action in actions
        if session[0] < action.ex_session <= session[-1]
    ]
