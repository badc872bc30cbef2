"""How often a vendor may be asked: several limits that all hold, as a pure machine (domain rule 14.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fairlead.core.errors import ConfigurationError

_LONGEST_S: Final = 86_400.0


class PaceScope(StrEnum):
    """What a limit counts together."""

    ALL = "all"
    """Every request."""
    SYMBOL = "symbol"
    """Requests about one symbol."""
    REQUEST = "request"
    """Requests that are the same in everything."""


@dataclass(frozen=True, slots=True)
class PaceLimit:
    """At most `count` requests in any stretch of `seconds`, of those that `scope` counts together."""

    count: int
    seconds: float
    scope: PaceScope = PaceScope.ALL

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigurationError.of("pace limit", "allow 1 request or more", self.count)
        if not 0 < self.seconds <= _LONGEST_S:
            raise ConfigurationError.of("pace limit seconds", "be in (0, 86400]", self.seconds)


class Pace:
    """Tells how long to wait before the next request so that no limit is broken.

    Parameters
    ----------
    limits : sequence of PaceLimit
    """

    def __init__(self, limits: tuple[PaceLimit, ...]) -> None:
        self._limits = limits
        self._asked: list[dict[Hashable, deque[float]]] = [{} for _ in limits]

    def wait_s(self, now_s: float, symbol: str, request: Hashable) -> float:
        """Return how many seconds remain until a request may be sent; 0 if it may be now.

        Parameters
        ----------
        now_s : float
            A counter of seconds that never goes back.
        symbol : str
        request : hashable
            Equal for requests that ask for the same.
        """
        wait = 0.0
        for limit, asked in zip(self._limits, self._asked, strict=True):
            times = asked.get(_key(limit, symbol, request), ())
            if len(times) >= limit.count:
                wait = max(wait, times[-limit.count] + limit.seconds - now_s)
        return wait

    def note(self, now_s: float, symbol: str, request: Hashable, weight: int = 1) -> None:
        """Count a request that is sent now; as `weight` of them, if the vendor does."""
        for limit, asked in zip(self._limits, self._asked, strict=True):
            for key in [key for key, times in asked.items() if times[-1] + limit.seconds <= now_s]:
                del asked[key]
            times = asked.setdefault(_key(limit, symbol, request), deque(maxlen=limit.count))
            times.extend([now_s] * weight)


def _key(limit: PaceLimit, symbol: str, request: Hashable) -> Hashable:
    return {PaceScope.ALL: None, PaceScope.SYMBOL: symbol, PaceScope.REQUEST: (symbol, request)}[limit.scope]
