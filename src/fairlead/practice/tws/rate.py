"""How much a client may send."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

# What a client measures when it sends, the server measures when it reads: a pause between the two gathers messages.
_SLACK: Final = 2


class RateWatch:
    """Counts the messages of a client over the last second.

    Parameters
    ----------
    limit : int
        Of a second; 0 for none. A client that keeps to it with a full bucket may send twice as many in one second, which is
        what is let through.
    elapsed : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, limit: int, elapsed: Callable[[], float]) -> None:
        self.limit = limit
        self.strikes = 0
        """How many messages were too many."""
        self._elapsed = elapsed
        self._times: deque[float] = deque()

    def allows(self) -> bool:
        """Count one more message, and return whether it may be; one that may not is not counted among the others."""
        if not self.limit:
            return True
        now = self._elapsed()
        while self._times and now - self._times[0] >= 1.0:
            self._times.popleft()
        if len(self._times) >= self.limit * _SLACK:
            self.strikes += 1
            return False
        self._times.append(now)
        return True
