"""Whether computed values are what their feature declares, and as complete as they were in training (domain rule 9.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ContractError
from fairlead.features.checks import Check, check_lines
from fairlead.features.definition import Feature, Output
from fairlead.features.drift import allowed_nan_rate
from fairlead.features.registry import find_feature


class QualitySettings(Settings):
    """What values have to keep.

    Attributes
    ----------
    nan_ratio : float
        Highest NaN rate, as a multiple of the reference's; see `allowed_nan_rate` for a reference without a NaN.
    min_values : int
        With fewer rows the NaN rates are not compared.
    stuck_rows : int
        One value that stands for more rows is worth a look, if it never did for half as long in the reference.
    """

    nan_ratio: Annotated[float, Field(ge=1)] = 2.0
    min_values: Annotated[int, Field(ge=1)] = 30
    stuck_rows: Annotated[int, Field(ge=2)] = 100


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Findings about the values of one feature.

    Attributes
    ----------
    feature : str
    checks : tuple of Check
        Named ``output: check``.
    """

    feature: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken; warnings break none."""
        return all(check.passed or check.warning for check in self.checks)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What is worth a look."""
        return tuple(check for check in self.checks if check.warning and not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return it as mappings, lists and texts, for JSON."""
        return {"feature": self.feature, "passed": self.passed, "checks": [asdict(check) for check in self.checks]}

    def __str__(self) -> str:
        return "\n".join([f"{self.feature}: {'passed' if self.passed else 'failed'}", *check_lines(self.checks)])


def check_quality(
    feature: Feature | str,
    values: ArrayLike | Mapping[str, ArrayLike],
    reference: ArrayLike | Mapping[str, ArrayLike] | None = None,
    settings: QualitySettings | None = None,
) -> QualityReport:
    """Check computed values against the feature's declaration and a reference window, training say.

    Per output: the type is float64; no value is infinite or beyond the declared range; the NaN rate is at most `nan_ratio`
    times the reference's; and, as warnings, the values are not all one, and none stands unusually long.

    Parameters
    ----------
    feature : Feature or str
    values, reference : array of shape (..., rows), or mapping of output to such arrays
        A plain array is that of the only output. Leave the warm-up out of both: its NaNs would count as missing. Without a
        reference the NaN rate is told and not judged, as a warning; with one that is too short the check fails.
    settings : QualitySettings, optional

    Raises
    ------
    UnknownName
        If the feature is not known.
    ContractError
        If an output is missing in `values` or `reference`, or is not declared.
    """
    found = find_feature(feature) if isinstance(feature, str) else feature
    limits = settings or QualitySettings()
    now = _by_output(found, values, "values")
    then = None if reference is None else _by_output(found, reference, "reference")
    checks: list[Check] = []
    for output in found.outputs:
        before = None if then is None else then[output.name]
        checks += _check_output(output, now[output.name], before, limits)
    return QualityReport(found.name, tuple(checks))


def _by_output(feature: Feature, values: ArrayLike | Mapping[str, ArrayLike], where: str) -> dict[str, NDArray[Any]]:
    names = [output.name for output in feature.outputs]
    given = values if isinstance(values, Mapping) else {names[0]: values}
    if set(given) != set(names):
        raise ContractError.of(where, f"hold the outputs {', '.join(names)} of {feature.name}", sorted(given))
    return {name: np.atleast_1d(np.asarray(given[name])) for name in names}


def _check_output(output: Output, raw: NDArray[Any], reference: NDArray[Any] | None, limits: QualitySettings) -> list[Check]:
    known_type = raw.dtype == np.float64
    dtype = Check(f"{output.name}: type", bool(known_type), str(raw.dtype) if known_type else f"{raw.dtype}, declared float64")
    if raw.dtype.kind not in "iuf":
        return [dtype]
    values = raw.astype(np.float64)
    before = None if reference is None else reference.astype(np.float64)
    return [dtype, _range(output, values), _nan_rate(output, values, before, limits), _moves(output, values, before, limits)]


def _range(output: Output, values: FloatArray) -> Check:
    name = f"{output.name}: range"
    beyond = np.isinf(values) | (values < output.low) | (values > output.high)
    if not beyond.any():
        return Check(name, True, f"{int(np.isfinite(values).sum())} values in [{output.low:g}, {output.high:g}]")
    place = tuple(int(i) for i in np.argwhere(beyond)[0])
    return Check(
        name,
        False,
        f"{int(beyond.sum())} of {values.size} values beyond [{output.low:g}, {output.high:g}], first {values[place]:g} at "
        f"{place[0] if len(place) == 1 else place}",
    )


def _nan_rate(output: Output, values: FloatArray, reference: FloatArray | None, limits: QualitySettings) -> Check:
    name = f"{output.name}: NaN rate"
    rate = float(np.mean(np.isnan(values))) if values.size else 1.0
    if reference is None:
        return Check(name, False, f"{rate:.4g}; not judged: there is no reference", warning=True)
    for where, size in (("values", values.size), ("reference", reference.size)):
        if size < limits.min_values:
            return Check(name, False, f"not judged: {where} has {size} rows, {limits.min_values} needed")
    missing = int(np.isnan(reference).sum())
    allowed = allowed_nan_rate(missing, reference.size, limits.nan_ratio)
    detail = f"{rate:.4g}, allowed {allowed:.4g}: {limits.nan_ratio:g} times {missing} of {reference.size}"
    return Check(name, rate <= allowed, detail if missing else f"{detail}, counted as 1")


def _moves(output: Output, values: FloatArray, reference: FloatArray | None, limits: QualitySettings) -> Check:
    name = f"{output.name}: moves"
    known = values[np.isfinite(values)]
    if len(known) > 1 and (known == known[0]).all():
        return Check(name, False, f"all {len(known)} values are {known[0]:g}", warning=True)
    longest = _longest_run(values)
    usual = 0 if reference is None else _longest_run(reference)
    limit = max(limits.stuck_rows, 2 * usual)
    return Check(name, longest <= limit, f"one value for at most {longest} rows, usual up to {limit}", warning=longest > limit)


def _longest_run(values: FloatArray) -> int:
    # NaN differs from everything and so ends a run.
    rows = values.reshape(-1, values.shape[-1]) if values.size else values.reshape(0, 1)
    longest = 0
    for row in rows:
        changes = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1], [True]]))
        longest = max(longest, int(np.diff(changes).max()))
    return longest
