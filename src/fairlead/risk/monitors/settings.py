"""Levels of the kill switches and what follows a halt; the defaults are those of domain rule 7.3."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.risk.percent import no_switch, percent

_MINUTES_PER_DAY: Final = 1_440


class SwitchId(StrEnum):
    """The kill switches, in the order in which they are evaluated."""

    KS_PNL = "KS_PNL"
    KS_DD = "KS_DD"
    KS_PSR = "KS_PSR"
    KS_DAILY = "KS_DAILY"
    KS_DD_ML = "KS_DD_ML"
    KS_CONN = "KS_CONN"
    KS_RECON = "KS_RECON"
    KS_MANUAL = "KS_MANUAL"


class HaltAction(StrEnum):
    """What a tripped switch calls for. Both block every order that adds risk and cancel what works."""

    HALT_AND_FLATTEN = "HALT_AND_FLATTEN"
    """Close every position too."""
    HALT_AND_INVESTIGATE = "HALT_AND_INVESTIGATE"
    """Keep positions, with the orders that protect them."""


Percent = Annotated[float, BeforeValidator(no_switch), AfterValidator(percent("0.1", "100"))]
"""A loss in percent points: 5 means 5 %. A fraction such as 0.05 is refused, with the percentage that was meant."""
Probability = Annotated[float, BeforeValidator(no_switch), Field(gt=0, lt=1)]
Strategies = tuple[Annotated[str, Field(min_length=1)], ...]


class EquitySwitch(Settings):
    """Whose equity a switch watches.

    Parameters
    ----------
    session : bool
        The whole session's.
    strategies : tuple of str
        Single strategies that opt in, each by its own book; a trip halts that strategy alone.
    """

    session: bool = True
    strategies: Strategies = ()

    def watches(self, strategy: str) -> bool:
        """Whether it watches the book of `strategy`, or the session's if that is empty."""
        return strategy in self.strategies if strategy else self.session


class LossSwitch(EquitySwitch):
    """A loss or a drawdown.

    Parameters
    ----------
    warning_pct, critical_pct : float
        In percent points of the base, as positive numbers; only more than that counts. Above 0.1, to 100.
    """

    warning_pct: Percent
    critical_pct: Percent

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warning_pct > self.critical_pct:
            raise ConfigurationError.of("warning_pct", f"be at most critical_pct ({self.critical_pct:g})", self.warning_pct)
        return self


class PsrSwitch(EquitySwitch):
    """The probability that the true Sharpe ratio of the daily net returns is above 0.

    Parameters
    ----------
    warning, critical : float
        Probabilities; only less than that counts.
    """

    warning: Probability = 0.30
    critical: Probability = 0.20

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warning < self.critical:
            raise ConfigurationError.of("warning", f"be at least critical ({self.critical:g})", self.warning)
        return self


class ConnectionSwitch(Settings):
    """Failures of the broker's connection in the last hour.

    Parameters
    ----------
    warning : int
        So many are a warning.
    critical : int
        More than so many are critical.
    """

    warning: Annotated[int, BeforeValidator(no_switch), Field(ge=1, le=1_000)] = 2
    critical: Annotated[int, BeforeValidator(no_switch), Field(ge=1, le=1_000)] = 3

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warning > self.critical + 1:
            raise ConfigurationError.of("warning", f"be at most one above critical ({self.critical})", self.warning)
        return self


class GradedDrawdown(Settings):
    """Halve what may be held before a drawdown halts everything.

    Parameters
    ----------
    enabled : bool
    reduce_pct : float
        In percent points of the peak: beyond it, limits on gross exposure are halved. It halts at the drawdown switch's level.
    """

    enabled: bool = False
    reduce_pct: Percent = 10.0


class KillSwitchSettings(Settings):
    """Levels of the kill switches.

    Parameters
    ----------
    pnl : LossSwitch
        KS_PNL: loss since the epoch, which is the start or the last re-arm.
    drawdown : LossSwitch
        KS_DD: distance from the peak since the epoch.
    psr : PsrSwitch
        KS_PSR.
    daily : LossSwitch
        KS_DAILY: loss of the session of trading; of strategies that opt in.
    drawdown_ml : LossSwitch
        KS_DD_ML: a tighter drawdown, of strategies that opt in.
    connection : ConnectionSwitch
        KS_CONN.
    graded_drawdown : GradedDrawdown
    lock_hours : float
        A halt cannot be lifted before so long; one for a daily loss not before the next session. 0 to 720.
    cool_off_minutes : float
        After a re-arm limits are 0 for so long, and then grow to their full size in as long again. 0 to 1440.
    disabled : tuple of str
        Switches that are not to be evaluated, such as ``KS_PSR``; the manual one cannot be.
    """

    pnl: LossSwitch = LossSwitch(warning_pct=3.0, critical_pct=5.0)
    drawdown: LossSwitch = LossSwitch(warning_pct=10.0, critical_pct=15.0)
    psr: PsrSwitch = PsrSwitch()
    daily: LossSwitch = LossSwitch(session=False, warning_pct=1.6, critical_pct=2.0)
    drawdown_ml: LossSwitch = LossSwitch(session=False, warning_pct=8.0, critical_pct=10.0)
    connection: ConnectionSwitch = ConnectionSwitch()
    graded_drawdown: GradedDrawdown = GradedDrawdown()
    lock_hours: Annotated[float, BeforeValidator(no_switch), Field(ge=0, le=720)] = 24.0
    cool_off_minutes: Annotated[float, BeforeValidator(no_switch), Field(ge=0, le=_MINUTES_PER_DAY)] = 30.0
    disabled: tuple[
        Literal["KS_PNL", "KS_DD", "KS_PSR", "KS_DAILY", "KS_DD_ML", "KS_CONN", "KS_RECON"],
        ...,
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _parts_of_a_switch(cls, values: Any) -> Any:
        # `pnl: {critical_pct: 4}` changes one level and keeps the switch's other defaults.
        if not isinstance(values, dict):
            return values
        whole = dict(values)
        for name in ("pnl", "drawdown", "daily", "drawdown_ml"):
            if isinstance(given := whole.get(name), dict):
                whole[name] = {**cls.model_fields[name].default.model_dump(), **given}
        return whole

    @model_validator(mode="after")
    def _reduces_before_it_halts(self) -> Self:
        graded = self.graded_drawdown
        if graded.enabled and graded.reduce_pct >= self.drawdown.critical_pct:
            rule = f"be below drawdown.critical_pct ({self.drawdown.critical_pct:g})"
            raise ConfigurationError.of("graded_drawdown.reduce_pct", rule, graded.reduce_pct)
        return self

    @property
    def watched_strategies(self) -> tuple[str, ...]:
        """Strategies that opted in to a switch, sorted: each needs a view of its own."""
        switches = (self.pnl, self.drawdown, self.psr, self.daily, self.drawdown_ml)
        return tuple(sorted({name for switch in switches for name in switch.strategies}))
