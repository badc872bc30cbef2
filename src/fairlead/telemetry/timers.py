"""Stage timers that cost nothing when they are off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class StageTimers:
    """Seconds spent per named stage.

    Parameters
    ----------
    enabled : bool
        Off, `wrap` returns the function itself: no wrapper, no cost.
    tick : callable returning int
        A monotonic counter in nanoseconds.
    """

    __slots__ = ("_enabled", "_spent", "_tick")

    def __init__(self, *, enabled: bool, tick: Callable[[], int] = time.perf_counter_ns) -> None:
        self._enabled = enabled
        self._tick = tick
        self._spent: dict[str, int] = {}

    def wrap(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function`, timed under `stage` if timers are on."""
        if not self._enabled:
            return function
        spent, tick = self._spent, self._tick
        spent.setdefault(stage, 0)

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began = tick()
            try:
                return function(*args, **kwargs)
            finally:
                spent[stage] += tick() - began

        return timed

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per stage, in the order in which stages were first wrapped; empty when off."""
        return {stage: ns / 1e9 for stage, ns in self._spent.items()}
