"""Liquidity filters: which symbols were traded enough to be chosen, told from sessions that were over."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.arrays import BoolArray, FloatArray
from fairlead.core.bars import BarBlock


class Liquidity(Settings):
    """What a symbol must have shown before a session to be chosen in it. All of it is told from completed sessions.

    Parameters
    ----------
    min_dollar_volume : float
        Average of close times volume per session, in currency, over the last `sessions` sessions; one without a bar counts 0.
    sessions : int
        How many.
    min_price : float
        Last raw close, in currency.
    min_history : int
        Sessions with a bar.
    """

    min_dollar_volume: float = Field(default=0.0, ge=0)
    sessions: int = Field(default=20, ge=1, le=2520)
    min_price: float = Field(default=0.0, ge=0)
    min_history: int = Field(default=0, ge=0)

    @property
    def is_open(self) -> bool:
        """Whether it lets every symbol pass."""
        return not (self.min_dollar_volume or self.min_price or self.min_history)


class LiquidityScreen:
    """A filter at work while history passes.

    Parameters
    ----------
    rules : Liquidity
    symbols : int
        How many columns the blocks have.
    """

    def __init__(self, rules: Liquidity, symbols: int) -> None:
        self._rules = rules
        self._volumes = np.zeros((rules.sessions, symbols))
        self._today = np.zeros(symbols)
        self._traded = np.zeros(symbols, np.bool_)
        self._history = np.zeros(symbols, np.int64)
        self._close: FloatArray = np.full(symbols, np.nan)
        self._last: FloatArray = self._close
        self._count = 0
        self._session: int | None = None

    def passing(self) -> BoolArray:
        """Return which symbols the sessions that are over let pass, shape (k,)."""
        rules = self._rules
        volume = self._volumes.sum(axis=0) / rules.sessions
        priced = self._close >= rules.min_price if rules.min_price else np.ones(len(volume), np.bool_)
        passed: BoolArray = (volume >= rules.min_dollar_volume) & priced & (self._history >= rules.min_history)
        return passed

    def advance(self, block: BarBlock, first: int, stop: int) -> Mapping[int, BoolArray]:
        """Take in some rows of a block, and return which symbols pass in each of their sessions: session -> shape (k,)."""
        found: dict[int, BoolArray] = {}
        if stop <= first:
            return found
        session = block.session[first:stop]
        edges = [0, *(np.flatnonzero(np.diff(session)) + 1).tolist(), len(session)]
        for begin, end in itertools.pairwise(edges):
            day = int(session[begin])
            if day != self._session:
                self._complete()
                self._session = day
            found[day] = self.passing()
            rows = slice(first + begin, first + end)
            close = block.close[rows]
            self._today += np.nansum(close * block.volume[rows], axis=0)
            self._traded |= ~np.isnan(close).all(axis=0)
            self._last = block.mark[rows.stop - 1]
        return found

    def _complete(self) -> None:
        if self._session is None:
            return
        self._volumes[self._count % self._rules.sessions] = self._today
        self._count += 1
        self._history += self._traded
        self._close = np.where(np.isnan(self._last), self._close, self._last)
        self._today[:] = 0.0
        self._traded[:] = False
