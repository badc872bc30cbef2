"""Latency: how long an order, a cancel or a replacement travels before the market side knows it (domain rule 6.13)."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np
from pydantic import Field

from fairlead.contracts.settings import Settings

_NS_PER_MS: Final = 1e6
_BATCH: Final = 1024


class LatencyKind(StrEnum):
    """What travels."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    REPLACE = "replace"


_SUBMIT: Final = LatencyKind.SUBMIT


class DelaySettings(Settings):
    """A delay: max(0, N(mean, std)).

    Parameters
    ----------
    mean_ms, std_ms : float
        In milliseconds. Without a spread nothing is drawn.
    """

    mean_ms: float = Field(default=10.0, ge=0, le=600_000)
    std_ms: float = Field(default=5.0, ge=0, le=600_000)


class LatencySettings(DelaySettings):
    """Delay between decision and arrival: max(0, N(mean, std)).

    Parameters
    ----------
    mean_ms, std_ms : float
        Of a new order, in milliseconds.
    cancel, replace : DelaySettings, optional
        Of a cancel and of a replacement; None for that of a new order.
    """

    cancel: DelaySettings | None = None
    replace: DelaySettings | None = None

    def of(self, kind: LatencyKind) -> DelaySettings:
        """Return the delay of one kind."""
        own = {LatencyKind.CANCEL: self.cancel, LatencyKind.REPLACE: self.replace}.get(kind)
        return self if own is None else own


class Latency:
    """Draws each delay from a stream of its strategy and kind, so that nothing changes the delays of anything else.

    Parameters
    ----------
    settings : LatencySettings
    stream : callable
        Returns the seeded generator of a name: the strategy's for new orders, ``{strategy}|{kind}`` for the other kinds.
    """

    __slots__ = ("_drawn", "_settings", "_stream", "_streams")

    def __init__(self, settings: LatencySettings, stream: Callable[[str], np.random.Generator]) -> None:
        self._settings = settings
        self._stream = stream
        self._streams: dict[str, np.random.Generator] = {}
        self._drawn: dict[LatencyKind, dict[str, list[int]]] = {kind: {} for kind in LatencyKind}

    def draw_ns(self, strategy: str, kind: LatencyKind = _SUBMIT) -> int:
        """Return the next delay of one kind of `strategy` in nanoseconds, at least 0."""
        drawn = self._drawn[kind].get(strategy)
        if not drawn:
            drawn = self._drawn[kind][strategy] = self._draw(strategy, kind)
        return drawn.pop()

    def _draw(self, strategy: str, kind: LatencyKind) -> list[int]:
        delay = self._settings.of(kind)
        if delay.std_ms == 0.0:
            return [int(delay.mean_ms * _NS_PER_MS)] * _BATCH
        # No strategy's name has a bar in it: the streams cannot meet.
        name = strategy if kind is _SUBMIT else f"{strategy}|{kind}"
        if name not in self._streams:
            self._streams[name] = self._stream(name)
        delays = self._streams[name].normal(delay.mean_ms, delay.std_ms, _BATCH)
        drawn: list[int] = (np.maximum(delays, 0.0) * _NS_PER_MS).astype(np.int64)[::-1].tolist()
        return drawn
