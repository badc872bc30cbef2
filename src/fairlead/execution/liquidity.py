"""Daily volatility and volume of every symbol as known at an instant: from completed earlier sessions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.bars import BarBlock, EffectiveAction
from fairlead.core.events import ActionKind
from fairlead.core.time import NS_PER_MINUTE

SESSIONS: Final = 20
LEAST_SESSIONS: Final = 10
SESSION_MINUTES: Final = 390
_UNKNOWN: Final = float("nan")
_NEVER: Final = np.iinfo(np.int64).max


class Liquidity(NamedTuple):
    """What impact models need to know of a symbol; NaN for what is not known."""

    sigma_daily: float = _UNKNOWN
    """Standard deviation of daily log returns (ddof 1), splits and dividends taken out."""
    adv: float = _UNKNOWN
    """Average daily volume, in units of today."""


def session_share(label_ns: int, known_ns: int, session_minutes: float = SESSION_MINUTES) -> float:
    """Return the share of a session that a bar lasts, 1.0 at most: a daily bar is a whole session.

    Parameters
    ----------
    label_ns, known_ns : int
        Opening and closing instants.
    session_minutes : float
        390 for US stocks.
    """
    return min(1.0, (known_ns - label_ns) / (session_minutes * NS_PER_MINUTE))


class DailyLiquidity:
    """Follows the sessions of a run and answers for any of its rows.

    Parameters
    ----------
    symbols : sequence of str
        The columns of the blocks to come.
    sessions : int
        Sessions in the window.
    least : int
        With fewer returns, or fewer sessions since a symbol's first bar, the answer is unknown.

    Notes
    -----
    A row is answered from sessions that ended before its own began. A session in which a listed symbol has no bar counts as one
    without volume, and its return belongs to the next close. Numbers from before a split are in units of after it.
    """

    def __init__(self, symbols: Sequence[str], *, sessions: int = SESSIONS, least: int = LEAST_SESSIONS) -> None:
        self._window = sessions
        self._least = least
        nothing = np.empty((0, len(symbols)))
        self._days: list[int] = []
        self._close, self._volume, self._price_factor, self._share_factor = (nothing,) * 4
        self._first_day: IntArray = np.full(len(symbols), _NEVER, dtype=np.int64)
        self._index: dict[int, int] = {}
        self._found: dict[tuple[int, int], Liquidity] = {}

    def enter(self, block: BarBlock) -> None:
        """Take in the next block of history: its delivered rows, and of the first block the carried ones too."""
        start = block.start if self._days else 0
        session = block.session[start:]
        if not len(session):
            return
        firsts = np.flatnonzero(np.append(True, session[1:] != session[:-1])) + start
        days = [int(day) for day in block.session[firsts]]
        self._forget()
        begun = bool(self._days) and self._days[-1] == days[0]
        self._add_sessions(days[1:] if begun else days)
        known = len(self._days) - len(days)
        for i, (first, stop) in enumerate(zip(firsts, [*firsts[1:], len(block)], strict=True)):
            self._add_bars(known + i, block, int(first), int(stop))
        self._index = {day: i for i, day in enumerate(self._days)}
        for effective in block.actions:
            if effective.row >= start:
                self._act(self._index[int(block.session[effective.row])], effective, block)
        self._found = {}

    def at(self, session: int, column: int) -> Liquidity:
        """Return what was known of a symbol when a session of the current block began.

        Parameters
        ----------
        session : int
            Session date in days since the epoch.
        column : int
            The symbol's place in the block.
        """
        key = session, column
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._measure(self._index[session], column)
        return found

    def _forget(self) -> None:
        # The last session may go on in the next block, and its window reaches one close further back than its returns.
        keep = self._window + 2
        self._days = self._days[-keep:]
        self._close, self._volume = self._close[-keep:], self._volume[-keep:]
        self._price_factor, self._share_factor = self._price_factor[-keep:], self._share_factor[-keep:]

    def _add_sessions(self, days: list[int]) -> None:
        self._days += days
        shape = len(days), self._close.shape[1]
        self._close = np.concatenate([self._close, np.full(shape, np.nan)])
        self._volume = np.concatenate([self._volume, np.zeros(shape)])
        self._price_factor = np.concatenate([self._price_factor, np.ones(shape)])
        self._share_factor = np.concatenate([self._share_factor, np.ones(shape)])

    def _add_bars(self, i: int, block: BarBlock, first: int, stop: int) -> None:
        present = ~np.isnan(block.close[first:stop])
        seen = present.any(axis=0)
        traded = np.where(present, np.nan_to_num(block.volume[first:stop]), 0.0)
        # One after the other: how a session is cut into blocks must not change the last bit of its volume.
        self._volume[i] = np.add.accumulate(np.vstack([self._volume[i], traded]), axis=0)[-1]
        self._close[i] = np.where(seen, block.mark[stop - 1], self._close[i])
        self._first_day[seen] = np.minimum(self._first_day[seen], self._days[i])

    def _act(self, i: int, effective: EffectiveAction, block: BarBlock) -> None:
        column, action = effective.column, effective.action
        new = block.columns.get(action.other) if action.kind is ActionKind.RENAME else None
        if new is not None:
            for values in (self._close, self._volume, self._price_factor, self._share_factor):
                values[:i, new] = values[:i, column]
            self._first_day[new] = min(self._first_day[new], self._first_day[column])
        self._price_factor[i, column] *= effective.factor
        self._share_factor[i, column] *= action.share_factor

    def _measure(self, i: int, column: int) -> Liquidity:
        first = max(0, i - self._window - 1)
        prices = self._close[first:i, column] * _later(self._price_factor[first + 1 : i + 1, column])
        volumes = self._volume[first:i, column] * _later(self._share_factor[first + 1 : i + 1, column])
        listed = np.array(self._days[first:i], dtype=np.int64) >= self._first_day[column]
        recent = volumes[-self._window :][listed[-self._window :]]
        returns = np.diff(np.log(prices[prices > 0]))
        return Liquidity(
            float(returns.std(ddof=1)) if len(returns) >= self._least else _UNKNOWN,
            float(recent.mean()) if len(recent) >= self._least else _UNKNOWN,
        )


def _later(factors: FloatArray) -> FloatArray:
    """Return, for each session, the product of the factors of it and of all after it."""
    return np.multiply.accumulate(factors[::-1])[::-1]
