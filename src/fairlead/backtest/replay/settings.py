"""Settings of a replay, and what is known about one before it runs."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import FixedSlippage, NoSlippage, SlippageSettings

_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_SHORT: Final = {"commission_bps": "commission", "slippage_bps": "slippage"}


class ReplayCosts(Settings):
    """What a fill costs beside its price (domain rule 6.9).

    Parameters
    ----------
    commission : CommissionSettings
        Any model; 2 basis points of the traded value if not given. ``commission_bps=2`` is short for such a share.
    slippage : SlippageSettings
        ``fixed`` or ``none``; 1 basis point if not given. ``slippage_bps=1`` is short for it.
    slippage_on_limits : bool
        Charge slippage on limit entries and take-profits too. Off: they are at their price.
    """

    commission: CommissionSettings = CommissionSettings()
    slippage: SlippageSettings = SlippageSettings()
    slippage_on_limits: bool = True

    @model_validator(mode="before")
    @classmethod
    def _in_basis_points(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = dict(values)
        models = {"commission_bps": "bps", "slippage_bps": "fixed"}
        for short, name in _SHORT.items():
            if short not in given:
                continue
            if name in given:
                raise ConfigurationError.of(short, f"not be given beside {name}", given[short], "Leave one of them out.")
            given[name] = {"model": models[short], "params": {"bps": given.pop(short)}}
        return given

    @field_validator("slippage")
    @classmethod
    def _is_flat(cls, value: SlippageSettings) -> SlippageSettings:
        if not isinstance(value.build(), FixedSlippage | NoSlippage):
            remedy = "Models that look at volume or volatility belong to a backtest."
            raise ConfigurationError.of("slippage", "be 'fixed' or 'none' in a replay", value.model, remedy)
        return value


class ReplaySettings(Settings):
    """How a canonical order file is replayed over bars (domain rules 6.8-6.10). Every assumption is a field.

    Parameters
    ----------
    tz : str
        IANA zone of the exchange: `windows` are local times in it. Stamps are UTC, always.
    calendar : str
        Exchange whose sessions bars and fills lie in.
    costs : ReplayCosts
    initial_cash : float
        Currency.
    requested_end : datetime or date, optional
        Bars that close later are left out; a date is the close of its session, or of the last one before it.
    limit_fill_on_touch : bool
        Fill limit entries that are only touched. Off: the price must trade through (R3).
    target_fill_on_touch : bool
        Fill take-profits that are only touched, as R6 and R7 say. Off: as a backtest with ``limit_fill_on_touch: false`` does.
    arrival_grace_ms : float
        An order that becomes valid no later than this after a bar's opening meets that bar. 0 is R1 to the letter; orders that
        were exported from a backtest with latency are valid from their arrival.
    allow_same_bar_exit : bool
        Let exits meet the bar of their entry (R6). Off only with one-minute execution bars: exits begin with the next bar.
    oco_same_bar_policy : {'pessimistic', 'no_fill'}
        When two legs of a set trigger in one bar: the one that was reached first fills, or neither does (R5).
    exit_policy : {'session_end', 'window_end'}
        When a position is closed that no exit has closed (R8).
    windows : tuple of str
        ``HH:MM-HH:MM`` in `tz`, for ``window_end``. Without them the window of an order ends at its ``valid_to``.
    risk_free : float
        Per year, as a fraction.
    """

    tz: str = "America/New_York"
    calendar: str = "XNYS"
    costs: ReplayCosts = ReplayCosts()
    initial_cash: float = Field(default=10_000.0, gt=0)
    requested_end: dt.datetime | dt.date | None = None
    limit_fill_on_touch: bool = False
    target_fill_on_touch: bool = True
    arrival_grace_ms: float = Field(default=0.0, ge=0, le=60_000)
    allow_same_bar_exit: bool = True
    oco_same_bar_policy: Literal["pessimistic", "no_fill"] = "pessimistic"
    exit_policy: Literal["session_end", "window_end"] = "session_end"
    windows: tuple[str, ...] = ()
    risk_free: float = 0.0

    @property
    def grace_ns(self) -> int:
        """`arrival_grace_ms` in nanoseconds."""
        return int(self.arrival_grace_ms * 1e6)

    @classmethod
    def like(cls, execution: ExecutionSettings, **values: Any) -> Self:
        """Return settings under which a replay fills as a backtest with `execution` does; `values` are the others.

        A replay knows neither latency nor a share of the volume: a backtest agrees with it where every order arrives within
        `arrival_grace_ms`, and `max_bar_participation` leaves room for it.
        """
        costs = ReplayCosts(
            commission=execution.commission, slippage=execution.slippage, slippage_on_limits=execution.slippage_on_limits
        )
        given: dict[str, Any] = {
            "costs": costs,
            "limit_fill_on_touch": execution.limit_fill_on_touch,
            "target_fill_on_touch": execution.limit_fill_on_touch,
            "arrival_grace_ms": execution.arrival_grace_ms,
            "allow_same_bar_exit": execution.allow_same_bar_exit,
            "oco_same_bar_policy": execution.oco_same_bar,
        }
        return cls(**given | values)

    @field_validator("tz")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as exc:
            raise ConfigurationError.of("tz", "be an IANA time zone like America/New_York", value) from exc
        return value

    @field_validator("requested_end", mode="before")
    @classmethod
    def _is_instant(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return dt.date.fromisoformat(value) if "T" not in value and " " not in value else dt.datetime.fromisoformat(value)
        except ValueError as exc:
            rule = "be a date like 2025-01-31 or an instant like 2025-01-31T21:00:00Z"
            raise ConfigurationError.of("requested_end", rule, value) from exc

    @field_validator("requested_end", mode="after")
    @classmethod
    def _is_aware(cls, value: dt.datetime | dt.date | None) -> dt.datetime | dt.date | None:
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            raise ConfigurationError.of("requested_end", "carry a time zone", value.isoformat(), "Or give a date alone.")
        return value

    @field_validator("windows")
    @classmethod
    def _are_windows(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for text in value:
            match = _WINDOW.fullmatch(text)
            if match is None or text[:5] >= text[6:]:
                raise ConfigurationError.of("windows", "be HH:MM-HH:MM with the start before the end", text)
            found.append((text[:5], text[6:]))
        for (_, end), (start, _) in pairwise(sorted(found)):
            if start < end:
                raise ConfigurationError.of("windows", "not overlap", list(value))
        return value

    @model_validator(mode="after")
    def _has_a_use_for_windows(self) -> Self:
        if self.windows and self.exit_policy != "window_end":
            remedy = "Set exit_policy: window_end, or leave them out."
            raise ConfigurationError.of("windows", "be empty with exit_policy 'session_end'", list(self.windows), remedy)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAbout:
    """The identity of a replay: what its manifest says of it beside what happened.

    Parameters
    ----------
    run_id : str
    created_at : datetime
        Aware; from the clock of whoever starts the run.
    title : str
        First line of ``label.txt``; the run id if empty.
    mode : str
    strategy, strategy_version : str
        Of the orders, if empty.
    params : mapping
        Of the strategy.
    sizing : mapping, optional
        How quantities were computed.
    seed : int
    """

    run_id: str
    created_at: dt.datetime
    title: str = ""
    mode: str = "insidebar_intraday"
    strategy: str = ""
    strategy_version: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    sizing: Mapping[str, Any] | None = None
    seed: int = 42
