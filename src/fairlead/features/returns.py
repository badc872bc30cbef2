"""Returns over bars and over the night."""

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


@feature(
    "simple_return",
    parameters={"n": lookback(1)},
    outputs=(Output(low=-1.0),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: ring_size(p["n"] + 1),
    formula="P_t / P_{t-n} - 1; a non-positive price gives NaN",
    reference="Campbell, Lo and MacKinlay 1997, The Econometrics of Financial Markets",
)
def simple_return(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Return over n bars."""
    start = _push(state, int(params[0]) + 1, inputs[0])
    if start > 0 and state[start] > 0.0 and inputs[0] > 0.0:
        outputs[0] = inputs[0] / state[start] - 1.0


@feature(
    "log_return",
    parameters={"n": lookback(1)},
    outputs=(Output(),),
    warm_up=lambda p: p["n"],
    state_size=lambda p: ring_size(p["n"] + 1),
    formula="ln(P_t / P_{t-n}); a non-positive price gives NaN",
    reference="Campbell, Lo and MacKinlay 1997, The Econometrics of Financial Markets",
)
def log_return(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Logarithmic return over n bars."""
    start = _push(state, int(params[0]) + 1, inputs[0])
    if start > 0 and state[start] > 0.0 and inputs[0] > 0.0:
        # Two logarithms would be right too where the quotient is not: a tiny price after a huge one.
        quotient = inputs[0] / state[start]
        if quotient > 0.0:
            outputs[0] = math.log(quotient)


@feature(
    "momentum",
    parameters={
        "n": lookback(60, doc="Bars of the return."),
        "skip": Parameter(0, ge=0, le=100_000, doc="Most recent bars to leave out."),
    },
    outputs=(Output(low=-1.0),),
    warm_up=lambda p: p["n"] + p["skip"],
    state_size=lambda p: ring_size(p["n"] + p["skip"] + 1),
    formula="P_{t-skip} / P_{t-skip-n} - 1; a non-positive price gives NaN",
    reference="Jegadeesh and Titman 1993, Journal of Finance 48",
)
def momentum(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Return over n bars that ended skip bars ago."""
    n = int(params[0])
    start = _push(state, n + int(params[1]) + 1, inputs[0])
    if start > 0 and state[start] > 0.0 and state[start + n] > 0.0:
        outputs[0] = state[start + n] / state[start] - 1.0


@feature(
    "roc",
    inputs=(Uses("simple_return", n="n"),),
    parameters={"n": lookback(10)},
    outputs=(Output(low=-100.0),),
    formula="100 (P_t / P_{t-n} - 1)",
    reference="Murphy 1999, Technical Analysis of the Financial Markets",
)
def roc(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Rate of change over n bars, in percent."""
    outputs[0] = 100.0 * inputs[0]


@feature(
    "gap",
    inputs=("open", "close"),
    outputs=(Output(low=-1.0),),
    warm_up=lambda _: 1,
    state_size=lambda _: 2,
    formula="O_t / C_{t-1} - 1; a non-positive price gives NaN",
)
def gap(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Return from the last close to this open."""
    last = state[1]
    if state[0] > 0.0 and last > 0.0 and inputs[0] > 0.0:
        outputs[0] = inputs[0] / last - 1.0
    state[0] = 1.0
    state[1] = inputs[1]
