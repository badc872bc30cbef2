"""The row rules on plain arrays: each returns a mask of the rows that break it. Frames and importers share them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from fairlead.contracts.sessions import Segments, find_segment, grid_labels
from fairlead.core.arrays import BoolArray, DayArray, FloatArray, IntArray
from fairlead.core.time import NS_PER_DAY

_NEVER: Final = np.iinfo(np.int64).max


def disordered(label_ns: IntArray) -> BoolArray:
    """Return the rows whose stamp lies before that of an earlier row (D04); shape (n,)."""
    mask = np.zeros(len(label_ns), np.bool_)
    mask[1:] = label_ns[1:] < np.maximum.accumulate(label_ns)[:-1]
    return mask


def repeated(label_ns: IntArray) -> BoolArray:
    """Return the rows whose stamp an earlier row has too (D05); shape (n,)."""
    mask = np.ones(len(label_ns), np.bool_)
    mask[np.unique(label_ns, return_index=True)[1]] = False
    return mask


def price_faults(
    open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, *, allow_nonpositive: bool = False
) -> dict[str, BoolArray]:
    """Return the masks of D06, D07 and D09, each of shape (n,).

    A row is blamed once for its worst fault: what is not a number (D06) is not compared for D07 and D09.
    """
    finite = np.isfinite(open_) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close)
    lowest = np.minimum(np.minimum(open_, close), np.minimum(high, low))
    highest = np.maximum(np.maximum(open_, close), np.maximum(high, low))
    faults = {"D06": ~finite}
    if not allow_nonpositive:
        faults["D07"] = finite & (lowest <= 0.0)
    faults["D09"] = finite & ((high < highest) | (low > lowest))
    return faults


def bad_volume(volume: FloatArray) -> BoolArray:
    """Return the rows whose volume is negative or not a finite number (D08); shape (n,)."""
    return ~(np.isfinite(volume) & (volume >= 0.0))


def not_session_label(label_ns: IntArray, sessions: DayArray) -> BoolArray:
    """Return the rows whose stamp is not 00:00 UTC of one of `sessions` (D11); shape (n,)."""
    days = label_ns // NS_PER_DAY
    mask: BoolArray = (label_ns % NS_PER_DAY != 0) | ~np.isin(days, sessions)
    return mask


class IntradayFaults(NamedTuple):
    """What is wrong with intraday stamps: masks of shape (n,)."""

    off_grid: BoolArray
    outside: BoolArray
    straddles: BoolArray
    overnight: BoolArray


def intraday_faults(label_ns: IntArray, length_ns: int, segments: Segments) -> IntradayFaults:
    """Return the masks of I01, I02, I04 and I05; a row outside every segment is blamed for that alone."""
    inside, position = find_segment(segments, label_ns)
    if len(segments.session) == 0:
        nothing = np.zeros(len(label_ns), np.bool_)
        return IntradayFaults(nothing, ~inside, nothing, nothing)
    close = segments.close_ns[position]
    off_grid = inside & ((label_ns - segments.open_ns[position]) % length_ns != 0)
    # On the grid only the last bar of a segment can pass its close, and that one is cut short by rule.
    straddles = off_grid & (label_ns + length_ns > close)
    next_open = np.append(segments.open_ns[1:], _NEVER)[position]
    next_session = np.append(segments.session[1:], segments.session[-1:])[position]
    overnight = straddles & (label_ns + length_ns > next_open) & (next_session != segments.session[position])
    return IntradayFaults(off_grid, ~inside, straddles, overnight)


def spacings(label_ns: IntArray, segments: Segments) -> IntArray:
    """Return the distances in nanoseconds between neighbouring stamps that lie in one segment."""
    stamps = np.unique(label_ns)
    inside, position = find_segment(segments, stamps)
    stamps, position = stamps[inside], position[inside]
    steps: IntArray = np.diff(stamps)[np.diff(position) == 0]
    return steps


def missing_labels(label_ns: IntArray, length_ns: int, segments: Segments) -> IntArray:
    """Return the labels that are absent between the first and the last present bar of each session (I06), ascending."""
    expected, session = grid_labels(segments, length_ns)
    present = np.isin(expected, label_ns)
    if not present.any():
        return expected[:0]
    days, group = np.unique(session, return_inverse=True)
    first, last = np.full(len(days), _NEVER), np.full(len(days), -1, np.int64)
    place = np.arange(len(expected))
    np.minimum.at(first, group[present], place[present])
    np.maximum.at(last, group[present], place[present])
    return expected[~present & (place > first[group]) & (place < last[group])]
