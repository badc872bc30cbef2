"""Prices that jump as prices do not (domain 2.7): hints, never reasons to refuse."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Final

import numpy as np

from fairlead.core.arrays import BoolArray, FloatArray

WINDOW: Final = 500
"""Log returns before a bar that it is compared with."""
FEWEST: Final = 30
"""Below so many returns before it, a bar is compared with the absolute limit alone."""
DEVIATIONS: Final = 10 * 1.4826
"""Ten standard deviations of normal returns, in units of the median absolute deviation."""
LIMIT: Final = 0.5
"""A log return beyond it is an outlier whatever came before: a split of two to one is 0.69."""


class OutlierWatch:
    """Finds outliers among the closes of one symbol, handed in piece by piece.

    A bar is one if its log return is larger, up or down, than 10 · 1.4826 · MAD of the 500 returns before it, or than 0.5;
    unless a corporate action explains it. Where prices hardly move the MAD is 0 and the limit alone decides. Outliers stay in
    the window: a median absolute deviation bears them.
    """

    def __init__(self) -> None:
        self._last = math.nan
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, close: FloatArray, excused: BoolArray | None = None) -> BoolArray:
        """Return which of the next bars are outliers.

        Parameters
        ----------
        close : float64 array of shape (n,)
            Closes in order of time; what is not a price (NaN, 0 or less) is passed over.
        excused : bool array of shape (n,), optional
            Bars whose jump a corporate action explains.
        """
        mask = np.zeros(len(close), np.bool_)
        for i, price in enumerate(close.tolist()):
            if not (0.0 < price < math.inf):
                continue
            change = math.log(price / self._last) if self._last == self._last else math.nan
            self._last = price
            if change != change or (excused is not None and excused[i]):
                continue
            mask[i] = self._is_outlier(abs(change))
            self._remember(change)
        return mask

    def _is_outlier(self, size: float) -> bool:
        if size > LIMIT:
            return True
        ranked, n = self._sorted, len(self._sorted)
        if n < FEWEST or size == 0.0:
            return False
        median = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
        # At most half of the returns lie nearer to the median than this, so the MAD is no smaller: it settles most bars.
        least = min(median - ranked[n // 4], ranked[n // 4 + n // 2] - median)
        if size <= DEVIATIONS * least:
            return False
        deviation = float(np.median(np.abs(np.array(ranked) - median)))
        return deviation > 0.0 and size > DEVIATIONS * deviation

    def _remember(self, change: float) -> None:
        if len(self._order) == WINDOW:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]
        self._order.append(change)
        insort(self._sorted, change)
