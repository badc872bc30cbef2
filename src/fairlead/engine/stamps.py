"""Instants of a run, kept small: between two gaps they are evenly spaced, and a few numbers say them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fairlead.core.arrays import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Ascending instants as stretches of equal steps.

    Parameters
    ----------
    first : int64 array of shape (s,)
        Where each stretch begins, in nanoseconds.
    counts : int64 array of shape (s,)
        How many instants it has.
    step : int
        Between two of a stretch, in nanoseconds.
    """

    first: IntArray
    counts: IntArray
    step: int

    @classmethod
    def of(cls, stamps: IntArray) -> Self:
        """Return those of an array, of which nothing is kept; with no regular spacing every instant is a stretch."""
        steps = np.diff(stamps)
        step = int(steps.min()) if len(steps) else 0
        begins = np.flatnonzero(steps != step) + 1
        starts = np.concatenate(([0], begins)) if len(stamps) else begins
        return cls(stamps[starts], np.diff(starts, append=len(stamps)), step)

    def array(self) -> IntArray:
        """Return the instants, int64."""
        ends = np.cumsum(self.counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - self.counts, self.counts)
        stamps: IntArray = np.repeat(self.first, self.counts) + within * self.step
        return stamps
