"""Positions of which a broker holds something else than our books do, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from fairlead.core.time import NS_PER_SECOND

Gap: TypeAlias = tuple[str, float]
"""A symbol, and how many signed units more of it the broker holds."""
_MOST: Final = 5
"""So many times as long as one must stand, others that come and go are waited for."""


class StandingGaps:
    """Knows whether gaps have stood for so long that the broker is to be believed.

    The execution behind one may only be told later: what was believed before would be booked a second time then.

    Parameters
    ----------
    stands_s : float
        How long, in seconds.

    Attributes
    ----------
    look_ns : int
        When the books are to be looked at once more; 0 if nothing is waited for.
    """

    def __init__(self, stands_s: float) -> None:
        self.look_ns = 0
        self._stands_ns = round(stands_s * NS_PER_SECOND)
        self._since: dict[Gap, int] = {}
        self._first_ns = 0

    def seen(self, gaps: Iterable[Gap], now_ns: int) -> None:
        """Take in which gaps there are now: one of another size is another."""
        before, self._since = self._since, {gap: self._since.get(gap, now_ns) for gap in gaps}
        self._first_ns = self._first_ns if before and self._since else now_ns
        self.look_ns = 0

    def have_stood(self, now_ns: int) -> bool:
        """Return whether each of them has stood for long enough."""
        return all(now_ns - since_ns >= self._stands_ns for since_ns in self._since.values())

    def are_awaited(self, now_ns: int) -> bool:
        """Return whether it is waited, until `look_ns`, to see if they stand; not without end, if others come all the time."""
        if self.have_stood(now_ns) or now_ns - self._first_ns >= _MOST * self._stands_ns:
            return False
        self.look_ns = max(self._since.values()) + self._stands_ns
        return True

    def is_due(self, now_ns: int) -> bool:
        """Return whether it is time to look."""
        return 0 < self.look_ns <= now_ns

    def asked(self, now_ns: int) -> None:
        """Note that the broker's books have been asked for: should no answer come, they are again."""
        self.look_ns = now_ns + self._stands_ns
