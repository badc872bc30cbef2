"""Corporate actions out of adjusted closes, and adjusted closes out of corporate actions (domain rule 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray
from fairlead.core.bars import effective_actions, forward_fill
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import day_to_date

# A price with ten significant digits moves the ratio by 1e-10; the smallest dividend (1e-4 on a price of 1000) by 1e-7.
NOISE: Final = 1e-8
# Splits in practice: n-for-1, 1-for-n, and small pairs such as 3-for-2 or 21-for-20.
MAX_TERM: Final = 25
MAX_WHOLE: Final = 1000
CASH_STEP: Final = 1e-4
CASH_TOLERANCE: Final = 1e-6


def derive_actions(symbol: str, session: DayArray, close: FloatArray, adjusted: FloatArray) -> tuple[CorporateAction, ...]:
    """Return the splits and dividends that turn `close` into `adjusted`.

    Between actions the ratio of adjusted to raw close is constant. A step of that ratio to a simple rational is a split; any
    other step is a dividend of ``close_on_ex_day * (1 / step - 1)``, which is how sources that start from the newest price
    apply one.

    Parameters
    ----------
    symbol : str
    session : int32 array of shape (n,)
        Session dates in days since the epoch, increasing.
    close, adjusted : float64 arrays of shape (n,)
        Raw and back-adjusted closes in currency. Actions after the last session scale `adjusted` as a whole: no effect.

    Returns
    -------
    tuple of CorporateAction
        Ordered by ex-session. Dividends in raw currency per share, rounded to 0.0001.

    Raises
    ------
    DataError
        If the lengths differ, a price is not finite and above 0, or a step is neither a split nor a dividend.
    """
    if not len(session) == len(close) == len(adjusted):
        lengths = (len(session), len(close), len(adjusted))
        raise DataError.of(f"{symbol} sessions, closes and adjusted closes", "be of equal length", lengths)
    for name, prices in (("close", close), ("adjusted close", adjusted)):
        bad = ~(np.isfinite(prices) & (prices > 0))
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError.of(
                f"{symbol} {name} on {day_to_date(session[first])}", "be a finite number above 0", float(prices[first])
            )
    factor = adjusted / close
    step = factor[:-1] / factor[1:]
    days = np.flatnonzero(np.abs(step - 1.0) > NOISE) + 1
    return tuple(_action(symbol, int(session[i]), float(step[i - 1]), float(close[i])) for i in days)


def _action(symbol: str, ex_session: int, step: float, close: float) -> CorporateAction:
    ratio = Fraction(1.0 / step).limit_denominator(MAX_WHOLE)
    terms = (ratio.numerator, ratio.denominator)
    simple = max(terms) <= MAX_TERM or (min(terms) == 1 and max(terms) <= MAX_WHOLE)
    if simple and abs(float(ratio) * step - 1.0) <= NOISE:
        return CorporateAction(symbol, ex_session, ActionKind.SPLIT, float(ratio))
    cash = close * (1.0 / step - 1.0)
    rounded = round(cash / CASH_STEP) * CASH_STEP
    if rounded <= 0.0 or abs(cash - rounded) > CASH_TOLERANCE:
        raise DataError.of(
            f"{symbol} adjustment on {day_to_date(ex_session)}",
            "be a split in simple terms or a dividend in steps of 0.0001",
            step,
            "Give the corporate actions of this symbol as a list instead of adjusted closes.",
        )
    return CorporateAction(symbol, ex_session, ActionKind.DIVIDEND, round(rounded, 4))


def adjusted_closes(close: FloatArray, session: DayArray, actions: Sequence[CorporateAction]) -> FloatArray:
    """Return `close` back-adjusted by f = product of 1/split ratio and (1 - dividend / close before).

    Parameters
    ----------
    close : float64 array of shape (n,)
        Raw closes of one symbol in currency; NaN where there is no bar.
    session : int32 array of shape (n,)
        Session of each bar, not decreasing.
    actions : sequence of CorporateAction
        Those of the same symbol.

    Returns
    -------
    float64 array of shape (n,)
        Comparable over time; from the last action on, equal to `close`.

    Raises
    ------
    ConfigurationError
        If the actions belong to several symbols.
    """
    symbols = sorted({action.symbol for action in actions})
    if len(symbols) > 1:
        raise ConfigurationError.of("actions", "belong to one symbol", symbols)
    mark = forward_fill(close[:, None])
    factors = np.ones(len(close) + 1)
    for effective in effective_actions(actions, dict.fromkeys(symbols, 0), session, mark):
        factors[effective.row] *= effective.factor
    adjusted: FloatArray = close * np.cumprod(factors[::-1])[::-1][1:]
    return adjusted
