"""The probabilistic Sharpe ratio against the goldens of domain rule 11."""

import math

import numpy as np
import pytest

from fairlead.backtest.metrics import kurtosis, skewness
from fairlead.core.sharpe import ReturnMoments, probabilistic_sharpe, return_moments


@pytest.mark.parametrize(
    ("moments", "expected"), [(ReturnMoments(252, 0.1, -0.5, 5.0), 0.938074), (ReturnMoments(252, 0.1, 0.0, 3.0), 0.942987)]
)
def test_goldens(moments, expected):
    assert probabilistic_sharpe(moments) == pytest.approx(expected, abs=5e-7)


def test_it_is_a_half_at_the_benchmark():
    """A ratio that equals the benchmark is as likely above as below."""
    assert probabilistic_sharpe(ReturnMoments(100, 0.07, 0.3, 4.0), 0.07) == 0.5


@pytest.mark.parametrize(
    "returns", [[], [0.01], [0.01] * 40, [0.01, -0.02] * 14 + [0.01], [*([0.01, -0.02] * 20), math.nan]], ids=len
)
def test_what_is_not_defined_is_none(returns):
    """None below 30 observations, without deviation, and with a value that is not finite."""
    assert probabilistic_sharpe(return_moments(returns)) is None


def test_no_variance_of_the_estimate_is_none():
    assert probabilistic_sharpe(ReturnMoments(100, 2.0, 3.0, 1.0)) is None


def test_moments_are_those_of_the_report():
    """Skewness and kurtosis of a run's report and of the monitors are the same numbers."""
    returns = np.random.default_rng(3).normal(0.001, 0.01, 60)
    moments = return_moments(returns)
    assert moments.skewness == skewness(returns)
    assert moments.kurtosis - 3.0 == kurtosis(returns)
    assert moments.sharpe == returns.mean() / returns.std(ddof=1)
