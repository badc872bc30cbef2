"""Stability: whether a feature predicts the same way in one stretch of time after the other (domain rule 9.6)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError

FEWEST_ROWS: Final = 30
"""Rows below which a fold of one symbol says nothing."""
FEWEST_SYMBOLS: Final = 10
"""Symbols below which a comparison of them says nothing (domain rule 9.1)."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One stretch of rows.

    Attributes
    ----------
    start, stop : int
        Rows of the fold. The last `horizon` of them are not used: their returns end in the next one.
    ic : float or None
        Information coefficient; None where there are too few values, or where they do not vary.
    count : int
        Pairs it stands on; of a panel, instants.
    """

    start: int
    stop: int
    ic: float | None
    count: int


@dataclass(frozen=True, slots=True)
class StabilityReport:
    """A feature over consecutive folds.

    Attributes
    ----------
    folds : tuple of Fold
    horizon : int
        Bars of the forward return.
    mean, deviation : float or None
        Of the folds' coefficients; the deviation has ddof 1. None with no coefficient, or with fewer than two.
    agreement : float or None
        Share of the folds that have a coefficient in which it has the sign of the mean. None where the mean has no sign.
    """

    folds: tuple[Fold, ...]
    horizon: int
    mean: float | None
    deviation: float | None
    agreement: float | None

    @property
    def available(self) -> bool:
        """Whether every fold has a coefficient."""
        return all(fold.ic is not None for fold in self.folds)

    def to_dict(self) -> dict[str, Any]:
        """Return it as mappings, lists and numbers, for JSON; None is what could not be computed."""
        return {**asdict(self), "available": self.available}

    def __str__(self) -> str:
        lines = [f"{'rows':>17}  {'IC':>7}  {'count':>7}"]
        lines += [f"{f'{f.start}..{f.stop - 1}':>17}  {_text(f.ic):>7}  {f.count:7d}" for f in self.folds]
        known = sum(fold.ic is not None for fold in self.folds)
        lines.append(
            f"mean {_text(self.mean)}, deviation {_text(self.deviation)}, sign agreement {_text(self.agreement)} "
            f"over {known} of {len(self.folds)} folds"
        )
        return "\n".join(lines)


def forward_returns(close: ArrayLike, horizon: int = 1) -> FloatArray:
    """Return P_{t+h} / P_t - 1, known h bars after t; NaN for the last h rows and where a price is missing or not positive.

    Parameters
    ----------
    close : array of float, shape (..., rows)
    horizon : int
        Bars.

    Raises
    ------
    ConfigurationError
        If `horizon` is below 1.
    """
    _check_horizon(horizon)
    prices = np.atleast_1d(np.asarray(close, np.float64))
    prices = np.where(np.isfinite(prices) & (prices > 0.0), prices, np.nan)
    returns = np.full(prices.shape, np.nan)
    returns[..., :-horizon] = prices[..., horizon:] / prices[..., :-horizon] - 1.0
    return returns


def stability(values: ArrayLike, forward: ArrayLike, folds: int = 5, *, horizon: int = 1) -> StabilityReport:
    """Return the information coefficient of a feature, fold by fold.

    Rows are cut into equal consecutive folds. In each, the coefficient is Spearman's rank correlation of the value at t and
    the return over the `horizon` bars after t: over time for one symbol, and for a panel across the symbols of an instant,
    averaged over the instants of the fold. The last `horizon` rows of a fold are left out, so no return reaches out of it.

    Parameters
    ----------
    values : array of float, shape (rows,) or (symbols, rows)
    forward : array of float, of the same shape
        Returns that begin at the row, as `forward_returns` gives them.
    folds : int
    horizon : int
        Bars that `forward` looks ahead.

    Raises
    ------
    ConfigurationError
        If `folds` is below 2, `horizon` below 1, or a fold is not longer than `horizon`.
    ContractError
        If the shapes differ or have other dimensions.
    """
    if folds < 2:
        raise ConfigurationError.of("folds", "be at least 2", folds)
    _check_horizon(horizon)
    x, y = np.asarray(values, np.float64), np.asarray(forward, np.float64)
    if x.shape != y.shape or x.ndim not in {1, 2}:
        raise ContractError.of("forward", "have the shape (rows,) or (symbols, rows) of values", y.shape, f"values: {x.shape}.")
    rows = x.shape[-1]
    if rows // folds <= horizon:
        raise ConfigurationError.of("folds", f"leave more than {horizon} rows each", folds, f"There are {rows} rows.")
    edges = [rows * i // folds for i in range(folds + 1)]
    found = tuple(_fold(x, y, start, stop, horizon) for start, stop in pairwise(edges))
    known = np.array([fold.ic for fold in found if fold.ic is not None])
    mean = float(known.mean()) if len(known) else None
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    agreement = float(np.mean(np.sign(known) == np.sign(mean))) if mean else None
    return StabilityReport(found, horizon, mean, deviation, agreement)


def _check_horizon(horizon: int) -> None:
    if horizon < 1:
        raise ConfigurationError.of("horizon", "be at least 1", horizon)


def _fold(x: FloatArray, y: FloatArray, start: int, stop: int, horizon: int) -> Fold:
    own = slice(start, stop - horizon)
    if x.ndim == 1:
        ic, count = _rank_correlation(x[own], y[own], FEWEST_ROWS)
        return Fold(start, stop, ic, count)
    each = [_rank_correlation(x[:, t], y[:, t], FEWEST_SYMBOLS)[0] for t in range(own.start, own.stop)]
    known = [ic for ic in each if ic is not None]
    return Fold(start, stop, math.fsum(known) / len(known) if known else None, len(known))


def _rank_correlation(x: FloatArray, y: FloatArray, fewest: int) -> tuple[float | None, int]:
    from scipy.stats import rankdata  # noqa: PLC0415  scipy is imported where it computes

    both = np.isfinite(x) & np.isfinite(y)
    count = int(both.sum())
    if count < fewest:
        return None, count
    first, second = (rankdata(values[both]) - (count + 1) / 2 for values in (x, y))
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return (float(first @ second) / scale if scale > 0.0 else None), count


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
