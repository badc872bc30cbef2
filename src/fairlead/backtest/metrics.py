"""The formulas of performance measurement (domain rule 6.10), each a pure function of arrays.

Returns are simple returns per session, as fractions. A measure that is not defined (too few values, a zero denominator, a value
that is not finite) is None, never 0 or infinity: a null metric fails any threshold.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.sharpe import NO_DEVIATION, standardised_moment
from fairlead.core.time import NS_PER_DAY

Metric: TypeAlias = float | int | None
"""The value of a metric: None where it is not defined."""

SESSIONS_PER_YEAR: Final = 252
DAYS_PER_YEAR: Final = 365.25


def finite(value: float) -> float | None:
    """Return `value`, or None if it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def session_closes(session: DayArray, values: FloatArray) -> tuple[DayArray, FloatArray]:
    """Return the session dates and the last value of each; `session` of shape (n,) must not decrease."""
    if len(session) == 0:
        return session, values
    last = np.append(np.flatnonzero(session[1:] != session[:-1]), len(session) - 1)
    return session[last], values[last]


def simple_returns(closes: FloatArray, initial: float) -> FloatArray:
    """Return the return of each session; the first is measured against `initial`.

    Notes
    -----
    Once equity is not above 0, later returns have no meaning and are NaN.
    """
    if len(closes) == 0:
        return closes
    base = np.concatenate(([initial], closes[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        returns: FloatArray = np.where(base > 0, closes / base - 1.0, np.nan)
    return returns


def monthly_returns(days: DayArray, closes: FloatArray, initial: float) -> tuple[IntArray, FloatArray]:
    """Return months (counted from January 1970) and their returns; the first month is measured against `initial`."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    if len(months) == 0:
        return months, closes
    last = np.append(np.flatnonzero(months[1:] != months[:-1]), len(months) - 1)
    return months[last], simple_returns(closes[last], initial)


def total_return(initial: float, final: float) -> float | None:
    """Growth over the whole run, as a fraction."""
    return finite(final / initial - 1.0) if initial > 0 else None


def annualised_return(initial: float, final: float, sessions: int) -> float | None:
    """Geometric growth per 252 sessions; None without sessions or when nothing is left."""
    return _growth(initial, final, sessions / SESSIONS_PER_YEAR)


def cagr(initial: float, final: float, first_ns: int, last_ns: int) -> float | None:
    """Geometric growth per calendar year of 365.25 days; None below one day or when nothing is left."""
    days = (last_ns - first_ns) / NS_PER_DAY
    return _growth(initial, final, days / DAYS_PER_YEAR) if days >= 1 else None


def annualised_vol(returns: FloatArray) -> float | None:
    """Sample standard deviation times the root of 252; None below two returns."""
    return finite(_deviation(returns) * math.sqrt(SESSIONS_PER_YEAR)) if len(returns) >= 2 else None


def sharpe(returns: FloatArray, risk_free: float = 0.0) -> float | None:
    """Annualised mean excess return per unit of standard deviation (ddof 1).

    Parameters
    ----------
    returns : array of shape (n,)
    risk_free : float
        Per year, as a fraction.
    """
    if len(returns) < 2:
        return None
    excess = returns - risk_free / SESSIONS_PER_YEAR
    return _ratio(float(excess.mean()), _deviation(excess))


def sortino(returns: FloatArray, risk_free: float = 0.0) -> float | None:
    """Annualised mean excess return per unit of downside deviation (root mean square of the shortfalls over all sessions)."""
    if len(returns) < 2:
        return None
    excess = returns - risk_free / SESSIONS_PER_YEAR
    return _ratio(float(excess.mean()), math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2))))


def running_peak(equity: FloatArray, initial: float) -> FloatArray:
    """Return the highest value so far, `initial` included."""
    peak: FloatArray = np.maximum(np.maximum.accumulate(equity), initial) if len(equity) else equity
    return peak


def drawdowns(equity: FloatArray, initial: float) -> tuple[FloatArray, FloatArray]:
    """Return distance from the running peak in currency and in percent of that peak, both at least 0."""
    peak = running_peak(equity, initial)
    below = peak - equity
    return below, 100.0 * below / peak


def longest_drawdown_days(ts_ns: IntArray, equity: FloatArray, initial: float) -> float:
    """Longest time from a peak to its recovery, or to the end, in calendar days."""
    if len(equity) == 0:
        return 0.0
    # The run starts at a peak by definition: its initial cash.
    stamps = np.concatenate((ts_ns[:1], ts_ns))
    values = np.concatenate(([initial], equity))
    at_peak = np.flatnonzero(values >= running_peak(values, initial))
    marks = at_peak if at_peak[-1] == len(values) - 1 else np.append(at_peak, len(values) - 1)
    under_water = np.diff(marks) > 1
    if marks is not at_peak:
        under_water[-1] = True
    spans = np.diff(stamps[marks])[under_water]
    return float(spans.max() / NS_PER_DAY) if len(spans) else 0.0


def calmar(yearly_return: float | None, max_drawdown_pct: float) -> float | None:
    """Annualised return divided by the largest relative drawdown; None without a drawdown."""
    if yearly_return is None or max_drawdown_pct <= 0:
        return None
    return finite(yearly_return / (max_drawdown_pct / 100.0))


def ulcer_index(closes: FloatArray, initial: float) -> float | None:
    """Root mean square of the percent drawdown at session closes."""
    if len(closes) == 0:
        return None
    return finite(math.sqrt(float(np.mean(drawdowns(closes, initial)[1] ** 2))))


def skewness(returns: FloatArray) -> float | None:
    """Third standardised moment (population); None below three returns or without deviation."""
    return _moment(returns, 3, 0.0) if len(returns) >= 3 else None


def kurtosis(returns: FloatArray) -> float | None:
    """Fourth standardised moment minus 3 (population); None below four returns or without deviation."""
    return _moment(returns, 4, 3.0) if len(returns) >= 4 else None


def positive_share(returns: FloatArray) -> float | None:
    """Share of the returns that are above 0; None if one of them is not defined."""
    return float(np.mean(returns > 0)) if len(returns) and not np.isnan(returns).any() else None


def value_at_risk(returns: FloatArray, level: float = 0.95) -> float | None:
    """Loss per session, as a positive fraction, that is exceeded in 1 - level of the sessions (historical, interpolated)."""
    return finite(0.0 - float(np.quantile(returns, 1.0 - level))) if len(returns) else None


def conditional_value_at_risk(returns: FloatArray, level: float = 0.95) -> float | None:
    """Mean loss of the sessions at or beyond the value at risk."""
    limit = value_at_risk(returns, level)
    if limit is None:
        return None
    tail = returns[returns <= -limit]
    return finite(0.0 - float(tail.mean())) if len(tail) else None


def tail_ratio(returns: FloatArray) -> float | None:
    """95th percentile divided by the absolute 5th percentile."""
    if len(returns) == 0:
        return None
    low, high = np.quantile(returns, [0.05, 0.95]).tolist()
    return finite(high / abs(low)) if abs(low) > NO_DEVIATION else None


def beta(returns: FloatArray, benchmark: FloatArray) -> float | None:
    """Covariance with the benchmark divided by its variance (ddof 1)."""
    if len(returns) < 2 or not _deviation(benchmark) > NO_DEVIATION:
        return None
    return finite(float(np.cov(returns, benchmark)[0, 1]) / float(np.var(benchmark, ddof=1)))


def alpha(returns: FloatArray, benchmark: FloatArray, risk_free: float = 0.0) -> float | None:
    """Mean excess return that beta does not explain, times 252."""
    slope = beta(returns, benchmark)
    if slope is None:
        return None
    daily = risk_free / SESSIONS_PER_YEAR
    return finite(SESSIONS_PER_YEAR * (float(returns.mean()) - daily - slope * (float(benchmark.mean()) - daily)))


def correlation(returns: FloatArray, benchmark: FloatArray) -> float | None:
    """Pearson correlation with the benchmark; None if either does not move."""
    if len(returns) < 2:
        return None
    product = _deviation(returns) * _deviation(benchmark)
    if not product > NO_DEVIATION**2:
        return None
    return finite(float(np.cov(returns, benchmark)[0, 1]) / product)


def information_ratio(returns: FloatArray, benchmark: FloatArray) -> float | None:
    """Annualised mean of the difference to the benchmark per unit of its deviation."""
    if len(returns) < 2:
        return None
    active = returns - benchmark
    return _ratio(float(active.mean()), _deviation(active))


def rolling_sharpe(returns: FloatArray, window: int) -> FloatArray:
    """Return the Sharpe ratio of each full window of `window` returns, shape (n - window + 1,); NaN where not defined."""
    if len(returns) < window or window < 2:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(returns, window)
    deviation = frames.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = math.sqrt(SESSIONS_PER_YEAR) * frames.mean(axis=1) / deviation
    return np.where(deviation > NO_DEVIATION, ratio, np.nan)


def _growth(initial: float, final: float, years: float) -> float | None:
    if not (initial > 0 and final > 0 and years > 0):
        return None
    exponent = math.log(final / initial) / years
    return finite(math.expm1(exponent)) if exponent < 700 else None  # beyond, the number has no meaning and no float


def _deviation(values: FloatArray) -> float:
    return float(np.std(values, ddof=1))


def _ratio(mean: float, deviation: float) -> float | None:
    if not deviation > NO_DEVIATION:
        return None
    return finite(math.sqrt(SESSIONS_PER_YEAR) * mean / deviation)


def _moment(returns: FloatArray, order: int, normal: float) -> float | None:
    moment = standardised_moment(returns, order)
    return None if moment is None else finite(moment - normal)
