"""Names for the array types that cross module borders."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
DayArray: TypeAlias = NDArray[np.int32]
BoolArray: TypeAlias = NDArray[np.bool_]


class FloatCells(Protocol):
    """Numbers of a table, read one at a time: a `memoryview` hands out a float in half the time an array needs."""

    def __getitem__(self, at: tuple[int, int], /) -> float:
        """Return the number in a row and column, both from 0."""


class IntCells(Protocol):
    """Whole numbers of a column, read one at a time; see `FloatCells`."""

    def __getitem__(self, at: int, /) -> int:
        """Return the number in a row, from 0."""
