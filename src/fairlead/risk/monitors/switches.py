"""The kill switches of domain rule 7.3: each a pure measure of one frozen view, held against two levels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fairlead.core.sharpe import LEAST_OBSERVATIONS, probabilistic_sharpe, return_moments
from fairlead.risk.monitors.settings import HaltAction, KillSwitchSettings, LossSwitch, SwitchId

PSR_WINDOW: Final = 252
REDUCED: Final = 0.5
# A loss of exactly the level is not beyond it; this forgives the rounding of sums, as that of order quantities does.
_ROUNDING: Final = 1e-12
_UNKNOWN: Final = float("nan")
_FLATTEN: Final = HaltAction.HALT_AND_FLATTEN
_INVESTIGATE: Final = HaltAction.HALT_AND_INVESTIGATE


class Level(StrEnum):
    """Where a measure stands."""

    OK = "OK"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"
    """It cannot be measured: no new risk until it can be."""


class DrawdownGrade(StrEnum):
    """How far a drawdown has gone, and what it leaves of the limit on gross exposure: all, half, nothing."""

    NORMAL = "NORMAL"
    REDUCE = "REDUCE"
    HALT = "HALT"

    @property
    def gross_factor(self) -> float:
        """What limits on gross exposure are multiplied with."""
        return {"NORMAL": 1.0, "REDUCE": REDUCED, "HALT": 0.0}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorView:
    """What the switches may look at: a session, or the book of one strategy. What is NaN is not known.

    Parameters
    ----------
    strategy : str
        Whose book it is; empty for the whole session, which alone has connections, positions at a broker, and an operator.
    equity : float
        Currency, net of money paid in and out: on the capital that the book began with.
    epoch_equity, peak_equity, session_start_equity : float
        The same at the epoch, the highest since, and at the start of the session.
    daily_returns : sequence of float
        Net returns of the finished sessions since the epoch, as fractions, the oldest first.
    connection_failures : int
        Of the last hour.
    position_mismatches : int
        In how much our books and the broker's differ: positions, cash, executions and working orders.
    is_strict : bool
        Whether a mismatch halts; without, it is a warning.
    command : HaltAction, optional
        What an operator has commanded.
    """

    equity: float
    epoch_equity: float
    peak_equity: float
    session_start_equity: float = _UNKNOWN
    daily_returns: Sequence[float] = ()
    connection_failures: int = 0
    position_mismatches: int = 0
    is_strict: bool = True
    command: HaltAction | None = None
    strategy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one switch says.

    Parameters
    ----------
    measured : float, optional
        In the unit of the levels: percent points lost, a probability, a count; None if there is nothing to measure yet.
    warning, critical : float, optional
        The levels.
    action : HaltAction
        What a critical level calls for.
    """

    switch: SwitchId
    level: Level
    measured: float | None
    warning: float | None
    critical: float | None
    action: HaltAction
    strategy: str = ""

    @property
    def text(self) -> str:
        """A line for an alert: ``KS_PNL CRITICAL: 5.2, critical 5``."""
        whose = f" of {self.strategy}" if self.strategy else ""
        measured = (
            "not known" if self.level is Level.UNKNOWN else "nothing yet" if self.measured is None else f"{self.measured:g}"
        )
        named = (("warning", self.warning), ("critical", self.critical))
        levels = "".join(f", {name} {value:g}" for name, value in named if value is not None)
        return f"{self.switch.value}{whose} {self.level.value}: {measured}{levels}"


def evaluate(view: MonitorView, settings: KillSwitchSettings) -> tuple[Reading, ...]:
    """Return what every switch says that watches the view, in the order of the table."""
    return tuple(
        reading
        for switch, measure in _MEASURES
        if switch.value not in settings.disabled and (reading := measure(view, settings)) is not None
    )


def critical(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Return the readings that halt."""
    return tuple(reading for reading in readings if reading.level is Level.CRITICAL)


def warnings(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Return the readings that someone must hear of without a halt: warnings, and what cannot be measured."""
    return tuple(reading for reading in readings if reading.level in {Level.WARNING, Level.UNKNOWN})


def drawdown_grade(view: MonitorView, settings: KillSwitchSettings) -> DrawdownGrade:
    """Return how far the drawdown has gone; where it is not known, HALT. Without the option, NORMAL or HALT."""
    limits = settings.drawdown
    reduce_pct = settings.graded_drawdown.reduce_pct if settings.graded_drawdown.enabled else limits.critical_pct
    switch = LossSwitch(warning_pct=reduce_pct, critical_pct=limits.critical_pct)
    level, _ = _loss_level(view.peak_equity, view.equity, switch)
    graded = {Level.OK: DrawdownGrade.NORMAL, Level.WARNING: DrawdownGrade.REDUCE}
    return graded.get(level, DrawdownGrade.HALT)


def _beyond(base: float, equity: float, percent: float) -> bool:
    # Multiplied out: equity / base - 1 is beyond -5 % at exactly 95 of 100.
    return 100.0 * (base - equity) > percent * base * (1.0 + _ROUNDING)


def _loss_level(base: float, equity: float, switch: LossSwitch) -> tuple[Level, float | None]:
    if not (math.isfinite(base) and math.isfinite(equity) and base > 0.0):
        return Level.UNKNOWN, None
    measured = 100.0 * (base - equity) / base
    if _beyond(base, equity, switch.critical_pct):
        return Level.CRITICAL, measured
    return (Level.WARNING if _beyond(base, equity, switch.warning_pct) else Level.OK), measured


def _loss(
    switch: SwitchId, view: MonitorView, base: float, levels: LossSwitch, action: HaltAction = _FLATTEN
) -> Reading | None:
    if not levels.watches(view.strategy):
        return None
    level, measured = _loss_level(base, view.equity, levels)
    return Reading(
        switch=switch,
        level=level,
        measured=measured,
        warning=levels.warning_pct,
        critical=levels.critical_pct,
        action=action,
        strategy=view.strategy,
    )


def _pnl(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    return _loss(SwitchId.KS_PNL, view, view.epoch_equity, settings.pnl)


def _drawdown(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    return _loss(SwitchId.KS_DD, view, view.peak_equity, settings.drawdown)


def _daily(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    return _loss(SwitchId.KS_DAILY, view, view.session_start_equity, settings.daily)


def _drawdown_ml(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    return _loss(SwitchId.KS_DD_ML, view, view.peak_equity, settings.drawdown_ml)


def _psr(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    levels = settings.psr
    if not levels.watches(view.strategy):
        return None
    returns = view.daily_returns[-PSR_WINDOW:]
    measured = probabilistic_sharpe(return_moments(returns)) if len(returns) >= LEAST_OBSERVATIONS else None
    level = Level.OK
    if not all(map(math.isfinite, returns)):
        level = Level.UNKNOWN
    elif measured is not None and measured < levels.warning:
        level = Level.CRITICAL if measured < levels.critical else Level.WARNING
    return Reading(
        switch=SwitchId.KS_PSR,
        level=level,
        measured=measured,
        warning=levels.warning,
        critical=levels.critical,
        action=_INVESTIGATE,
        strategy=view.strategy,
    )


def _connection(view: MonitorView, settings: KillSwitchSettings) -> Reading | None:
    if view.strategy:
        return None
    levels, failures = settings.connection, view.connection_failures
    level = Level.CRITICAL if failures > levels.critical else Level.WARNING if failures >= levels.warning else Level.OK
    return Reading(
        switch=SwitchId.KS_CONN,
        level=level,
        measured=float(failures),
        warning=float(levels.warning),
        critical=float(levels.critical),
        action=_FLATTEN,
    )


def _reconciliation(view: MonitorView, _settings: KillSwitchSettings) -> Reading | None:
    if view.strategy:
        return None
    level = Level.OK if view.position_mismatches <= 0 else Level.CRITICAL if view.is_strict else Level.WARNING
    return Reading(
        switch=SwitchId.KS_RECON,
        level=level,
        measured=float(view.position_mismatches),
        warning=None,
        critical=0.0,
        action=_INVESTIGATE,
    )


def _manual(view: MonitorView, _settings: KillSwitchSettings) -> Reading | None:
    if view.strategy:
        return None
    return Reading(
        switch=SwitchId.KS_MANUAL,
        level=Level.OK if view.command is None else Level.CRITICAL,
        measured=None,
        warning=None,
        critical=None,
        action=view.command or _INVESTIGATE,
    )


_MEASURES: Final[tuple[tuple[SwitchId, Callable[[MonitorView, KillSwitchSettings], Reading | None]], ...]] = (
    (SwitchId.KS_PNL, _pnl),
    (SwitchId.KS_DD, _drawdown),
    (SwitchId.KS_PSR, _psr),
    (SwitchId.KS_DAILY, _daily),
    (SwitchId.KS_DD_ML, _drawdown_ml),
    (SwitchId.KS_CONN, _connection),
    (SwitchId.KS_RECON, _reconciliation),
    (SwitchId.KS_MANUAL, _manual),
)
