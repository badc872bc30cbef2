"""Latency: how long an order travels before the market side knows it (domain rule 6.13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from pydantic import Field

from fairlead.contracts.settings import Settings

_NS_PER_MS: Final = 1e6
_BATCH: Final = 1024


class LatencySettings(Settings):
    """Delay between decision and arrival: max(0, N(mean, std)).

    Parameters
    ----------
    mean_ms, std_ms : float
        In milliseconds.
    """

    mean_ms: float = Field(default=10.0, ge=0, le=600_000)
    std_ms: float = Field(default=5.0, ge=0, le=600_000)


class Latency:
    """Draws the delay of each order from its strategy's own stream, so that no strategy changes the delays of another.

    Parameters
    ----------
    settings : LatencySettings
    stream : callable
        Returns the seeded generator of a strategy, by name.
    """

    __slots__ = ("_drawn", "_settings", "_stream", "_streams")

    def __init__(self, settings: LatencySettings, stream: Callable[[str], np.random.Generator]) -> None:
        self._settings = settings
        self._stream = stream
        self._streams: dict[str, np.random.Generator] = {}
        self._drawn: dict[str, list[int]] = {}

    def draw_ns(self, strategy: str) -> int:
        """Return the next delay of an order of `strategy` in nanoseconds, at least 0."""
        drawn = self._drawn.get(strategy)
        if not drawn:
            if strategy not in self._streams:
                self._streams[strategy] = self._stream(strategy)
            delays = self._streams[strategy].normal(self._settings.mean_ms, self._settings.std_ms, _BATCH)
            drawn = self._drawn[strategy] = (np.maximum(delays, 0.0) * _NS_PER_MS).astype(np.int64)[::-1].tolist()
        return drawn.pop()
