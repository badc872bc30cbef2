"""The contract of a feature as a check that anyone can run on a feature of their own.

report = check_feature("my_features:range_share", {"n": 10})
assert report.passed, report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from fairlead.core.arrays import BoolArray, FloatArray
from fairlead.core.errors import ContractError
from fairlead.features.checks import Check, check_lines
from fairlead.features.contract_trial import Trial
from fairlead.features.definition import Feature, Params
from fairlead.features.inputs import TIMES
from fairlead.features.plan import make_plan
from fairlead.features.registry import find_feature
from fairlead.features.trial_bars import BARS_PER_SESSION, trial_bars, unit_of

_SEED: Final = 5001
_SYMBOLS: Final = 2
_PANEL: Final = 12  # symbols of a feature that compares them: more than the ten that a z-score needs
_BARS: Final = 150  # beyond the warm-up
_CUTS: Final = 6
_CLOSE: Final = 1e-9
_LEVELS: Final = (0.0, -1.0, 1e-300, 1e300, 5.0, 5.0, 1e8, 1e8)
_UNIT_CHANGES: Final = ((7.0, 1.0), (4.0, 1.0), (1.0, 3.0), (0.5, 2.0))


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """What a feature keeps and what it does not.

    Attributes
    ----------
    feature : str
    params : dict
        All parameters it was checked with.
    warm_up, state_size : int or None
        As declared for these; None if the declaration itself fails.
    checks : tuple of Check
    """

    feature: str
    params: Mapping[str, Any]
    warm_up: int | None
    state_size: int | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return it as mappings, lists, texts and numbers, for JSON."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.params.items())
        verdict = "keeps its contract" if self.passed else f"breaks its contract in {len(self.failures)} of {len(self.checks)}"
        return "\n".join([f"{self.feature}({given}): {verdict}", *check_lines(self.checks)])


def check_feature(
    feature: Feature | str,
    params: Params | None = None,
    columns: Mapping[str, ArrayLike] | None = None,
    *,
    seed: int = _SEED,
) -> FeatureCheck:
    """Check all that a feature has to keep.

    Machine code is run only if the plain Python of the kernel stays inside its declared state: beyond it, machine code would
    overwrite other memory.

    Parameters
    ----------
    feature : Feature or str
        A feature, a known name, or ``package.module:NAME``.
    params : mapping, optional
        Its parameters; short look-backs check faster.
    columns : mapping of str to array of float, shape (bars,) or (symbols, bars), optional
        Bars of your own for the checks that hold on any bars: machine code, streaming, truncation, range, units and gaps. By
        default they run on random ones, as the warm-up and the extreme bars always do.
    seed : int
        Of the random bars.

    Returns
    -------
    FeatureCheck
        A feature that fails is told in it and never raises, whatever its kernel raises.

    Raises
    ------
    UnknownName
        If the feature or a parameter is not known.
    ConfigurationError
        If the feature cannot be imported, or a parameter is out of range.
    ContractError
        If `columns` lacks a column that the feature reads, or holds arrays of different shapes.
    """
    found = find_feature(feature) if isinstance(feature, str) else feature
    name = feature if isinstance(feature, str) else found.name
    given = found.resolve(params or {})

    def find(asked: str) -> Feature:
        return found if asked == name else find_feature(asked)

    try:
        plan = make_plan({name: (name, given)}, find)
        trial = Trial(plan, plan.asked[name])
        declared = Check("declaration", True, f"{len(found.outputs)} outputs from {', '.join(plan.columns)}")
    except Exception as exc:  # noqa: BLE001  warm_up and state_size are the author's code and may raise anything
        failed = Check("declaration", False, _told(exc))
        return FeatureCheck(name, given, None, None, (failed,))
    size, warm_up = trial.node.state_size, trial.node.warm_up
    symbols = _PANEL if plan.compares_symbols else _SYMBOLS
    synthetic = trial_bars(plan.columns, symbols, warm_up + _BARS, seed)
    panel = synthetic if columns is None else _own(columns, plan.columns)
    checks = [declared, _made("state size", lambda: _state_size(trial, panel, _extreme(synthetic, seed)))]
    remaining: dict[str, Callable[[], str]] = {
        "machine code": lambda: _machine_code(trial, panel),
        "batch equals streaming": lambda: _streaming(trial, panel, seed),
        "truncation": lambda: _truncation(trial, panel, seed),
        "warm-up": lambda: _warm_up(trial, synthetic),
        "range": lambda: _range(trial, panel, seed),
        "units": lambda: _units(trial, panel),
        "gaps": lambda: _gaps(trial, panel, seed),
        "no infinity": lambda: _no_infinity(trial, panel, synthetic, seed),
    }
    safe = checks[-1].passed
    for title, check in remaining.items():
        checks.append(_made(title, check) if safe else Check(title, False, "not run: plain Python fails first"))
    return FeatureCheck(name, given, warm_up, size, tuple(checks))


class _Broken(Exception):
    """What a check found."""


def _made(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except _Broken as found:
        return Check(name, False, str(found))
    except Exception as exc:  # noqa: BLE001  a kernel may raise anything, and the report is where that is told
        return Check(name, False, _told(exc))


def _told(exc: Exception) -> str:
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}"


def _own(columns: Mapping[str, ArrayLike], names: tuple[str, ...]) -> dict[str, FloatArray]:
    missing = [name for name in names if name not in columns]
    if missing:
        raise ContractError.of("columns", f"have {', '.join(missing)}", sorted(columns))
    panel = {name: np.atleast_2d(np.asarray(columns[name], np.float64)) for name in names}
    shapes = {array.shape for array in panel.values()}
    if len(shapes) != 1 or any(array.ndim != 2 or not array.size for array in panel.values()):
        raise ContractError.of("columns", "have one shape, (bars,) or (symbols, bars)", sorted(shapes))
    return panel


def _state_size(trial: Trial, panel: Mapping[str, FloatArray], extreme: Mapping[str, FloatArray]) -> str:
    trial.first = trial.slowly(panel)
    with suppress(ArithmeticError, ValueError):  # an index may come from a price; the arithmetic is judged in machine code
        trial.slowly(extreme)
    return f"plain Python stays inside {trial.node.state_size} numbers"


def _machine_code(trial: Trial, panel: Mapping[str, FloatArray]) -> str:
    values = trial.history(panel)
    if not any(node.feature.compiled for node in trial.plan.nodes):
        _same("the first run", trial.first, "a later one", values)
        return "plain Python by declaration"
    _same("plain Python", trial.first, "machine code", values, tolerance=1e-12)
    return f"equal to plain Python within 1e-12 on {values[0].size} bars"


def _streaming(trial: Trial, panel: Mapping[str, FloatArray], seed: int) -> str:
    for bars in (panel, _with_gaps(panel, seed)):
        expected = trial.history(bars)
        for rows in (1, 37):
            _same("history", expected, f"{rows} bars at a time", trial.history(bars, rows))
    return f"{expected[0].size} bars, with gaps and without, one at a time and all at once"


def _truncation(trial: Trial, panel: Mapping[str, FloatArray], seed: int) -> str:
    values = trial.history(panel)
    bars = values.shape[-1]
    cuts = np.random.default_rng(seed).integers(1, bars, _CUTS) if bars > 1 else np.array([], np.int64)
    for end in cuts:
        cut = trial.history({name: column[:, :end] for name, column in panel.items()})
        _same("all bars", values[..., :end], f"the first {end}", cut)
    return f"{len(cuts)} cuts"


def _warm_up(trial: Trial, panel: Mapping[str, FloatArray]) -> str:
    values, warm_up = trial.history(panel), trial.node.warm_up
    owed = _owed(trial, values.shape[-1])
    for output, rows in zip(trial.outputs, values, strict=True):
        known = np.isfinite(rows)
        if known[:, :warm_up].any():
            first = int(known.any(axis=0).argmax())
            raise _Broken(f"{output.name}: declared {warm_up} bars without a value, and bar {first} has one")
        if not known[:, owed].all():
            absent = int(np.flatnonzero(owed & ~known.all(axis=0))[0])
            raise _Broken(f"{output.name}: declared {warm_up} bars without a value, and bar {absent} has none")
    return f"{warm_up} bars without a value, then one each"


def _owed(trial: Trial, bars: int) -> BoolArray:
    # A feature of sessions may warm up in each of them.
    t, warm_up = np.arange(bars), trial.node.warm_up
    if "session" in trial.plan.columns and warm_up < BARS_PER_SESSION:
        return np.asarray(t % BARS_PER_SESSION >= warm_up)
    return np.asarray(t >= warm_up)


def _range(trial: Trial, panel: Mapping[str, FloatArray], seed: int) -> str:
    flat = np.random.default_rng(seed).random(next(iter(panel.values())).shape) < 0.5
    level = {"price": 100.0, "volume": 0.0}
    standing = {name: np.where(flat, level.get(unit_of(name), c), c) for name, c in panel.items()}
    for bars in (panel, standing):
        for output, rows in zip(trial.outputs, trial.history(bars), strict=True):
            beyond = (rows < output.low) | (rows > output.high)
            if beyond.any():
                worst = float(rows[beyond][0])
                raise _Broken(f"{output.name}: {worst!r} is beyond the declared [{output.low:g}, {output.high:g}]")
    return ", ".join(f"{o.name} in [{o.low:g}, {o.high:g}]" for o in trial.outputs)


def _units(trial: Trial, panel: Mapping[str, FloatArray]) -> str:
    before = trial.history(panel)
    for price, volume in _UNIT_CHANGES:
        factor = {"price": price, "volume": volume, "none": 1.0}
        tolerance = 0.0 if {price, volume} <= {0.5, 1.0, 2.0, 4.0} else _CLOSE  # a power of two changes no digit
        after = trial.history({name: column * factor[unit_of(name)] for name, column in panel.items()})
        for output, old, new in zip(trial.outputs, before, after, strict=True):
            if output.unit != "other":
                expected = f"{output.name} times {factor[output.unit]:g}"
                what = f"prices times {price:g} and volumes times {volume:g}"
                _same(expected, old * factor[output.unit], what, new, tolerance=tolerance)
    return ", ".join(f"{o.name}: {o.unit}" for o in trial.outputs)


def _gaps(trial: Trial, panel: Mapping[str, FloatArray], seed: int) -> str:
    shape = next(iter(panel.values())).shape
    present = np.random.default_rng(seed).random(shape) > 0.2
    gappy = {name: np.where(present, column, np.nan) for name, column in panel.items()}
    values = trial.history(gappy)
    if np.isfinite(values[:, ~present]).any():
        raise _Broken("a bar that is missing has a value")
    if trial.plan.compares_symbols:
        return f"{int((~present).sum())} missing bars have no value"
    for s in range(shape[0]):
        without = trial.history({name: column[s : s + 1, present[s]] for name, column in panel.items()})
        _same("bars left out", without[:, 0], "bars that are NaN", values[:, s, present[s]])
    return f"{int((~present).sum())} missing bars change nothing for the others"


def _no_infinity(trial: Trial, panel: Mapping[str, FloatArray], synthetic: Mapping[str, FloatArray], seed: int) -> str:
    if trial.gives_infinity(panel):
        raise _Broken("the kernel gives an infinity, which becomes NaN: the value is lost")
    if np.isinf(trial.history(_extreme(synthetic, seed))).any():
        raise _Broken("an infinity on bars of 0, -1, 1e-300 and 1e300")
    flat = {name: c if name in TIMES else np.full(c.shape, 0.1) for name, c in synthetic.items()}
    owed = _owed(trial, next(iter(flat.values())).shape[1])
    if not np.isfinite(trial.history(flat)[..., owed]).all():
        raise _Broken("no value on bars that do not move; give the neutral one where the denominator is zero")
    return "extreme bars raise nothing, and bars that do not move have values"


def _extreme(panel: Mapping[str, FloatArray], seed: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {name: column if name in TIMES else rng.choice(_LEVELS, column.shape) for name, column in panel.items()}


def _with_gaps(panel: Mapping[str, FloatArray], seed: int) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    return {name: np.where(rng.random(column.shape) < 0.05, np.nan, column) for name, column in panel.items()}


def _same(name: str, expected: FloatArray, other: str, seen: FloatArray, *, tolerance: float = 0.0) -> None:
    if expected.shape != seen.shape:
        raise _Broken(f"{name} gives the shape {expected.shape}, {other} {seen.shape}")
    near = np.isclose(seen, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not near.all():
        place = tuple(int(i) for i in np.argwhere(~near)[0])
        raise _Broken(
            f"{name} gives {float(expected[place])!r}, {other} {float(seen[place])!r} at bar {place[-1]}; "
            f"{int((~near).sum())} of {near.size} values differ"
        )
