"""What a drift comparison says, and when it says that something drifted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from fairlead.contracts.settings import Settings

Status: TypeAlias = Literal["stable", "drifted", "not available"]


class DriftThresholds(Settings):
    """When a feature has drifted (domain rule 16.2).

    Attributes
    ----------
    psi : float
        A population stability index above it is drift.
    ks_p : float
        A Kolmogorov-Smirnov p-value below it is drift.
    nan_ratio : float
        A NaN rate above this many times the reference's is drift; see `allowed_nan_rate`.
    correlation : float
        A correlation of two features that moved by more is drift.
    bins : int
        Quantile bins of the index.
    min_values : int
        With fewer values in one of the windows the index, the NaN rate and correlations are not available. Of two windows of N
        and M values with one law the index is about (bins - 1) (1 / N + 1 / M): at 90 and 90 it is at its threshold by chance.
    min_ks_values : int
        The same for the KS test, after thinning. It knows how little a few values say.
    thin : int
        The KS test sees every so many-th row. A feature's look-back length makes its windows disjoint.
    """

    psi: Annotated[float, Field(gt=0)] = 0.2
    ks_p: Annotated[float, Field(gt=0, lt=1)] = 0.01
    nan_ratio: Annotated[float, Field(ge=1)] = 2.0
    correlation: Annotated[float, Field(gt=0, le=2)] = 0.3
    bins: Annotated[int, Field(ge=2, le=1000)] = 10
    min_values: Annotated[int, Field(ge=2)] = 100
    min_ks_values: Annotated[int, Field(ge=2)] = 30
    thin: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature in the two windows.

    Attributes
    ----------
    feature : str
    psi, ks, p_value : float or None
        None where there were too few values.
    nan_reference, nan_current : float or None
        Share of missing values; None where a window lacks the feature.
    drifted : bool
    available : bool
        Whether everything could be computed. A feature that has not drifted is known to be stable only then.
    reasons : tuple of str
        What drifted, and what could not be computed.
    """

    feature: str
    psi: float | None
    ks: float | None
    p_value: float | None
    nan_reference: float | None
    nan_current: float | None
    drifted: bool
    available: bool
    reasons: tuple[str, ...]

    @property
    def status(self) -> Status:
        """What to show: drift stands before what is not available."""
        if self.drifted:
            return "drifted"
        return "stable" if self.available else "not available"


@dataclass(frozen=True, slots=True)
class CorrelationDrift:
    """The pair of features whose correlation moved most.

    Attributes
    ----------
    pair : tuple of two str
    change : float
        Absolute.
    reference, current : float
    drifted : bool
    left_out : tuple of (str, str)
        Pairs without a correlation in one of the windows: too few common values, or one of the two constant.
    """

    pair: tuple[str, str] | None
    change: float | None
    reference: float | None
    current: float | None
    drifted: bool
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All features in the two windows.

    Attributes
    ----------
    features : tuple of FeatureDrift
        In the order of the reference; those that only the current window has come last.
    correlation : CorrelationDrift or None
        None where there are fewer than two features in common.
    thresholds : DriftThresholds
    """

    features: tuple[FeatureDrift, ...]
    correlation: CorrelationDrift | None
    thresholds: DriftThresholds

    @property
    def drifted(self) -> bool:
        """Whether anything drifted."""
        return any(row.drifted for row in self.features) or (self.correlation is not None and self.correlation.drifted)

    @property
    def available(self) -> bool:
        """Whether everything could be computed."""
        return all(row.available for row in self.features) and not (self.correlation and self.correlation.left_out)

    @property
    def status(self) -> Status:
        """The report in two words; stable only if everything could be computed."""
        if self.drifted:
            return "drifted"
        return "stable" if self.available else "not available"

    def to_dict(self) -> dict[str, Any]:
        """Return it as mappings, lists, texts and numbers, for JSON; None is what could not be computed."""
        return {
            "status": self.status,
            "features": [{**asdict(row), "status": row.status} for row in self.features],
            "correlation": None if self.correlation is None else asdict(self.correlation),
            "thresholds": self.thresholds.model_dump(),
        }

    def __str__(self) -> str:
        width = max([len(row.feature) for row in self.features] + [len("feature")])
        head = f"{'feature':{width}}  {'psi':>8} {'ks':>7} {'p':>9} {'nan ref':>8} {'nan now':>8}  status"
        lines = [head, *(f"{_row_text(row, width)}  {row.status}" for row in self.features)]
        lines += [f"{row.feature}: {reason}" for row in self.features for reason in row.reasons]
        return "\n".join(lines + _correlation_lines(self.correlation, self.thresholds))


def _row_text(row: FeatureDrift, width: int) -> str:
    def text(value: float | None, form: str, room: int) -> str:
        return f"{'-' if value is None else format(value, form):>{room}}"

    return (
        f"{row.feature:{width}}  {text(row.psi, '.4f', 8)} {text(row.ks, '.4f', 7)} {text(row.p_value, '.3g', 9)} "
        f"{text(row.nan_reference, '.4f', 8)} {text(row.nan_current, '.4f', 8)}"
    )


def _correlation_lines(found: CorrelationDrift | None, limits: DriftThresholds) -> list[str]:
    if found is None:
        return []
    lines = []
    if found.pair is not None:
        word = "above" if found.drifted else "within"
        lines.append(
            f"correlation of {found.pair[0]} and {found.pair[1]}: {found.reference:.3f} -> {found.current:.3f}, a change of "
            f"{found.change:.3f}, {word} {limits.correlation:g}"
        )
    if found.left_out:
        pairs = ", ".join(f"{a} and {b}" for a, b in found.left_out)
        lines.append(f"correlation not available: {pairs}")
    return lines
