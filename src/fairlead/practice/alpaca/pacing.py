"""How often Alpaca may be asked: so many calls in a minute, and what every answer says of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fairlead.practice.alpaca.refusals import TOO_MANY, Refusal

_WINDOW_S: Final = 60.0


class RateLimit:
    """Counts the calls of the last minute.

    Parameters
    ----------
    calls_per_minute : int
        0 for as many as come.
    elapsed : callable
        Seconds, monotonic.
    """

    def __init__(self, calls_per_minute: int, elapsed: Callable[[], float]) -> None:
        self.calls_per_minute = calls_per_minute
        self.refused = 0
        """How many calls were too many."""
        self._elapsed = elapsed
        self._calls: deque[float] = deque()

    def take(self) -> bool:
        """Count a call, and return whether it may be made; one that may not is not counted."""
        if not self.calls_per_minute:
            return True
        now = self._elapsed()
        while self._calls and self._calls[0] <= now - _WINDOW_S:
            self._calls.popleft()
        if len(self._calls) >= self.calls_per_minute:
            self.refused += 1
            return False
        self._calls.append(now)
        return True

    def headers(self, now_s: float) -> dict[str, str]:
        """Return what an answer says of the limit.

        Parameters
        ----------
        now_s : float
            Seconds since the epoch.
        """
        if not self.calls_per_minute:
            return {}
        oldest = self._calls[0] + _WINDOW_S - self._elapsed() if self._calls else 0.0
        return {
            "X-RateLimit-Limit": str(self.calls_per_minute),
            "X-RateLimit-Remaining": str(self.calls_per_minute - len(self._calls)),
            "X-RateLimit-Reset": str(math.ceil(now_s + max(0.0, oldest))),
        }


def too_many() -> Refusal:
    """Return the refusal of one call too many."""
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, TOO_MANY, "rate limit exceeded")
