"""Numbers in four bytes where that says it all: whole multiples of a power of ten, as prices on a tick grid are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fairlead.core.arrays import BoolArray, FloatArray

_SCALES: Final = tuple(10.0**digits for digits in range(7))
_TRIED: Final = 1000
_MISSING: Final = np.iinfo(np.int32).min
_LARGEST: Final = float(np.iinfo(np.int32).max)


def encode(values: FloatArray) -> tuple[np.ndarray, float | None]:
    """Return the numbers as they are stored, and what those are divided by to get them back, bit for bit.

    Returns
    -------
    stored : int32 array, or `values` itself
        Integers if every number comes back from them; NaN is one of its own.
    scale : float or None
        None where the numbers are stored as they are.
    """
    for scale in _SCALES:
        # A thousand of them tell which scale it may be, all of them whether it is.
        if _as_integers(values.reshape(-1)[:_TRIED], scale) is None:
            continue
        stored = _as_integers(values, scale)
        if stored is not None:
            return stored, scale
    return values, None


def decode(stored: np.ndarray, scale: float | None, into: FloatArray, *, gaps: bool) -> None:
    """Write the numbers that `encode` was given into an array; `gaps` says whether there may be a NaN among them."""
    if scale is None:
        np.copyto(into, stored)
        return
    np.divide(stored, scale, out=into)
    if gaps:
        np.copyto(into, np.nan, where=stored == _MISSING)


def present(stored: Any) -> BoolArray:
    """Return which of stored numbers are not NaN."""
    known: BoolArray = (stored == stored) if stored.dtype == np.float64 else (stored != _MISSING)
    return known


def _as_integers(values: FloatArray, scale: float) -> np.ndarray | None:
    missing = np.isnan(values)
    with np.errstate(over="ignore"):
        whole = np.rint(np.where(missing, 0.0, values) * scale)
    if not (np.abs(whole) <= _LARGEST).all():
        return None
    stored = whole.astype(np.int32)
    # Bit for bit: minus zero, for one, is no integer.
    if not (((stored / scale).view(np.int64) == values.view(np.int64)) | missing).all():
        return None
    stored[missing] = _MISSING
    return stored
