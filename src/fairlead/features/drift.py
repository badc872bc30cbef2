"""Drift: whether the values of features are still spread as they were in a reference window, training say.

A Kolmogorov-Smirnov p-value is that of independent values. Values of a feature over a window follow each other closely, so it
comes out far too small: `DriftThresholds.thin` leaves all but every so many-th row out of that test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.drift_report import CorrelationDrift, DriftReport, DriftThresholds, FeatureDrift
from fairlead.telemetry.metrics import FEATURE_DRIFT_PSI, Metrics

__all__ = [
    "CorrelationDrift",
    "DriftReport",
    "DriftThresholds",
    "FeatureDrift",
    "KsTest",
    "allowed_nan_rate",
    "detect_drift",
    "ks_test",
    "psi",
    "publish_drift",
]

_FLOOR: Final = 1e-4
_EXACT: Final = 1000  # values up to which the exact distribution of the KS statistic is worth its time


class KsTest(NamedTuple):
    """A two-sample Kolmogorov-Smirnov test: the largest distance of the two distribution functions, and its p-value."""

    statistic: float
    p_value: float


def psi(reference: ArrayLike, current: ArrayLike, bins: int = 10) -> float:
    """Return the population stability index, sum((a - e) ln(a / e)) over quantile bins of the reference (domain rule 16.2).

    `e` and `a` are the shares of the reference and of the current values in a bin, at least 1e-4 each. A bin ends with a value
    of the reference, which belongs to it, so that the index does not change when both windows are put through one increasing
    function. A value on which two or more quantiles fall gets a bin of its own, and quantiles that fall together count once: of
    discrete values there are fewer bins, of a constant reference three (below it, it, above it).

    Parameters
    ----------
    reference, current : array of float
        Flattened; what is not finite is left out.
    bins : int

    Returns
    -------
    float
        0 or more.

    Raises
    ------
    ConfigurationError
        If `bins` is below 2.
    ContractError
        If a window has no finite value.
    """
    if bins < 2:
        raise ConfigurationError.of("bins", "be at least 2", bins)
    ordered, now = np.sort(_finite(reference, "reference")), _finite(current, "current")
    places = -(-np.arange(1, bins) * len(ordered) // bins) - 1  # the least value with a share of i / bins at or below it
    ends, count = np.unique(ordered[places], return_counts=True)
    ends = np.union1d(ends, np.nextafter(ends[count > 1], -np.inf))
    expected, actual = (
        np.maximum(np.bincount(np.searchsorted(ends, values), minlength=len(ends) + 1) / len(values), _FLOOR)
        for values in (ordered, now)
    )
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def ks_test(reference: ArrayLike, current: ArrayLike, *, thin: int = 1) -> KsTest:
    """Return the two-sided two-sample Kolmogorov-Smirnov test.

    The p-value assumes that all values are independent. A feature over a look-back window is not: neighbours share most of
    their window, and the p-value is then far too small. Thin by the look-back length, or do not read it as a probability.

    Parameters
    ----------
    reference, current : array of float, shape (..., rows)
        What is not finite is left out after thinning.
    thin : int
        Every so many-th row is used.

    Raises
    ------
    ConfigurationError
        If `thin` is below 1.
    ContractError
        If a window has no finite value.
    """
    from scipy.stats import ks_2samp  # noqa: PLC0415  scipy is imported where it computes

    if thin < 1:
        raise ConfigurationError.of("thin", "be at least 1", thin)
    first, second = (
        _finite(np.atleast_1d(np.asarray(values, np.float64))[..., ::thin], name)
        for name, values in (("reference", reference), ("current", current))
    )
    result = ks_2samp(first, second, method="exact" if max(len(first), len(second)) <= _EXACT else "asymp")
    return KsTest(float(result.statistic), float(result.pvalue))


def allowed_nan_rate(missing: int, rows: int, ratio: float) -> float:
    """Return the highest share of missing values that does not count as drift: `ratio` times that of the reference.

    A reference of N rows in which nothing is missing counts as if one value were: it cannot tell a rate of 0 from one of 1 / N.

    Parameters
    ----------
    missing, rows : int
        Missing values and all values of the reference.
    ratio : float
    """
    return min(1.0, ratio * max(missing, 1) / rows)


def detect_drift(
    reference: Mapping[str, ArrayLike], current: Mapping[str, ArrayLike], thresholds: DriftThresholds | None = None
) -> DriftReport:
    """Compare a current window with a reference one, feature by feature.

    Parameters
    ----------
    reference, current : mapping of str to array of float, shape (..., rows)
        Feature -> values, NaN where missing. The arrays of a window have one shape: they are rows of one table. Leave the
        warm-up out of both: its NaNs would count as missing.
    thresholds : DriftThresholds, optional

    Raises
    ------
    ConfigurationError
        If there is no feature.
    ContractError
        If the arrays of a window differ in shape.
    """
    limits = thresholds or DriftThresholds()
    then, now = _window(reference, "reference"), _window(current, "current")
    names = list(dict.fromkeys([*then, *now]))
    if not names:
        raise ConfigurationError.of("reference", "have at least one feature", {})
    rows = tuple(_compare(name, then.get(name), now.get(name), limits) for name in names)
    return DriftReport(rows, _correlation_drift(then, now, limits), limits)


def publish_drift(report: DriftReport, metrics: Metrics) -> None:
    """Set the gauge ``feature_drift_psi`` to a report's features and no others; NaN where the index is not available."""
    gauge = metrics.gauge(FEATURE_DRIFT_PSI)
    gauge.clear()
    for row in report.features:
        gauge.labels(row.feature).set(math.nan if row.psi is None else row.psi)


def _finite(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, np.float64).ravel()
    known = array[np.isfinite(array)]
    if not len(known):
        raise ContractError.of(name, "have at least one finite value", f"{len(array)} values")
    return known


def _window(values: Mapping[str, ArrayLike], name: str) -> dict[str, FloatArray]:
    arrays = {key: np.atleast_1d(np.asarray(array, np.float64)) for key, array in values.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        raise ContractError.of(name, "hold arrays of one shape", sorted(shapes), "Compute all features on the same rows.")
    return arrays


def _compare(name: str, then: FloatArray | None, now: FloatArray | None, limits: DriftThresholds) -> FeatureDrift:
    before, after = _nan_rate(then), _nan_rate(now)
    if then is None or now is None:
        absent = f"not available: not in the {'reference' if then is None else 'current'} window"
        return FeatureDrift(name, None, None, None, before, after, drifted=False, available=False, reasons=(absent,))
    drifts, gaps = _nan_drift(then, now, limits)
    index = ks = p_value = None
    if few := _too_few(then, now, limits.min_values):
        gaps.append(f"PSI {few}")
    else:
        index = psi(then, now, limits.bins)
        if index > limits.psi:
            drifts.append(f"PSI {index:.4g} is above {limits.psi:g}")
    if few := _too_few(then[..., :: limits.thin], now[..., :: limits.thin], limits.min_ks_values):
        gaps.append(f"KS {few}, with thin={limits.thin}")
    else:
        ks, p_value = ks_test(then, now, thin=limits.thin)
        if p_value < limits.ks_p:
            drifts.append(f"KS p-value {p_value:.3g} is below {limits.ks_p:g}")
    return FeatureDrift(
        name, index, ks, p_value, before, after, drifted=bool(drifts), available=not gaps, reasons=(*drifts, *gaps)
    )


def _nan_rate(values: FloatArray | None) -> float | None:
    return None if values is None or not values.size else float(np.mean(~np.isfinite(values)))


def _nan_drift(then: FloatArray, now: FloatArray, limits: DriftThresholds) -> tuple[list[str], list[str]]:
    for where, array in (("reference", then), ("current", now)):
        if array.size < limits.min_values:
            return [], [f"NaN rate not available: {array.size} rows in the {where} window, {limits.min_values} needed"]
    allowed = allowed_nan_rate(int(np.sum(~np.isfinite(then))), then.size, limits.nan_ratio)
    rate = float(np.mean(~np.isfinite(now)))
    return ([f"NaN rate {rate:.3g} is above {allowed:.3g}"] if rate > allowed else []), []


def _too_few(then: FloatArray, now: FloatArray, least: int) -> str:
    for where, array in (("reference", then), ("current", now)):
        known = int(np.isfinite(array).sum())
        if known < least:
            return f"not available: {known} values in the {where} window, {least} needed"
    return ""


def _correlation_drift(
    then: Mapping[str, FloatArray], now: Mapping[str, FloatArray], limits: DriftThresholds
) -> CorrelationDrift | None:
    shared = [name for name in then if name in now]
    if len(shared) < 2:
        return None
    left_out: list[tuple[str, str]] = []
    found: list[tuple[float, tuple[str, str], float, float]] = []
    for pair in combinations(shared, 2):
        before, after = (_correlation(window[pair[0]], window[pair[1]], limits.min_values) for window in (then, now))
        if before is None or after is None:
            left_out.append(pair)
        else:
            found.append((abs(after - before), pair, before, after))
    if not found:
        return CorrelationDrift(None, None, None, None, False, tuple(left_out))
    change, pair, before, after = max(found, key=lambda item: item[0])
    return CorrelationDrift(pair, change, before, after, change > limits.correlation, tuple(left_out))


def _correlation(first: FloatArray, second: FloatArray, least: int) -> float | None:
    both = np.isfinite(first) & np.isfinite(second)
    x, y = first[both], second[both]
    if len(x) < least or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return None
    value = float(np.corrcoef(x, y)[0, 1])
    return value if math.isfinite(value) else None
