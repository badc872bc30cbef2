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


@feature(
    "vwma",
    inputs=("close", "volume"),
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: 2 * ring_size(p["n"]),
    formula="sum(P V, n) / sum(V, n); no volume in the window gives NaN",
)
def vwma(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Average the last n closes, each by its volume."""
    n = int(params[0])
    volumes = state[2 * n + 2 :]
    start = _push(state, n, inputs[0])
    _push(volumes, n, inputs[1])
    if start > 0:
        first = state[start]
        total = way = 0.0
        for i in range(start, start + n):
            volume = max(0.0, volumes[i])
            total += volume
            way += volume * (state[i] - first)
        if total > 0.0:
            outputs[0] = first + way / total


@feature(
    "mfi",
    inputs=("high", "low", "close", "volume"),
    parameters={"n": lookback(14, doc="Changes in the window.")},
    outputs=(Output(low=0.0, high=100.0),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: 2 + 2 * ring_size(p["n"]),
    formula="100 U / (U + D), U and D being the sums over n bars of T V where T = (H + L + C) / 3 rose and where it fell; 50 "
    "where both are zero",
    reference="Quong and Soudack 1989, Technical Analysis of Stocks & Commodities",
)
def mfi(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Money flow index: a relative strength index of what was paid."""
    n = int(params[0])
    typical = (inputs[0] + inputs[1] + inputs[2]) / 3.0
    flow = max(0.0, typical * inputs[3])
    known, last = state[0] > 0.0, state[1]
    state[0] = 1.0
    state[1] = typical
    if known:
        falls = state[2 + 2 * n + 2 :]
        rises = state[2:]
        start = _push(rises, n, flow if typical > last else 0.0)
        _push(falls, n, flow if typical < last else 0.0)
        if start > 0:
            up = down = 0.0
            for i in range(start, start + n):
                up += rises[i]
                down += falls[i]
            outputs[0] = 100.0 * (up / (up + down)) if up + down > 0.0 else 50.0


@feature(
    "accumulation",
    inputs=("high", "low", "close", "volume"),
    outputs=(Output(unit="volume"),),
    state_size=lambda _: 1,
    formula="sum of V ((C - L) - (H - C)) / (H - L) from the first bar on; a bar without range adds 0",
    reference="Chaikin; Achelis 2000, Technical Analysis from A to Z",
)
def accumulation(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Accumulation/distribution line; only its changes mean something."""
    high, low, close = inputs[0], inputs[1], inputs[2]
    if high > low:
        state[0] += inputs[3] * ((close - low) - (high - close)) / (high - low)
    outputs[0] = state[0]
