"""Quantiles of a stream in bounded memory, each within a stated fraction of the true one.

Values are counted in buckets whose bounds grow by a constant factor (Masson, Rim and Lee 2019, "DDSketch"): a bucket's middle
is then at most `accuracy` away, relatively, from whatever fell into it.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from fairlead.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report shows of many values, in their unit; NaN if there were none."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    def to_dict(self) -> dict[str, float]:
        """Return the same as plain data."""
        return {name: getattr(self, name) for name in ("count", "mean", "p50", "p95", "p99", "max")}


class QuantileSummary:
    """Counts positive values by size.

    Parameters
    ----------
    accuracy : float
        Largest relative error of a quantile.
    low, high : float
        Between them the error holds. Smaller and larger values are counted, and a quantile among them is the smallest or the
        largest value seen.
    """

    __slots__ = (
        "_above",
        "_below",
        "_counts",
        "_gamma",
        "_inverse_log",
        "_offset",
        "count",
        "high",
        "low",
        "max",
        "min",
        "total",
    )

    def __init__(self, accuracy: float = 0.01, low: float = 1e-6, high: float = 1e4) -> None:
        if not 0 < accuracy < 1:
            raise ConfigurationError.of("accuracy", "be in (0, 1)", accuracy)
        if not 0 < low < high < math.inf:
            raise ConfigurationError.of("low, high", "be positive, finite and rise", (low, high))
        self._gamma = (1 + accuracy) / (1 - accuracy)
        self._inverse_log = 1 / math.log(self._gamma)
        self._offset = self._index(low)
        self._counts = array("Q", bytes(8 * (self._index(high) - self._offset + 1)))
        self._below = self._above = self.count = 0
        self.low, self.high = low, high
        self.min, self.max, self.total = math.inf, -math.inf, 0.0

    @property
    def memory_bytes(self) -> int:
        """Size of the counts: fixed, however many values come."""
        return self._counts.itemsize * len(self._counts)

    def add(self, value: float) -> None:
        """Count a value; NaN is not available and is left out."""
        if value < self.low:
            self._below += 1
        elif value <= self.high:
            self._counts[math.ceil(math.log(value) * self._inverse_log) - self._offset] += 1
        elif value > self.high:
            self._above += 1
        else:
            return
        self.count += 1
        self.total += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    def merge(self, other: QuantileSummary) -> None:
        """Count what `other`, of the same accuracy and range, has counted.

        Raises
        ------
        ConfigurationError
            If it is of another.
        """
        if (other._gamma, other.low, other.high) != (self._gamma, self.low, self.high):
            raise ConfigurationError.of("summary", "have the same accuracy and range", (other.low, other.high))
        for i, count in enumerate(other._counts):
            self._counts[i] += count
        self._below += other._below
        self._above += other._above
        self.count += other.count
        self.total += other.total
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)

    def quantile(self, q: float) -> float:
        """Return the value of rank ``floor(q * (count - 1))`` in rising order, within `accuracy`; NaN if there is none.

        Raises
        ------
        ConfigurationError
            If `q` is outside [0, 1].
        """
        if not 0 <= q <= 1:
            raise ConfigurationError.of("q", "be in [0, 1]", q)
        if self.count == 0:
            return math.nan
        rank = math.floor(q * (self.count - 1)) - self._below
        if rank < 0:
            return self.min
        for i, count in enumerate(self._counts):
            rank -= count
            if rank < 0:
                middle = 2 * self._gamma ** (i + self._offset) / (self._gamma + 1)
                return min(max(middle, self.min), self.max)
        return self.max

    def summary(self) -> Summary:
        """Return count, mean, quantiles and maximum."""
        if self.count == 0:
            return Summary(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        return Summary(
            self.count, self.total / self.count, self.quantile(0.5), self.quantile(0.95), self.quantile(0.99), self.max
        )

    def _index(self, value: float) -> int:
        return math.ceil(math.log(value) * self._inverse_log)
