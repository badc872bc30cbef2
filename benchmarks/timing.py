"""How benchmarks take times, and what they raise where there is nothing to time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


class GateFailed(Exception):
    """The engine and the reference disagree, so there is nothing to time."""


def timed(runs: int, action: Callable[[], object]) -> dict[str, float]:
    """Return the median and the least wall time of `runs` runs, in seconds; to throw away what they return is not timed."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        kept = action()
        seconds.append(time.perf_counter() - began)
        del kept
    return {"median_s": statistics.median(seconds), "min_s": min(seconds)}
