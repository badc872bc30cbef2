"""Straight lines: through the window, and through returns against the benchmark's."""

from __future__ import annotations

import math

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, feature, lookback, ring_size


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


def _move(price: float, last: float) -> float:
    return price / last - 1.0 if price > 0.0 and last > 0.0 else math.nan


def _push_moves(state: FloatArray, n: int, price: float, other: float) -> int:
    # Two last prices, then a ring of returns of each. A bar on which either has no return is in neither.
    own = _move(price, state[0])
    others = _move(other, state[1])
    state[0] = price
    state[1] = other
    if own - own != 0.0 or others - others != 0.0:  # NaN or infinite
        return 0
    _push(state[4 + 2 * n :], n, others)
    start = _push(state[2:], n, own)
    return 2 + start if start > 0 else 0


def _products(own: FloatArray, others: FloatArray) -> tuple[float, float, float, float]:
    # Sums of products of the deviations, in units of the largest one of each: own with others, own, others; and the ratio
    # of those units. All zero where either is constant.
    mean, rest, peak = _spread(own)
    mean_2, rest_2, peak_2 = _spread(others)
    both = first = second = 0.0
    if peak == 0.0 or peak_2 == 0.0:
        return both, first, second, 0.0
    for i in range(len(own)):
        z = (own[i] - mean - rest) / peak
        z_2 = (others[i] - mean_2 - rest_2) / peak_2
        both += z * z_2
        first += z * z
        second += z_2 * z_2
    return both, first, second, peak / peak_2


@feature(
    "correlation",
    inputs=("close", "benchmark"),
    parameters={"n": lookback(60, ge=2, doc="One-bar returns in the window.")},
    outputs=(Output(low=-1.0, high=1.0),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: 2 + 2 * ring_size(p["n"]),
    formula="cov(r, b) / (std(r) std(b)) over n one-bar simple returns of close and benchmark; 0 where either deviation is "
    "zero; a bar on which either has no return is left out",
)
def correlation(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Pearson correlation of returns with the benchmark's."""
    n = int(params[0])
    start = _push_moves(state, n, inputs[0], inputs[1])
    if start > 0:
        second = start + 2 * n + 2
        both, own, others, _ = _products(state[start : start + n], state[second : second + n])
        outputs[0] = max(-1.0, min(1.0, both / math.sqrt(own * others))) if own > 0.0 else 0.0


@feature(
    "beta",
    inputs=("close", "benchmark"),
    parameters={"n": lookback(60, ge=2, doc="One-bar returns in the window.")},
    outputs=(Output(),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: 2 + 2 * ring_size(p["n"]),
    formula="cov(r, b) / var(b) over n one-bar simple returns of close and benchmark; 0 where var(b) is zero, the least of all "
    "slopes that fit then; a bar on which either has no return is left out",
    reference="Sharpe 1964, Journal of Finance 19",
)
def beta(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Slope of returns on the benchmark's."""
    n = int(params[0])
    start = _push_moves(state, n, inputs[0], inputs[1])
    if start > 0:
        second = start + 2 * n + 2
        both, _, others, ratio = _products(state[start : start + n], state[second : second + n])
        outputs[0] = both / others * ratio if others > 0.0 else 0.0


@feature(
    "linear_regression",
    parameters={"n": lookback(14, ge=2)},
    outputs=(Output("value", unit="price"), Output("slope", unit="price"), Output("r_squared", 0.0, 1.0)),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="least squares of the last n closes on 1..n: value at n, slope per bar, share of the variance explained; r_squared "
    "is 0 where the deviation is zero",
)
def linear_regression(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Straight line through the last n closes."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        mean, rest, peak = _spread(state[start : start + n])
        centre = 0.5 * (n - 1)
        squares = centre * (n + 1.0) * n / 6.0
        both = own = 0.0
        for k in range(n):
            z = (state[start + k] - mean - rest) / peak if peak > 0.0 else 0.0
            both += (k - centre) * z
            own += z * z
        slope = both / squares * peak
        outputs[0] = mean + rest + slope * centre
        outputs[1] = slope
        outputs[2] = min(1.0, both * both / (squares * own)) if peak > 0.0 else 0.0
