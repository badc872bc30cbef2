"""How certain a Sharpe ratio is (domain rule 11): one place for the monitors that trade and the evidence that is gathered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from fairlead.core.arrays import FloatArray

LEAST_OBSERVATIONS: Final = 30
# Equal returns leave a deviation near 1e-18 after rounding; no market is this quiet.
NO_DEVIATION: Final = 1e-12
_NORMAL: Final = NormalDist()


class ReturnMoments(NamedTuple):
    """What a probabilistic Sharpe ratio is made of.

    Attributes
    ----------
    observations : int
    sharpe : float
        Per observation, not annualised: mean by sample deviation (ddof 1).
    skewness, kurtosis : float
        Of the sample, without correction for its size; the kurtosis of a normal distribution is 3.
    """

    observations: int
    sharpe: float
    skewness: float
    kurtosis: float


def standardised_moment(returns: FloatArray, order: int) -> float | None:
    """Return a moment of the sample by the power of its (population) deviation; None without deviation."""
    centred = returns - returns.mean()
    spread = math.sqrt(float(np.mean(centred**2)))
    if not spread > NO_DEVIATION:
        return None
    return float(np.mean(centred**order)) / spread**order


def return_moments(returns: Sequence[float] | FloatArray) -> ReturnMoments | None:
    """Return the moments of returns of shape (n,), as fractions; None if they vary not at all, or one is not finite."""
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    deviation = float(np.std(values, ddof=1))
    skewness, kurtosis = standardised_moment(values, 3), standardised_moment(values, 4)
    if skewness is None or kurtosis is None:
        return None
    return ReturnMoments(len(values), float(values.mean()) / deviation, skewness, kurtosis)


def probabilistic_sharpe(moments: ReturnMoments | None, benchmark: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio exceeds `benchmark`, which is per observation too.

    None where it is not defined: without moments, below 30 observations, or where the variance of the estimate is not above 0.

    Notes
    -----
    ``Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - skewness SR + (kurtosis - 1) / 4 SR^2))``, Bailey and Lopez de Prado 2012.
    """
    if moments is None or moments.observations < LEAST_OBSERVATIONS:
        return None
    sharpe = moments.sharpe
    radicand = 1.0 - moments.skewness * sharpe + (moments.kurtosis - 1.0) / 4.0 * sharpe * sharpe
    if not radicand > 0.0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(moments.observations - 1) / math.sqrt(radicand))
