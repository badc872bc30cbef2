"""What was traded."""

from __future__ import annotations

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


@feature(
    "volume_ratio",
    inputs=("volume",),
    parameters={"n": lookback(20)},
    outputs=(Output(low=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="V / SMA(V, n), this bar included; a zero mean gives NaN",
)
def volume_ratio(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Volume in units of its average."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        mean = _mean(state[start : start + n])
        if mean > 0.0:
            outputs[0] = inputs[0] / mean


@feature(
    "obv",
    inputs=("close", "volume"),
    outputs=(Output(unit="volume"),),
    state_size=lambda _: 3,
    formula="sum of sign(C_t - C_{t-1}) V_t, from the first bar's volume on",
    reference="Granville 1963",
)
def obv(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """On-balance volume; only its changes mean something."""
    if state[0] == 0.0 or inputs[0] > state[1]:
        state[2] += inputs[1]
    elif inputs[0] < state[1]:
        state[2] -= inputs[1]
    state[0] = 1.0
    state[1] = inputs[0]
    outputs[0] = state[2]
