"""How long to wait before the next attempt to connect: exponential, with full jitter (domain rule 14.5)."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.data.live.settings import ReconnectSettings


class Backoff:
    """The waits between attempts that fail one after the other.

    Parameters
    ----------
    settings : ReconnectSettings
    uniform : callable
        Uniform random numbers in [0, 1), e.g. ``random.Random(seed).random``. Injected: two clients of one server that wait
        alike would come back at one moment.
    """

    def __init__(self, settings: ReconnectSettings, uniform: Callable[[], float]) -> None:
        self._settings = settings
        self._uniform = uniform
        self.failures = 0
        """Attempts that failed since the last that did not."""

    @property
    def ceiling(self) -> float:
        """The longest that the next wait may be, in seconds."""
        settings, ceiling = self._settings, self._settings.base_s
        for _ in range(self.failures - 1):
            if ceiling >= settings.cap_s:
                break
            ceiling *= settings.factor
        return min(ceiling, settings.cap_s)

    def fail(self) -> float:
        """Count a failure and return how many seconds to wait before the next attempt."""
        self.failures += 1
        return self._uniform() * self.ceiling

    def succeed(self) -> None:
        """Forget the failures."""
        self.failures = 0
