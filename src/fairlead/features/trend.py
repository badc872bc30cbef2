"""Averages, channels and trend strength."""

from __future__ import annotations

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, Uses, feature, lookback, ring_size


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
    "sma",
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="mean of the last n closes",
    reference="Murphy 1999, Technical Analysis of the Financial Markets",
)
def sma(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Average the last n closes, each with the same weight."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        outputs[0] = _mean(state[start : start + n])


@feature(
    "ema",
    parameters={"n": lookback(20, doc="Bars of the seed; alpha = 2 / (n + 1).")},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda _: 2,
    formula="E_t = E_{t-1} + 2/(n+1) (P_t - E_{t-1}), seeded with the mean of the first n",
    reference="Brown 1963, Smoothing, Forecasting and Prediction of Discrete Time Series",
)
def ema(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Exponential moving average."""
    state[0] += 1.0
    # A running mean over the first n bars is the seed.
    share = 1.0 / state[0] if state[0] <= params[0] else 2.0 / (params[0] + 1.0)
    state[1] += (inputs[0] - state[1]) * share
    if state[0] >= params[0]:
        outputs[0] = state[1]


@feature(
    "wma",
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="sum(k P_{t-n+k}, k = 1..n) / (n (n+1) / 2)",
    reference="Murphy 1999, Technical Analysis of the Financial Markets",
)
def wma(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Linearly weighted moving average; the last close weighs most."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        first = state[start]
        total = 0.0
        for k in range(n):
            total += (k + 1.0) * (state[start + k] - first)
        outputs[0] = first + total / (0.5 * n * (n + 1.0))


@feature(
    "macd",
    inputs=(Uses("ema", n="n_fast"), Uses("ema", n="n_slow")),
    parameters={"n_fast": lookback(12), "n_slow": lookback(26), "n_signal": lookback(9)},
    outputs=(Output("macd", unit="price"), Output("signal", unit="price"), Output("histogram", unit="price")),
    warm_up=lambda p: p["n_signal"] - 1,
    state_size=lambda _: 2,
    formula="macd = EMA(n_fast) - EMA(n_slow); signal = EMA(n_signal) of it; histogram = macd - signal; all begin together",
    reference="Appel 1979",
)
def macd(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Compare a fast with a slow average, and their difference with its own average."""
    line = inputs[0] - inputs[1]
    state[0] += 1.0
    share = 1.0 / state[0] if state[0] <= params[2] else 2.0 / (params[2] + 1.0)
    state[1] += (line - state[1]) * share
    if state[0] >= params[2]:
        outputs[0] = line
        outputs[1] = state[1]
        outputs[2] = line - state[1]


@feature(
    "rolling_min",
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="min of the last n closes",
)
def rolling_min(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Lowest close of the window."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        lowest = state[start]
        for value in state[start : start + n]:
            lowest = min(lowest, value)
        outputs[0] = lowest


@feature(
    "rolling_max",
    parameters={"n": lookback(20)},
    outputs=(Output(unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="max of the last n closes",
)
def rolling_max(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Highest close of the window."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        highest = state[start]
        for value in state[start : start + n]:
            highest = max(highest, value)
        outputs[0] = highest


@feature(
    "donchian",
    inputs=("high", "low"),
    parameters={"n": lookback(20)},
    outputs=(Output("upper", unit="price"), Output("middle", unit="price"), Output("lower", unit="price")),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: 2 * ring_size(p["n"]),
    formula="upper = max(H, n); lower = min(L, n); middle = their mean; the current bar is in the window",
    reference="Donchian 1960, Commodities: High Finance in Copper, Financial Analysts Journal 16",
)
def donchian(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Channel of the highest high and the lowest low."""
    n = int(params[0])
    highs = state[: 2 * n + 2]
    lows = state[2 * n + 2 :]
    start = _push(highs, n, inputs[0])
    _push(lows, n, inputs[1])
    if start > 0:
        highest = highs[start]
        lowest = lows[start]
        for k in range(start, start + n):
            highest = max(highest, highs[k])
            lowest = min(lowest, lows[k])
        outputs[0] = highest
        outputs[1] = lowest + 0.5 * (highest - lowest)
        outputs[2] = lowest


@feature(
    "efficiency_ratio",
    parameters={"n": lookback(10)},
    outputs=(Output(low=0.0, high=1.0),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: ring_size(p["n"] + 1),
    formula="|P_t - P_{t-n}| / sum(|P_i - P_{i-1}|, n); 0 where nothing moved",
    reference="Kaufman 1995, Smarter Trading",
)
def efficiency_ratio(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Way as the crow flies in units of the way that was gone."""
    n = int(params[0])
    start = _push(state, n + 1, inputs[0])
    if start > 0:
        way = 0.0
        for i in range(start, start + n):
            way += abs(state[i + 1] - state[i])
        outputs[0] = min(1.0, abs(inputs[0] - state[start]) / way) if way > 0.0 else 0.0


@feature(
    "adx",
    inputs=("high", "low", "close"),
    parameters={"n": lookback(14, ge=2)},
    outputs=(
        Output("adx", 0.0, 100.0),
        Output("plus_di", 0.0, 100.0),
        Output("minus_di", 0.0, 100.0),
    ),
    warm_up=lambda p: 2 * p["n"] - 1,
    state_size=lambda _: 9,
    formula="DI = 100 RMA(DM) / RMA(TR); DX = 100 |DI+ - DI-| / (DI+ + DI-); adx = RMA(DX); each seeded with the mean of its "
    "first n; 0/0 = 0",
    reference="Wilder 1978, New Concepts in Technical Trading Systems",
)
def adx(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Average directional index, with both directional indicators."""
    high, low, close = inputs[0], inputs[1], inputs[2]
    # state: bars, last high, low and close, averages of true range, DM+ and DM-, count and average of DX
    if state[0] > 0.0:
        up = high - state[1]
        down = state[2] - low
        changes = min(state[0], params[0])
        state[4] += (max(high, state[3]) - min(low, state[3]) - state[4]) / changes
        state[5] += ((up if up > down and up > 0.0 else 0.0) - state[5]) / changes
        state[6] += ((down if down > up and down > 0.0 else 0.0) - state[6]) / changes
        if state[0] >= params[0]:
            plus = min(100.0, 100.0 * state[5] / state[4]) if state[4] > 0.0 else 0.0
            minus = min(100.0, 100.0 * state[6] / state[4]) if state[4] > 0.0 else 0.0
            dx = 100.0 * abs(plus - minus) / (plus + minus) if plus + minus > 0.0 else 0.0
            state[7] += 1.0
            state[8] += (dx - state[8]) / min(state[7], params[0])
            if state[7] >= params[0]:
                outputs[0] = min(100.0, max(0.0, state[8]))
                outputs[1] = plus
                outputs[2] = minus
    state[0] += 1.0
    state[1] = high
    state[2] = low
    state[3] = close
