"""How much prices move: ranges, deviations and the bands built on them."""

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
    "true_range",
    inputs=("high", "low", "close"),
    outputs=(Output(low=0.0, unit="price"),),
    warm_up=lambda _: 1,
    state_size=lambda _: 2,
    formula="max(H - L, |H - C_{t-1}|, |L - C_{t-1}|)",
    reference="Wilder 1978, New Concepts in Technical Trading Systems",
)
def true_range(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Measure the range of the bar with the way from the last close."""
    high, low, last = inputs[0], inputs[1], state[1]
    if state[0] > 0.0:
        outputs[0] = max(high - low, abs(high - last), abs(low - last))
    state[0] = 1.0
    state[1] = inputs[2]


@feature(
    "atr",
    inputs=(Uses("true_range"),),
    parameters={"n": lookback(14)},
    outputs=(Output(low=0.0, unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda _: 2,
    formula="A_t = A_{t-1} + (TR_t - A_{t-1}) / n, seeded with the mean of the first n true ranges",
    reference="Wilder 1978, New Concepts in Technical Trading Systems",
)
def atr(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Average true range (Wilder)."""
    state[0] = min(state[0] + 1.0, params[0])
    state[1] += (inputs[0] - state[1]) / state[0]
    if state[0] >= params[0]:
        outputs[0] = max(0.0, state[1])


@feature(
    "volatility",
    inputs=(Uses("log_return"),),
    parameters={"n": lookback(20, ge=2), "periods": Parameter(252.0, gt=0, doc="Bars in a year.")},
    outputs=(Output(low=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="std(ln(P_t / P_{t-1}), n, ddof 1) sqrt(periods)",
    reference="Hull, Options, Futures, and Other Derivatives, estimating volatility from historical data",
)
def volatility(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Volatility of closes, annualised."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        window = state[start : start + n]
        outputs[0] = math.sqrt(_squares(window, _mean(window)) / (n - 1) * params[1])


@feature(
    "realised_variance",
    inputs=(Uses("log_return"),),
    parameters={"n": lookback(20)},
    outputs=(Output(low=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="sum(ln(P_t / P_{t-1})^2, n)",
    reference="Andersen, Bollerslev, Diebold and Labys 2003, Econometrica 71",
)
def realised_variance(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Sum of the last n squared log returns."""
    n = int(params[0])
    start = _push(state, n, inputs[0] * inputs[0])
    if start > 0:
        outputs[0] = max(0.0, n * _mean(state[start : start + n]))


@feature(
    "realised_volatility",
    inputs=(Uses("realised_variance", n="n"),),
    parameters={"n": lookback(21), "periods": Parameter(252.0, gt=0, doc="Bars in a year.")},
    outputs=(Output(low=0.0),),
    formula="sqrt(sum(ln(P_t / P_{t-1})^2, n) periods / n): the mean is taken to be zero",
    reference="Andersen, Bollerslev, Diebold and Labys 2003, Econometrica 71",
)
def realised_volatility(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Volatility from squared returns, annualised."""
    outputs[0] = math.sqrt(inputs[0] * params[1] / params[0])


@feature(
    "parkinson",
    inputs=("high", "low"),
    parameters={"n": lookback(20), "periods": Parameter(252.0, gt=0, doc="Bars in a year.")},
    outputs=(Output(low=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="sqrt(mean(ln(H/L)^2, n) / (4 ln 2) periods); a bar with a non-positive price is left out",
    reference="Parkinson 1980, Journal of Business 53",
)
def parkinson(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Volatility from the range of the bar, annualised."""
    if inputs[0] <= 0.0 or inputs[1] <= 0.0:
        return
    n = int(params[0])
    spread = math.log(inputs[0] / inputs[1])
    start = _push(state, n, spread * spread)
    if start > 0:
        outputs[0] = math.sqrt(max(0.0, _mean(state[start : start + n])) / (4.0 * math.log(2.0)) * params[1])


@feature(
    "garman_klass",
    inputs=("open", "high", "low", "close"),
    parameters={"n": lookback(20), "periods": Parameter(252.0, gt=0, doc="Bars in a year.")},
    outputs=(Output(low=0.0),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="sqrt(mean(ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2, n) periods); a bar with a non-positive price is left out",
    reference="Garman and Klass 1980, Journal of Business 53",
)
def garman_klass(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Volatility from open, high, low and close, annualised."""
    if inputs[0] <= 0.0 or inputs[1] <= 0.0 or inputs[2] <= 0.0 or inputs[3] <= 0.0:
        return
    n = int(params[0])
    spread = math.log(inputs[1] / inputs[2])
    body = math.log(inputs[3] / inputs[0])
    start = _push(state, n, 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * body * body)
    if start > 0:
        outputs[0] = math.sqrt(max(0.0, _mean(state[start : start + n])) * params[1])


@feature(
    "rolling_std",
    parameters={"n": lookback(20, ge=2)},
    outputs=(Output(low=0.0, unit="price"),),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="std(P, n, ddof 1)",
)
def rolling_std(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Measure the spread of the last n closes."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        window = state[start : start + n]
        outputs[0] = math.sqrt(_squares(window, _mean(window)) / (n - 1))


@feature(
    "bollinger",
    parameters={"n": lookback(20, ge=2), "width": Parameter(2.0, gt=0, doc="Standard deviations to each side.")},
    outputs=(Output("middle", unit="price"), Output("upper", unit="price"), Output("lower", unit="price"), Output("percent_b")),
    warm_up=lambda p: p["n"] - 1,
    state_size=lambda p: ring_size(p["n"]),
    formula="middle = SMA(n); upper, lower = middle +- width std(P, n, ddof 0); percent_b = (P - lower) / (upper - lower), "
    "0.5 where the width is zero",
    reference="Bollinger 2002, Bollinger on Bollinger Bands",
)
def bollinger(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Bollinger bands."""
    n = int(params[0])
    start = _push(state, n, inputs[0])
    if start > 0:
        window = state[start : start + n]
        mean = _mean(window)
        reach = params[1] * math.sqrt(_squares(window, mean) / n)
        outputs[0] = mean
        outputs[1] = mean + reach
        outputs[2] = mean - reach
        # Not the rounded bands: around a large level they would lose the digits that matter.
        outputs[3] = 0.5 + 0.5 * (inputs[0] - mean) / reach if reach > 0.0 else 0.5


@feature(
    "keltner",
    inputs=(Uses("ema", n="n"), Uses("atr", n="n_atr")),
    parameters={
        "n": lookback(20, doc="Bars of the average."),
        "n_atr": lookback(10, doc="Bars of the ATR."),
        "width": Parameter(2.0, gt=0, doc="ATRs to each side."),
    },
    outputs=(Output("middle", unit="price"), Output("upper", unit="price"), Output("lower", unit="price")),
    formula="middle = EMA(n); upper, lower = middle +- width ATR(n_atr)",
    reference="Keltner 1960, How to Make Money in Commodities; the width of average true ranges is Raschke's",
)
def keltner(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Keltner channel."""
    outputs[0] = inputs[0]
    outputs[1] = inputs[0] + params[2] * inputs[1]
    outputs[2] = inputs[0] - params[2] * inputs[1]
