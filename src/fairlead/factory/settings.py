"""The configuration of a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator

from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.contracts.cells import check_text
from fairlead.contracts.enforcement import EnforcementSettings
from fairlead.contracts.settings import Settings
from fairlead.contracts.signals.candidates import MAX_CANDIDATES
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import BarSize
from fairlead.factory.signal_part import SignalSettings
from fairlead.factory.sources import FactoryData, SyntheticData, Zone
from fairlead.risk import SizingConfig


class LevelSettings(Settings):
    """Thresholds of the service levels that bars must meet.

    Parameters
    ----------
    min_completeness : float
        Share of the calendar's bars that must be there.
    lookback_bars : int
        How many of the last bars must be without a gap.
    """

    min_completeness: float = Field(default=0.99, ge=0, le=1)
    lookback_bars: int = Field(default=50, ge=1, le=100_000)


class CandidateSettings(Settings):
    """How a closed session selects for the next.

    Parameters
    ----------
    max_candidates : int
        Most symbols that may have signals in a session.
    lookback_sessions : int
        How many daily bars the plug-in is shown, at most.
    """

    max_candidates: int = Field(default=MAX_CANDIDATES, ge=1, le=10_000)
    lookback_sessions: int = Field(default=60, ge=1, le=10_000)


_STATED_ELSEWHERE: Final = {"tz": "tz", "calendar": "data", "requested_end": "data.end"}


def _bar_size(value: Any) -> Any:
    return BarSize.parse(value) if isinstance(value, str) else value


def _or_defaults(value: Any) -> Any:
    return {} if value is None else value


class FactorySettings(Settings):
    """Everything that one line needs.

    Parameters
    ----------
    name : str
        Title of the run.
    run_id : str, optional
        Names the run; made of the time, `name` and a hash of the configuration if left out.
    seed : int
        Recorded with the run; the line itself draws nothing.
    data : settings of a synthetic market, a dataset or files
    tz : str, optional
        IANA zone of strategies' windows and of messages; the exchange's if left out.
    timeframe : BarSize
        Size of the bars in which signals are sought.
    enforcement : EnforcementSettings
        How strictly broken rules are held.
    sla, candidates, signals, sizing, replay : settings of the stages
        Positions are sized by the cash with which the replay starts.
    workspace : path, optional
        Where results go; None lets the command line decide.
    """

    name: str = Field(default="Signal factory", min_length=1, max_length=200)
    run_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$")
    seed: int = Field(default=42, ge=0, lt=2**63)
    data: FactoryData
    tz: Zone | None = None
    timeframe: Annotated[BarSize, BeforeValidator(_bar_size)] = BarSize.M5
    enforcement: Annotated[EnforcementSettings, BeforeValidator(_or_defaults)] = EnforcementSettings()
    sla: Annotated[LevelSettings, BeforeValidator(_or_defaults)] = LevelSettings()
    candidates: Annotated[CandidateSettings, BeforeValidator(_or_defaults)] = CandidateSettings()
    signals: SignalSettings = Field(description="Write signals: {model: opening_range}.")
    sizing: SizingConfig
    replay: Annotated[ReplaySettings, BeforeValidator(_or_defaults)] = ReplaySettings()
    workspace: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _size_by_cash(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        replay, sizing = value.get("replay") or {}, value.get("sizing") or {}
        if isinstance(replay, Mapping) and isinstance(sizing, Mapping):
            cash = replay.get("initial_cash", ReplaySettings.model_fields["initial_cash"].default)
            return {**value, "sizing": {"equity": cash, **sizing}}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.timeframe.is_intraday:
            raise ConfigurationError.of("timeframe", "be an intraday bar size", self.timeframe.value)
        check_text("name", self.name)
        try:
            self.signals.build().require(self.timeframe)
        except ConfigurationError as exc:
            raise ConfigurationError(str(exc).replace("'", "'signals.params.", 1)) from exc
        for name, place in _STATED_ELSEWHERE.items():
            if name in self.replay.model_fields_set:
                rule = f"be left out, as it follows from {place}"
                raise ConfigurationError.of(f"replay.{name}", rule, str(getattr(self.replay, name)))
        return self

    @property
    def expected_symbols(self) -> int:
        """How many symbols there will be, 0 if only the data can tell."""
        return len(self.data.names if isinstance(self.data, SyntheticData) else self.data.symbols)
