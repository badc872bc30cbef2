"""The instants of a run, and their sessions, kept small: a run in real time adds one at a time, a hundred thousand a day."""

from __future__ import annotations

from typing import Final

import numpy as np

from fairlead.core.arrays import DayArray, IntArray
from fairlead.engine.stamps import Stamps

FEW: Final = 100
"""Instants of a block that is small: of such blocks several are kept together."""
TOGETHER: Final = 256
"""So many of them."""


class Instants:
    """Stamps as evenly spaced stretches, sessions as how many instants each has."""

    def __init__(self) -> None:
        self._stamps: list[Stamps] = []
        self._days: list[DayArray] = []
        self._rows: list[IntArray] = []
        self._recent: list[tuple[IntArray, DayArray]] = []

    def add(self, known_ns: IntArray, session: DayArray) -> None:
        """Take in the instants of a block; nothing is kept of the arrays that are given."""
        if len(known_ns) <= FEW:
            self._recent.append((known_ns.copy(), session.copy()))
            if len(self._recent) >= TOGETHER:
                self._settle()
            return
        self._settle()
        self._keep(known_ns, session)

    def stamps(self) -> IntArray:
        """Return the instants in nanoseconds."""
        self._settle()
        return np.concatenate([stamps.array() for stamps in self._stamps]) if self._stamps else np.empty(0, np.int64)

    def sessions(self) -> DayArray:
        """Return the session of each, in days since the epoch."""
        self._settle()
        runs = [np.repeat(days, rows) for days, rows in zip(self._days, self._rows, strict=True)]
        return np.concatenate(runs) if runs else np.empty(0, np.int32)

    def _settle(self) -> None:
        recent, self._recent = self._recent, []
        if recent:
            known, sessions = zip(*recent, strict=True)
            self._keep(np.concatenate(known), np.concatenate(sessions))

    def _keep(self, known_ns: IntArray, session: DayArray) -> None:
        last = np.flatnonzero(np.append(session[1:] != session[:-1], True))
        self._stamps.append(Stamps.of(known_ns))
        self._days.append(session[last])
        self._rows.append(np.diff(last, prepend=-1))
