"""Symbols compared with each other at one instant.

`rank_of`, `zscore_of` and `sector_zscore_of` make such a feature of any other one::

    value = zscore_of("value", Uses("earnings_yield"))
    calm = rank_of("calm", Uses("volatility", n="n"), n=lookback(60))
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.features.definition import Feature, Output, Uses, feature, lookback
from fairlead.sdk.parameters import Parameter

FEWEST: Final = 10
"""Symbols below which a z-score says nothing (domain rule 9.1)."""
_REACH: Final = 3.0 * 1.4826  # three deviations, measured by the median absolute one
_TAIL: Final = 0.01


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


def _gather(inputs: FloatArray, groups: int, who: IntArray, values: FloatArray) -> int:
    # Who has all inputs, and their first one. Returns how many they are.
    symbols = len(inputs) // groups
    count = 0
    for s in range(symbols):
        known = True
        for g in range(groups):
            known &= not math.isnan(inputs[g * symbols + s])
        if known:
            who[count] = s
            values[count] = inputs[s]
            count += 1
    return count


def _quantile(ordered: FloatArray, share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return float(ordered[-1])
    return float(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))


def _winsorise(values: FloatArray) -> None:
    ordered = np.sort(values)
    median = _quantile(ordered, 0.5)
    mad = _quantile(np.sort(np.abs(values - median)), 0.5)
    low, high = median - _REACH * mad, median + _REACH * mad
    if mad == 0.0:
        low, high = _quantile(ordered, _TAIL), _quantile(ordered, 1.0 - _TAIL)
    for i in range(len(values)):
        values[i] = min(max(values[i], low), high)


def _standardise(deviations: FloatArray, who: IntArray, outputs: FloatArray) -> None:
    largest = 0.0
    for deviation in deviations:
        if not abs(deviation) < math.inf:
            return
        largest = max(largest, abs(deviation))
    if largest == 0.0:
        for s in who:
            outputs[s] = 0.0
        return
    for i in range(len(deviations)):
        deviations[i] /= largest  # so that no square is too large or too small for a number
    std = math.sqrt(_squares(deviations, 0.0) / len(deviations))
    for i in range(len(deviations)):
        outputs[who[i]] = deviations[i] / std if std > 0.0 else 0.0


def _rank(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Place among the symbols, from 0 for the lowest to 1 for the highest; equal values share the mean of their places."""
    who, values = np.empty(len(outputs), np.int64), np.empty(len(outputs))
    count = _gather(inputs, 1, who, values)
    if count < 2:
        return
    ordered = np.sort(values[:count])
    for i in range(count):
        first = np.searchsorted(ordered, values[i])
        last = np.searchsorted(ordered, values[i], side="right") - 1
        outputs[who[i]] = 0.5 * (first + last) / (count - 1)


def _zscore(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Deviation from the mean of the symbols in standard deviations, outliers pulled in first."""
    who, values = np.empty(len(outputs), np.int64), np.empty(len(outputs))
    count = _gather(inputs, 1, who, values)
    if count < FEWEST:
        return
    values = values[:count]
    _winsorise(values)
    mean = _mean(values)
    for i in range(count):
        values[i] -= mean
    _standardise(values, who[:count], outputs)


def _sector_zscore(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Deviation from the mean of the own sector in standard deviations over all symbols, outliers pulled in first."""
    symbols = len(outputs)
    who, values = np.empty(symbols, np.int64), np.empty(symbols)
    count = _gather(inputs, 2, who, values)
    if count < FEWEST:
        return
    values = values[:count]
    _winsorise(values)
    deviations, peers, done = np.empty(count), np.empty(count), np.zeros(count)
    for i in range(count):
        if done[i] > 0.0:
            continue
        sector = inputs[symbols + who[i]]
        size = 0
        for j in range(i, count):
            if inputs[symbols + who[j]] == sector:
                peers[size] = values[j]
                size += 1
        mean = _mean(peers[:size])
        for j in range(i, count):
            if inputs[symbols + who[j]] == sector:
                deviations[j] = values[j] - mean
                done[j] = 1.0
    _standardise(deviations, who[:count], outputs)


def _text(of: str | Uses) -> str:
    if isinstance(of, str):
        return of
    given = ", ".join(f"{name}={value}" for name, value in of.params.items())
    return f"{of.feature}{'.' if of.output else ''}{of.output}" + (f"({given})" if given else "")


def rank_of(name: str, of: str | Uses, *, version: int = 1, **parameters: Parameter) -> Feature:
    """Return the feature that ranks `of` among the symbols, from 0 (lowest) to 1 (highest).

    Equal values share the mean of their places. NaN for a symbol without a value, and for all if fewer than 2 have one.

    Parameters
    ----------
    name : str
    of : str or Uses
        The input: a column or an output of a feature.
    version : int
    **parameters : Parameter
        What `of` refers to by name.

    Raises
    ------
    ConfigurationError
        If the declaration contradicts itself.
    """
    formula = f"(average rank of {_text(of)} - 1) / (symbols - 1); NaN for fewer than 2 symbols"
    declare = feature(
        name,
        version=version,
        inputs=(of,),
        parameters=parameters,
        outputs=(Output(low=0.0, high=1.0),),
        formula=formula,
        cross_section=True,
    )
    return declare(_rank)


def zscore_of(name: str, of: str | Uses, *, version: int = 1, **parameters: Parameter) -> Feature:
    """Return the feature that standardises `of` over the symbols; see `rank_of` for the arguments.

    Values are pulled in to median +- 3 * 1.4826 * MAD, or to the 1st and 99th percentile where the median absolute deviation
    is 0; then the mean is subtracted and the result divided by the standard deviation (ddof 0, so that the squares sum to the
    number of symbols). 0 where the deviation is 0; NaN for a symbol without a value, and for all if fewer than 10 have one.
    """
    formula = f"zcs({_text(of)}): winsorised at median +- 3 * 1.4826 MAD, less the mean, by the std (ddof 0)"
    declare = feature(name, version=version, inputs=(of,), parameters=parameters, formula=formula, cross_section=True)
    return declare(_zscore)


def sector_zscore_of(name: str, of: str | Uses, *, version: int = 1, **parameters: Parameter) -> Feature:
    """Return the feature that standardises `of` over the symbols inside sectors; see `rank_of` for the arguments.

    As `zscore_of`, with the mean of the own sector (``fact.sector``) in place of the mean of all: a symbol that is alone in
    its sector has 0, and one without a sector NaN.
    """
    formula = f"zcs({_text(of)}) with the mean of the own sector in place of the mean of all"
    inputs = (of, "fact.sector")
    declare = feature(name, version=version, inputs=inputs, parameters=parameters, formula=formula, cross_section=True)
    return declare(_sector_zscore)


@feature(
    "cross_mean_return",
    inputs=(Uses("simple_return", n="n"),),
    parameters={"n": lookback(1)},
    outputs=(Output(low=-1.0),),
    formula="mean of P_t / P_{t-n} - 1 over the symbols that have one; the others are NaN",
    cross_section=True,
)
def cross_mean_return(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Return of the equally weighted market over n bars."""
    who, values = np.empty(len(outputs), np.int64), np.empty(len(outputs))
    count = _gather(inputs, 1, who, values)
    if count > 0:
        mean = _mean(values[:count])
        for s in who[:count]:
            outputs[s] = mean


cross_rank: Final = rank_of("cross_rank", Uses("simple_return", n="n"), n=lookback(20))
cross_rank_volatility: Final = rank_of("cross_rank_volatility", Uses("volatility", n="n"), n=lookback(20, ge=2))
cross_zscore: Final = zscore_of("cross_zscore", Uses("simple_return", n="n"), n=lookback(20))
cross_zscore_earnings_yield: Final = zscore_of("cross_zscore_earnings_yield", Uses("earnings_yield"))
cross_zscore_log_return: Final = zscore_of("cross_zscore_log_return", Uses("log_return", n="n"), n=lookback(20))
cross_zscore_volatility: Final = zscore_of("cross_zscore_volatility", Uses("volatility", n="n"), n=lookback(20, ge=2))
sector_zscore: Final = sector_zscore_of("sector_zscore", Uses("simple_return", n="n"), n=lookback(20))
