"""How often Interactive Brokers may be asked for history (domain rule 14.2)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from fairlead.data.vendors.pace import Pace, PaceLimit, PaceScope

LIMITS: Final = (
    PaceLimit(60, 600.0),
    PaceLimit(1, 15.0, PaceScope.REQUEST),
    PaceLimit(5, 2.0, PaceScope.SYMBOL),
)
"""At most 60 requests in ten minutes, none twice within 15 s, fewer than six for one contract within 2 s."""
MOST_OPEN: Final = 50
MOST_LINES: Final = 100
"""Subscriptions to market data at once."""
BID_ASK: Final = "BID_ASK"


class HistoricalPacing:
    """Tells how long to wait before the next request of history. It owns no clock.

    A request of `BID_ASK` counts twice: it waits until there is room for two.
    """

    def __init__(self) -> None:
        self._pace = Pace(LIMITS)
        # Room for two is there when one fewer has been asked.
        self._pace_of_two = Pace(tuple(PaceLimit(max(limit.count - 1, 1), limit.seconds, limit.scope) for limit in LIMITS))
        self._open = 0

    @property
    def is_full(self) -> bool:
        """Whether one that is open must be answered first."""
        return self._open >= MOST_OPEN

    def wait_s(self, now_s: float, symbol: str, request: Hashable, what: str = "TRADES") -> float:
        """Return how many seconds remain until a request may be sent; 0 if it may be now, unless `is_full`.

        Parameters
        ----------
        now_s : float
            A counter of seconds that never goes back.
        symbol : str
        request : hashable
            Equal for requests that ask for the same.
        what : str
            What is asked for, as the protocol calls it.
        """
        pace = self._pace_of_two if what == BID_ASK else self._pace
        return pace.wait_s(now_s, symbol, (request, what))

    def begin(self, now_s: float, symbol: str, request: Hashable, what: str = "TRADES") -> None:
        """Count a request that is sent now."""
        self._open += 1
        for pace in (self._pace, self._pace_of_two):
            pace.note(now_s, symbol, (request, what), weight=2 if what == BID_ASK else 1)

    def end(self) -> None:
        """Count an answer."""
        self._open = max(self._open - 1, 0)
