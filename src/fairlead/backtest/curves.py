"""Long curves made short enough to draw, without losing a peak or a trough."""

from __future__ import annotations

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray


def thin(values: FloatArray, limit: int = 3000) -> IntArray:
    """Return which of `values` to draw: at most `limit` positions, increasing.

    Each bucket keeps its lowest and highest value; the first and last point are always kept. NaN counts as neither.

    Parameters
    ----------
    values : array of shape (n,)
    limit : int
        At least 4.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    buckets = (limit - 2) // 2
    edges = np.linspace(0, count, buckets + 1).astype(np.int64)
    low = np.where(np.isnan(values), np.inf, values)
    high = np.where(np.isnan(values), -np.inf, values)
    kept = [np.array([0, count - 1], dtype=np.int64)]
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        kept.append(np.array([start + low[start:stop].argmin(), start + high[start:stop].argmax()], dtype=np.int64))
    return np.unique(np.concatenate(kept))
