"""Order and shape of the values in a window."""

from __future__ import annotations

import math

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, Uses, feature, lookback, ring_size
from fairlead.sdk.parameters import Parameter


def _push(ring: FloatArray, n: int, value: float) -> int:
    # Every value is written twice, n apart, so that the window always lies in one piece, oldest first. Returns where it
    # starts, 0 while it is not full. It stands in each family because numba's disk cache watches the file of a kernel alone.
    slot = int(ring[1])
    ring[2 + slot] = value
    ring[2 + n + slot] = value
    slot += 1
    ring[1] = slot if slot < n else 0
    if ring[0] < n:
        ring[0] += 1
    return 2 + slot if ring[0] >= n else 0


def _mean(window: FloatArray) -> float:
    # Deviations from the first value: a constant window has exactly that mean, and large levels do not cancel. Four sums side
    # by side, because one addition would have to wait for the other.
    n = len(window)
    first = window[0]
    a = b = c = d = 0.0
    for i in range(0, n - 3, 4):
        a += window[i] - first
        b += window[i + 1] - first
        c += window[i + 2] - first
        d += window[i + 3] - first
    for i in range(n - n % 4, n):
        a += window[i] - first
    return float(first + ((a + b) + (c + d)) / n)


def _spread(window: FloatArray) -> tuple[float, float, float]:
    # The mean, what its rounding left out, and the largest deviation from their sum: zero for a constant window and for no
    # other. In units of that deviation no power of another one overflows or vanishes.
    mean = _mean(window)
    rest = 0.0
    for value in window:
        rest += value - mean
    rest /= len(window)
    peak = 0.0
    for value in window:
        peak = max(peak, abs(value - mean - rest))
    return mean, rest, peak


def _skew(window: FloatArray) -> float:
    mean, rest, peak = _spread(window)
    if peak == 0.0:
        return 0.0
    n = float(len(window))
    second = third = 0.0
    for value in window:
        z = (value - mean - rest) / peak
        second += z * z
        third += z * z * z
    return n * math.sqrt(n - 1.0) / (n - 2.0) * third / (second * math.sqrt(second))


def _kurtosis(window: FloatArray) -> float:
    mean, rest, peak = _spread(window)
    if peak == 0.0:
        return 0.0
    n = float(len(window))
    second = fourth = 0.0
    for value in window:
        z = (value - mean - rest) / peak
        second += z * z
        fourth += z * z * z * z
    scale = (n - 1.0) / ((n - 2.0) * (n - 3.0))
    return max(-6.0, scale * (n * (n + 1.0) * fourth / (second * second) - 3.0 * (n - 1.0)))


def _insert(state: FloatArray, n: int, value: float) -> int:
    # A ring, then its values in order. Returns how many there are.
    count = int(state[0])
    ordered = state[2 * n + 2 :]
    if count == n:
        oldest = state[2 + int(state[1])]
        i = 0
        while ordered[i] != oldest:
            i += 1
        count -= 1
        for k in range(i, count):
            ordered[k] = ordered[k + 1]
    i = count
    while i > 0 and ordered[i - 1] > value:
        ordered[i] = ordered[i - 1]
        i -= 1
    ordered[i] = value
    _push(state, n, value)
    return count + 1


@feature(
    "rolling_rank",
    parameters={"n": lookback(20, ge=2)},
    outputs=(Output(low=0.0, high=1.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="(count(P_i < P_t) + count(P_i = P_t) / 2) / (n - 1) over the n - 1 closes before this one",
)
def rolling_rank(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Share of the other closes in the window that this one is above; ties count half."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        halves = -1.0  # the close itself is a tie
        for value in state[start : start + n]:
            if value < inputs[0]:
                halves += 2.0
            elif value == inputs[0]:
                halves += 1.0
        outputs[0] = 0.5 * halves / (n - 1)


@feature(
    "rolling_median",
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]) + p["n"],
    formula="median of the last n closes; the mean of the middle two if n is even",
)
def rolling_median(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Close in the middle of the window."""
    n = int(params[0])
    if _insert(state, n, inputs[0]) == n:
        lower = state[2 * n + 2 + (n - 1) // 2]
        outputs[0] = lower + 0.5 * (state[2 * n + 2 + n // 2] - lower)


@feature(
    "rolling_quantile",
    parameters={"n": lookback(20), "q": Parameter(0.5, ge=0, le=1, doc="Share of the closes that lie below.")},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]) + p["n"],
    formula="the value at position q (n - 1) of the last n closes in order, linear between neighbours",
    reference="Hyndman and Fan 1996, The American Statistician 50, definition 7",
)
def rolling_quantile(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Close that a given share of the window lies below."""
    n = int(params[0])
    if _insert(state, n, inputs[0]) == n:
        position = params[1] * (n - 1)
        below = int(position)
        lower = state[2 * n + 2 + below]
        upper = state[2 * n + 2 + min(below + 1, n - 1)]
        outputs[0] = lower + (position - below) * (upper - lower)


@feature(
    "rolling_skew",
    parameters={"n": lookback(20, ge=3)},
    outputs=(Output(),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="n sqrt(n-1) / (n-2) sum d^3 / (sum d^2)^1.5 with d = P - mean(P, n); 0 where the deviation is zero",
    reference="Joanes and Gill 1998, The Statistician 47, G1",
)
def rolling_skew(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Skewness of the last n closes (adjusted Fisher-Pearson)."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        outputs[0] = _skew(state[start : start + n])


@feature(
    "rolling_kurtosis",
    parameters={"n": lookback(20, ge=4)},
    outputs=(Output(low=-6.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="(n-1) / ((n-2) (n-3)) (n (n+1) sum d^4 / (sum d^2)^2 - 3 (n-1)) with d = P - mean(P, n); 0 where the deviation "
    "is zero",
    reference="Joanes and Gill 1998, The Statistician 47, G2",
)
def rolling_kurtosis(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Excess kurtosis of the last n closes; 0 for the normal distribution."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        outputs[0] = _kurtosis(state[start : start + n])


@feature(
    "return_skew",
    inputs=(Uses("log_return"),),
    parameters={"n": lookback(60, ge=3)},
    outputs=(Output(),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="as rolling_skew, of ln(P_t / P_{t-1})",
    reference="Joanes and Gill 1998, The Statistician 47, G1",
)
def return_skew(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Skewness of the last n log returns."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        outputs[0] = _skew(state[start : start + n])


@feature(
    "return_kurtosis",
    inputs=(Uses("log_return"),),
    parameters={"n": lookback(60, ge=4)},
    outputs=(Output(low=-6.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="as rolling_kurtosis, of ln(P_t / P_{t-1})",
    reference="Joanes and Gill 1998, The Statistician 47, G2",
)
def return_kurtosis(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Excess kurtosis of the last n log returns."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        outputs[0] = _kurtosis(state[start : start + n])
