"""Oscillators and standardised moves."""

from __future__ import annotations

import math
from typing import Final

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, Uses, feature, lookback, ring_size

# Equal prices in other units, as after a dividend, deviate from their mean in the last bits; that is no deviation.
_ROUNDING: Final = 1e-12


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


def _squares(window: FloatArray, mean: float) -> float:
    # The second pass around the mean, with the correction for the mean's own rounding (Chan, Golub and LeVeque 1983).
    n = len(window)
    a = b = rest = more = 0.0
    for i in range(0, n - 1, 2):
        left = window[i] - mean
        right = window[i + 1] - mean
        a += left * left
        b += right * right
        rest += left
        more += right
    if n % 2 == 1:
        left = window[n - 1] - mean
        a += left * left
        rest += left
    rest += more
    return max(0.0, a + b - rest * rest / n)


@feature(
    "rsi",
    parameters={"n": lookback(14, doc="Changes in Wilder's average.")},
    outputs=(Output(low=0.0, high=100.0),),
    warm_up=lambda p: p["n"],
    state_size=lambda _: 4,
    formula="100 - 100 / (1 + RMA(gain) / RMA(loss)), each seeded with the mean of the first n; loss 0 and gain > 0 gives 100, "
    "both 0 gives 50",
    reference="Wilder 1978, New Concepts in Technical Trading Systems",
)
def rsi(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Relative strength index."""
    if state[0] > 0.0:
        change = inputs[0] - state[1]
        share = 1.0 / min(state[0], params[0])
        state[2] += (max(change, 0.0) - state[2]) * share
        state[3] += (max(-change, 0.0) - state[3]) * share
        if state[0] >= params[0]:
            # 100 (G / (G + L)) is 100 - 100 / (1 + G / L) with one division.
            both = state[2] + state[3]
            outputs[0] = 100.0 * (state[2] / both) if both > 0.0 else 50.0
    state[0] += 1.0
    state[1] = inputs[0]


@feature(
    "stochastic",
    inputs=("high", "low", "close"),
    parameters={
        "n": lookback(14, doc="Bars of the range."),
        "n_k": lookback(3, doc="Bars that smooth %K."),
        "n_d": lookback(3, doc="Bars that smooth %D."),
    },
    outputs=(Output("k", 0.0, 100.0), Output("d", 0.0, 100.0)),
    warm_up=lambda p: p["n"] + p["n_k"] + p["n_d"] - 3,
    state_size=lambda p: 2 * ring_size(p["n"]) + ring_size(p["n_k"]) + ring_size(p["n_d"]),
    formula="k = SMA(100 (C - min(L, n)) / (max(H, n) - min(L, n)), n_k), 50 where the range is zero; d = SMA(k, n_d)",
    reference="Lane 1984",
)
def stochastic(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Slow stochastic oscillator."""
    n = int(params[0])
    n_k = int(params[1])
    n_d = int(params[2])
    lows = state[2 * n + 2 :]
    raw = lows[2 * n + 2 :]
    smooth = raw[2 * n_k + 2 :]
    start = _push(state, n, inputs[0])
    _push(lows, n, inputs[1])
    if start == 0:
        return
    highest = state[start]
    lowest = lows[start]
    for i in range(start, start + n):
        highest = max(highest, state[i])
        lowest = min(lowest, lows[i])
    value = 100.0 * (inputs[2] - lowest) / (highest - lowest) if highest > lowest else 50.0
    start = _push(raw, n_k, value)
    if start == 0:
        return
    k = min(100.0, max(0.0, _mean(raw[start : start + n_k])))
    start = _push(smooth, n_d, k)
    if start > 0:
        outputs[0] = k
        outputs[1] = min(100.0, max(0.0, _mean(smooth[start : start + n_d])))


@feature(
    "williams_r",
    inputs=("high", "low", "close"),
    parameters={"n": lookback(14)},
    outputs=(Output(low=-100.0, high=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: 2 * ring_size(p["n"]),
    formula="-100 (max(H, n) - C) / (max(H, n) - min(L, n)); -50 where the range is zero",
    reference="Williams 1973, How I Made One Million Dollars Last Year Trading Commodities",
)
def williams_r(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Distance of the close from the highest high, as a share of the range."""
    n = int(params[0])
    lows = state[2 * n + 2 :]
    start = _push(state, n, inputs[0])
    _push(lows, n, inputs[1])
    if start > 0:
        highest = state[start]
        lowest = lows[start]
        for i in range(start, start + n):
            highest = max(highest, state[i])
            lowest = min(lowest, lows[i])
        below = (highest - inputs[2]) / (highest - lowest) if highest > lowest else 0.5
        outputs[0] = -100.0 * min(1.0, max(0.0, below))


@feature(
    "cci",
    inputs=("high", "low", "close"),
    parameters={"n": lookback(20, ge=2)},
    outputs=(Output(),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="(T - SMA(T, n)) / (0.015 mean|T - SMA(T, n)|) with T = (H + L + C) / 3; 0 where the deviation is zero",
    reference="Lambert 1980, Commodities",
)
def cci(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Commodity channel index."""
    n = int(params[0])
    typical = (inputs[0] + inputs[1] + inputs[2]) / 3.0
    start = _push(state, n, typical)
    if start > 0:
        mean = _mean(state[start : start + n])
        total = 0.0
        for value in state[start : start + n]:
            total += abs(value - mean)
        outputs[0] = (typical - mean) / (0.015 * total / n) if total > 0.0 else 0.0


@feature(
    "zscore",
    parameters={"n": lookback(20, ge=2)},
    outputs=(Output(),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="(P - mean(P, n)) / std(P, n, ddof 1); 0 where the deviation is zero",
)
def zscore(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Close in standard deviations from its mean."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        window = state[start : start + n]
        mean = _mean(window)
        deviation = math.sqrt(_squares(window, mean) / (n - 1))
        outputs[0] = (inputs[0] - mean) / deviation if deviation > _ROUNDING * abs(mean) else 0.0


@feature(
    "momentum_zscore",
    inputs=(Uses("log_return", n="n"),),
    parameters={"n": lookback(20, doc="Bars of the return."), "n_z": lookback(60, ge=2, doc="Returns to compare it with.")},
    outputs=(Output(),),
    warm_up=lambda p: p["n_z"] - 1,
    state_size=lambda p: ring_size(p["n_z"]),
    formula="(R - mean(R, n_z)) / std(R, n_z, ddof 1) with R = ln(P_t / P_{t-n}); 0 where the deviation is zero",
)
def momentum_zscore(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Return over n bars in standard deviations from its mean."""
    n = int(params[1])
    start = _push(state, n, inputs[0])
    if start > 0:
        window = state[start : start + n]
        mean = _mean(window)
        deviation = math.sqrt(_squares(window, mean) / (n - 1))
        outputs[0] = (inputs[0] - mean) / deviation if deviation > 0.0 else 0.0
