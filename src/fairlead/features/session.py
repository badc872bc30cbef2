"""What a session has brought so far, and how long it has lasted; each begins anew when the session date changes."""

from __future__ import annotations

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, feature, lookback


def _begins(state: FloatArray, session: float) -> bool:
    # Two numbers: whether there was a bar, and its session.
    new = state[0] == 0.0 or session != state[1]
    state[0] = 1.0
    state[1] = session
    return bool(new)


@feature(
    "session_vwap",
    inputs=("high", "low", "close", "volume", "session"),
    outputs=(Output(unit="price"),),
    state_size=lambda _: 4,
    formula="sum(T V) / sum(V) since the session began, with T = (H + L + C) / 3; no volume yet gives NaN",
    reference="Berkowitz, Logue and Noser 1988, Journal of Finance 43",
)
def session_vwap(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Volume-weighted average price of the session so far."""
    if _begins(state, inputs[4]):
        state[2] = 0.0
        state[3] = 0.0
    volume = inputs[3]
    if volume > 0.0:
        state[2] += volume
        # The mean moves by its share of the way: it stays among the prices, and one price is its own mean exactly.
        state[3] += ((inputs[0] + inputs[1] + inputs[2]) / 3.0 - state[3]) * (volume / state[2])
    if state[2] > 0.0:
        outputs[0] = state[3]


@feature(
    "session_return",
    inputs=("open", "close", "session"),
    outputs=(Output(low=-1.0),),
    state_size=lambda _: 3,
    formula="C_t / O_first - 1 with the open of the session's first bar; a non-positive price gives NaN",
)
def session_return(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Return since the session opened."""
    if _begins(state, inputs[2]):
        state[2] = inputs[0]
    if state[2] > 0.0 and inputs[1] > 0.0:
        outputs[0] = inputs[1] / state[2] - 1.0


@feature(
    "time_of_day",
    inputs=("minute", "session"),
    parameters={"n": lookback(390, doc="Minutes of a whole session.")},
    outputs=(Output("minutes", low=0.0), Output("share", low=0.0)),
    state_size=lambda _: 3,
    formula="minutes = opening instant of this bar - that of the session's first bar; share = minutes / n",
)
def time_of_day(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Time since the session's first bar of the symbol."""
    if _begins(state, inputs[1]):
        state[2] = inputs[0]
    minutes = max(0.0, inputs[0] - state[2])
    outputs[0] = minutes
    outputs[1] = minutes / params[0]


@feature(
    "session_range",
    inputs=("high", "low", "close", "session"),
    outputs=(Output("high", unit="price"), Output("low", unit="price"), Output("position", 0.0, 1.0)),
    state_size=lambda _: 4,
    formula="high = max(H), low = min(L) since the session began; position = (C - low) / (high - low), 0.5 where the range is "
    "zero",
)
def session_range(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Extremes of the session so far, and where the close lies between them."""
    new = _begins(state, inputs[3])
    state[2] = inputs[0] if new else max(state[2], inputs[0])
    state[3] = inputs[1] if new else min(state[3], inputs[1])
    high, low = state[2], state[3]
    outputs[0] = high
    outputs[1] = low
    outputs[2] = min(1.0, max(0.0, (inputs[2] - low) / (high - low))) if high > low else 0.5


@feature(
    "opening_range",
    inputs=("high", "low", "minute", "session"),
    parameters={"n": lookback(30, doc="Minutes of the range, from the opening of the session's first bar.")},
    outputs=(Output("high", unit="price"), Output("low", unit="price")),
    state_size=lambda _: 5,
    formula="high = max(H), low = min(L) of the session's bars that open in its first n minutes; so far, while these last",
    reference="Crabel 1990, Day Trading with Short Term Price Patterns and Opening Range Breakout",
)
def opening_range(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:
    """Extremes of the session's first minutes."""
    if _begins(state, inputs[3]):
        state[2] = inputs[2]
        state[3] = inputs[0]
        state[4] = inputs[1]
    elif inputs[2] - state[2] < params[0]:
        state[3] = max(state[3], inputs[0])
        state[4] = min(state[4], inputs[1])
    outputs[0] = state[3]
    outputs[1] = state[4]
