"""A circuit breaker for a data provider (domain rule 14.5): after failures in a row it is left alone, then tried once."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from fairlead.contracts.settings import Settings


class BreakerState(StrEnum):
    """Whether a provider may be asked."""

    CLOSED = "closed"
    """Freely."""
    OPEN = "open"
    """Not at all, until its time is over."""
    HALF_OPEN = "half_open"
    """Once: what comes of it decides."""


class BreakerSettings(Settings):
    """When a provider is left alone, and for how long.

    Parameters
    ----------
    failures : int
        In a row, after which it is.
    open_s : float
        Seconds until it is tried again.
    """

    failures: int = Field(default=5, ge=1, le=100)
    open_s: float = Field(default=300.0, gt=0, le=86_400)


HISTORY_BREAKER: Final = BreakerSettings(open_s=300.0)
"""Where nothing waits for the data but a backtest."""
LIVE_BREAKER: Final = BreakerSettings(open_s=30.0)
"""Where trading does."""


class CircuitBreaker:
    """Counts failures and says whether the provider may be asked; it knows no clock but the one it is told.

    Parameters
    ----------
    settings : BreakerSettings
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._opened_s: float | None = None
        self._is_probing = False
        self.failures = 0
        """In a row, up to now."""

    @property
    def is_closed(self) -> bool:
        """Whether the provider may be asked freely."""
        return self._opened_s is None

    def state(self, now_s: float) -> BreakerState:
        """Return where it stands at `now_s`, on a counter of seconds that never goes back."""
        if self._opened_s is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_s < self._opened_s + self._settings.open_s else BreakerState.HALF_OPEN

    def wait_s(self, now_s: float) -> float:
        """Return how many seconds remain until the provider may be asked; 0 if it may be now."""
        return 0.0 if self._opened_s is None else max(0.0, self._opened_s + self._settings.open_s - now_s)

    def admit(self, now_s: float) -> bool:
        """Return whether a request may be sent now; half open, only the first one that asks may.

        Whoever got True says what came of it: `succeed` or `fail`.
        """
        state = self.state(now_s)
        if state is not BreakerState.HALF_OPEN:
            return state is BreakerState.CLOSED
        if self._is_probing:
            return False
        self._is_probing = True
        return True

    def succeed(self) -> None:
        """Close it: the provider answers."""
        self.failures = 0
        self._opened_s = None
        self._is_probing = False

    def fail(self, now_s: float) -> None:
        """Count a failure; it opens with the last that is allowed, and with that of a probe at once."""
        self.failures += 1
        if self._is_probing or (self._opened_s is None and self.failures >= self._settings.failures):
            self._opened_s = now_s
        self._is_probing = False
