"""How fast a broker may be asked: a token bucket with a lane for what reduces risk (domain rule 14.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fairlead.core.errors import ConfigurationError, PacingViolation

RESERVED: Final = 10
ALERT_S: Final = 1.0
PATIENCE_S: Final = 5.0
PACING_TIMEOUT: Final = "pacing_timeout"
Sleep = Callable[[float], Awaitable[None]]


class TokenBucket:
    """Tokens that come back at a steady rate: ``tokens = min(capacity, tokens + rate * dt)``.

    Parameters
    ----------
    capacity : float
    rate : float
        Tokens a second.
    reserved : float
        So many are kept for what is urgent.
    now_s : float
        Where it begins, full.
    """

    def __init__(self, capacity: float, rate: float, reserved: float, now_s: float) -> None:
        if not (capacity > 0 and rate > 0):
            raise ConfigurationError.of("pacing", "have a capacity and a rate above 0", (capacity, rate))
        if not 0 <= reserved < capacity:
            raise ConfigurationError.of("reserved tokens", f"be at least 0 and below {capacity:g}", reserved)
        self._capacity, self._rate, self._reserved = capacity, rate, reserved
        self._tokens, self._now_s = capacity, now_s

    def take(self, now_s: float, *, is_urgent: bool = False) -> float:
        """Take a token if there is one; return 0.0 then, and how many seconds to wait for one otherwise."""
        self._pass(now_s)
        short = 1.0 + (0.0 if is_urgent else self._reserved) - self._tokens
        if short <= 0.0:
            self._tokens -= 1.0
            return 0.0
        return short / self._rate

    def hold(self, now_s: float, seconds: float) -> None:
        """Give nothing for so long: the broker has said that it was too much."""
        self._pass(now_s)
        self._tokens = 0.0
        self._now_s = max(self._now_s, now_s + seconds)

    def _pass(self, now_s: float) -> None:
        if now_s > self._now_s:
            self._tokens = min(self._capacity, self._tokens + self._rate * (now_s - self._now_s))
            self._now_s = now_s


class Pacer:
    """Lets calls through one after the other, as fast as a bucket allows; whoever came first goes first.

    Parameters
    ----------
    calls_per_minute : float
    burst : int
    monotonic : callable
        Seconds, of a clock that never goes back.
    sleep : callable
        Waits for a number of seconds.
    alert : callable
        Told how long a call has waited that waits for more than a second.
    """

    def __init__(
        self,
        calls_per_minute: float,
        burst: int,
        monotonic: Callable[[], float],
        sleep: Sleep,
        alert: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        # Of a small bucket a fifth is enough: what is left must let something else through too.
        reserved = min(RESERVED, burst // 5)
        self._bucket = TokenBucket(burst, calls_per_minute / 60, reserved, monotonic())
        self._monotonic, self._sleep, self._alert = monotonic, sleep, alert
        self._lanes = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._held_until = 0.0

    async def take(self, *, is_urgent: bool = False, patience_s: float = PATIENCE_S) -> None:
        """Return when a call may be made.

        Raises
        ------
        PacingViolation
            ``pacing_timeout``, if it would have to wait for longer than `patience_s`: nothing was sent.
        """
        began, is_told = self._monotonic(), False
        async with self._lanes[is_urgent]:
            while True:
                now = self._monotonic()
                wait = max(self._held_until - now, 0.0) or self._bucket.take(now, is_urgent=is_urgent)
                waited = now - began
                if wait <= 0.0 and waited <= patience_s:
                    return
                if waited + wait > patience_s:
                    text = f"{PACING_TIMEOUT}: a call would wait {waited + wait:.1f} s for its turn"
                    raise PacingViolation(f"{text}, {patience_s:g} s is the most.")
                if not is_told and waited + wait > ALERT_S:
                    is_told = True
                    self._alert(waited + wait)
                await self._sleep(wait)

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long: the broker has said that it was too much."""
        now = self._monotonic()
        self._held_until = max(self._held_until, now + seconds)
        self._bucket.hold(now, seconds)
