"""An asyncio loop whose time is not real: it passes when everybody waits, and at once."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

from fairlead.core.time import NS_PER_SECOND

_ROUND_S = 1e-6
BEGIN_NS = 1_800_000_000 * NS_PER_SECOND


class _Skipping(selectors.DefaultSelector):
    """Asks the system without waiting, and lets the time pass that would have been waited."""

    def __init__(self, passes):
        super().__init__()
        self._passes = passes

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("everybody waits, and for nothing that will ever happen")
        # A round takes a moment, as everywhere: who waits for less than a clock can tell would wait for ever.
        self._passes(_ROUND_S if found else max(timeout, _ROUND_S))
        return found


class VirtualTime:
    """Runs coroutines in loops of its own; `now_ns` and `monotonic` are their time, which goes on from one to the next."""

    def __init__(self, begin_ns: int = BEGIN_NS) -> None:
        self._now_s, self._begin_ns = 0.0, begin_ns

    def monotonic(self) -> float:
        return self._now_s

    def now_ns(self) -> int:
        return self._begin_ns + round(self._now_s * NS_PER_SECOND)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end of a coroutine, in no time."""
        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(main)

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(_Skipping(self._pass))
        loop.time = self.monotonic  # the clock that its timers go by
        return loop

    def _pass(self, seconds: float) -> None:
        self._now_s += seconds
