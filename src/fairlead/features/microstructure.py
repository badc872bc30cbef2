"""What the best bid and offer say, quote by quote and so far within a bar.

A quote counts if both prices are positive, the bid is not above the ask, and no size is negative. One that does not count gives
NaN and leaves no trace: the next quote is compared with the last one that counted. A locked quote, bid equal to ask, counts: it
is a state that consolidated books really show, and every formula here is defined on it. `ofi` and the features called ``bar_``
something hold the value of the bar so far, so that a bar's last quote that counts carries the bar's value.
"""

from __future__ import annotations

import math

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, feature

# All that look at sizes begin with these four, and read session and bar behind them.


def _counts(quote: FloatArray) -> bool:
    return bool(0.0 < quote[0] <= quote[2] and quote[1] >= 0.0 and quote[3] >= 0.0)


def _flow(last: FloatArray, now: FloatArray) -> float:
    # e_n of Cont, Kukanov and Stoikov: what was added to the bid and taken from the ask. A price that stands counts twice.
    flow = 0.0
    if now[0] >= last[0]:
        flow += now[1]
    if now[0] <= last[0]:
        flow -= last[1]
    if now[2] <= last[2]:
        flow -= now[3]
    if now[2] >= last[2]:
        flow += last[3]
    return flow


def _imbalance(bid_size: float, ask_size: float) -> float:
    depth = bid_size + ask_size
    return (bid_size - ask_size) / depth if depth > 0.0 else 0.0


def _opens(state: FloatArray, session: float, bar: float) -> int:
    # Three numbers: whether there was a quote, its session and its bar. Returns 2 for a new session, 1 for a new bar, else 0.
    new = 1 if bar != state[2] else 0
    if state[0] == 0.0 or session != state[1]:
        new = 2
    state[0] = 1.0
    state[1] = session
    state[2] = bar
    return new


@feature(
    "mid",
    inputs=("bid", "ask"),
    outputs=(Output(low=0.0, unit="price"),),
    formula="(Pb + Pa) / 2",
)
def mid(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Middle of bid and ask."""
    if 0.0 < inputs[0] <= inputs[1]:
        outputs[0] = 0.5 * (inputs[0] + inputs[1])


@feature(
    "spread",
    inputs=("bid", "ask"),
    outputs=(Output("absolute", low=0.0, unit="price"), Output("relative", 0.0, 20_000.0)),
    formula="absolute = Pa - Pb; relative = 10 000 (Pa - Pb) / mid, in basis points",
)
def spread(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Quoted spread."""
    bid, ask = inputs[0], inputs[1]
    if 0.0 < bid <= ask:
        outputs[0] = ask - bid
        outputs[1] = 10_000.0 * ((ask - bid) / (0.5 * (ask + bid)))


@feature(
    "microprice",
    inputs=("bid", "bid_size", "ask", "ask_size"),
    outputs=(Output(low=0.0, unit="price"),),
    formula="(Pb qa + Pa qb) / (qb + qa); a depth of zero gives NaN",
    reference="Stoikov 2018, Quantitative Finance 18 (there the weighted mid)",
)
def microprice(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Middle of bid and ask, drawn towards the side with less size."""
    depth = inputs[1] + inputs[3]
    if _counts(inputs) and depth > 0.0:
        # As a share of the way and not as the quotient of the formula: so it cannot round to beyond the quotes.
        outputs[0] = min(inputs[2], inputs[0] + (inputs[2] - inputs[0]) * (inputs[1] / depth))


@feature(
    "volume_imbalance",
    inputs=("bid", "bid_size", "ask", "ask_size"),
    outputs=(Output(low=-1.0, high=1.0),),
    formula="(qb - qa) / (qb + qa); 0 where the depth is zero",
)
def volume_imbalance(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Size at the bid against size at the ask."""
    if _counts(inputs):
        outputs[0] = _imbalance(inputs[1], inputs[3])


@feature(
    "ofi_event",
    inputs=("bid", "bid_size", "ask", "ask_size", "session"),
    outputs=(Output(unit="volume"),),
    warm_up=lambda _: 1,
    state_size=lambda _: 6,
    formula="e_t = [Pb_t >= Pb_{t-1}] qb_t - [Pb_t <= Pb_{t-1}] qb_{t-1} - [Pa_t <= Pa_{t-1}] qa_t + [Pa_t >= Pa_{t-1}] "
    "qa_{t-1}; NaN at the first quote of a session",
    reference="Cont, Kukanov and Stoikov 2014, Journal of Financial Econometrics 12",
)
def ofi_event(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Order flow of one change of the book: bought is positive."""
    if not _counts(inputs):
        return
    if state[0] > 0.0 and inputs[4] == state[5]:
        outputs[0] = _flow(state[1:5], inputs)
    state[0] = 1.0
    state[1:6] = inputs


@feature(
    "ofi",
    inputs=("bid", "bid_size", "ask", "ask_size", "session", "bar"),
    outputs=(Output(),),
    warm_up=lambda _: 1,
    state_size=lambda _: 11,
    formula="sum(ofi_event) / mean((qb + qa) / 2), bar so far; NaN until there is an event, and where the depth is zero",
    reference="Cont, Kukanov and Stoikov 2014, Journal of Financial Econometrics 12",
)
def ofi(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Order flow imbalance of the bar so far, in units of its mean depth."""
    if not _counts(inputs):
        return
    new = _opens(state, inputs[4], inputs[5])
    if new > 0:
        state[7:11] = 0.0
    if new < 2:  # the last quote of the bar before is a predecessor, that of the session before is none
        state[7] += _flow(state[3:7], inputs)
        state[8] += 1.0
    state[9] += 0.5 * (inputs[1] + inputs[3])
    state[10] += 1.0
    state[3:7] = inputs[0:4]
    if state[8] > 0.0 and state[9] > 0.0:
        outputs[0] = state[7] / (state[9] / state[10])


@feature(
    "bar_imbalance",
    inputs=("bid", "bid_size", "ask", "ask_size", "session", "bar"),
    outputs=(Output(low=-1.0, high=1.0),),
    state_size=lambda _: 5,
    formula="mean(volume_imbalance, bar so far), each quote once",
)
def bar_imbalance(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Mean volume imbalance of the bar so far."""
    if not _counts(inputs):
        return
    if _opens(state, inputs[4], inputs[5]) > 0:
        state[3:5] = 0.0
    state[3] += _imbalance(inputs[1], inputs[3])
    state[4] += 1.0
    outputs[0] = state[3] / state[4]


@feature(
    "bar_spread",
    inputs=("bid", "bid_size", "ask", "ask_size", "session", "bar"),
    outputs=(Output("absolute", low=0.0, unit="price"), Output("relative", 0.0, 20_000.0)),
    state_size=lambda _: 6,
    formula="means of spread's outputs, bar so far, each quote once",
)
def bar_spread(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Mean quoted spread of the bar so far."""
    if not _counts(inputs):
        return
    if _opens(state, inputs[4], inputs[5]) > 0:
        state[3:6] = 0.0
    width = inputs[2] - inputs[0]
    state[3] += width
    state[4] += width / (0.5 * (inputs[2] + inputs[0]))
    state[5] += 1.0
    outputs[0] = state[3] / state[5]
    outputs[1] = 10_000.0 * (state[4] / state[5])


@feature(
    "bar_variance",
    inputs=("bid", "bid_size", "ask", "ask_size", "session", "bar"),
    outputs=(Output(low=0.0),),
    warm_up=lambda _: 1,
    state_size=lambda _: 6,
    formula="sum(ln(mid_t / mid_{t-1})^2), bar so far, not annualised; no return leads to the first quote of a session",
    reference="Andersen, Bollerslev, Diebold and Labys 2003, Econometrica 71",
)
def bar_variance(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Realised variance of the middle, bar so far: the bars of a session add up to the session's."""
    if not _counts(inputs):
        return
    middle = 0.5 * (inputs[0] + inputs[2])
    new = _opens(state, inputs[4], inputs[5])
    if new > 0:
        state[4:6] = 0.0
    quotient = middle / state[3] if new < 2 else 0.0
    if quotient > 0.0:
        change = math.log(quotient)
        state[4] += change * change
        state[5] += 1.0
    state[3] = middle
    if state[5] > 0.0:
        outputs[0] = state[4]
