"""`SessionSettings`: the shape of a configuration file, composed of the settings that stand beside each component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from fairlead.config.live import BrokerSettings, RealtimeClockSettings
from fairlead.config.rules import one_of
from fairlead.contracts.enforcement import EnforcementSettings
from fairlead.contracts.market_messages import Symbol
from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.identity import slug
from fairlead.core.instruments import Instrument
from fairlead.core.redaction import REDACTED
from fairlead.data.live.settings import LiveDataSettings, ReplayDataSettings
from fairlead.data.settings import DataSettings
from fairlead.engine.clock import ClockSettings
from fairlead.engine.universe import UniverseSettings
from fairlead.execution.reconciliation import ReconciliationSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.features.settings import FeatureSettings
from fairlead.journal.settings import JournalSettings
from fairlead.risk.position import SizingRule
from fairlead.risk.settings import RiskSettings
from fairlead.sdk.limits import RiskLimits

Mode = Literal["backtest", "replay", "paper", "live"]
# Architecture, section 4: modes differ only in the clock, the source and the execution that are wired in.
_WIRING: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "backtest": {"clock": ("historical",), "data": ("historical",), "execution": ("simulated",)},
        "replay": {"clock": ("historical",), "data": ("historical", "replay"), "execution": ("simulated",)},
        "paper": {"clock": ("realtime", "historical"), "data": ("live", "replay"), "execution": ("simulated", "broker")},
        "live": {"clock": ("realtime",), "data": ("live",), "execution": ("broker",)},
    }
)
# Where money or its rehearsal is at stake, the guards' defaults hold without a word.
_ARMED_BY_DEFAULT: Final = ("paper", "live")
# The upper end of `RiskLimits.max_leverage`: as a limit that only tightens, it changes nothing.
_NO_TIGHTER_LEVERAGE: Final = 20.0


def _tightening_only_what_is_given(value: Any) -> Any:
    # The default of `RiskLimits` is a strategy's; here it would tighten a limit that the file never mentions.
    if value is None:
        value = {}
    return {"max_leverage": _NO_TIGHTER_LEVERAGE, **value} if isinstance(value, Mapping) else value


class StrategySettings(Settings):
    """One strategy of a session.

    Parameters
    ----------
    name : str
        Names this strategy in results and orders; unique in the session.
    strategy : str, optional
        A registered strategy or ``package.module:Class``; `name` if not given.
    enabled : bool
        Whether it trades.
    capital : float
        Its own starting capital, in account currency.
    params : dict
        Values of its declared parameters.
    risk_limits : RiskLimits
        Limits that tighten the strategy's own; what is not given tightens nothing.
    sizing : SizingRule, optional
        Sizes the orders whose size the strategy leaves to the session.
    """

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^|]+$")
    strategy: str | None = Field(default=None, min_length=1)
    enabled: bool = True
    capital: float = Field(gt=0, le=1e12, description="Give its starting capital, such as 100_000.")
    params: dict[str, Any] = Field(default_factory=dict)
    risk_limits: Annotated[RiskLimits, BeforeValidator(_tightening_only_what_is_given)] = RiskLimits(
        max_leverage=_NO_TIGHTER_LEVERAGE
    )
    sizing: SizingRule | None = None

    @property
    def reference(self) -> str:
        """What the registry looks up."""
        return self.strategy if self.strategy is not None else self.name


class InstrumentSettings(Settings):
    """What differs from the default instrument, a US equity. See `Instrument` for the meaning of each field."""

    tick_size: float | None = Field(default=None, gt=0, le=1e6)
    lot_step: float = Field(default=1.0, gt=0, le=1e9)
    min_quantity: float = Field(default=1.0, gt=0, le=1e9)
    multiplier: float = Field(default=1.0, gt=0, le=1e9)
    calendar: str = Field(default="XNYS", min_length=1)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    shortable: bool = True

    def instrument(self, symbol: str) -> Instrument:
        """Return the instrument that these settings describe."""
        return Instrument(symbol=symbol, **self.model_dump())


class ReportSettings(Settings):
    """What a run writes beside its numbers.

    Parameters
    ----------
    html : bool
        The self-contained HTML report.
    plots : bool
        The PNG pictures of equity and drawdown.
    """

    html: bool = True
    plots: bool = True


def _tagged_by_type(default: str, *same: str) -> Callable[[Any], str]:
    def tag(value: Any) -> str:
        found = str(value.get("type", default) if isinstance(value, Mapping) else getattr(value, "type", default))
        return default if found in same else found

    return tag


def _or_defaults(value: Any) -> Any:
    # "clock:" with nothing after it asks for the defaults, as leaving the key out does.
    return {} if value is None else value


def _journal_of_sessions(settings: JournalSettings) -> JournalSettings:
    """Return the settings of a journal, if sessions one after another can share it and no copy of them shows its password."""
    scheme, separator, rest = settings.url.partition("://")
    user = rest.partition("?")[0].rpartition("@")[0] if separator and scheme != "sqlite" else ""
    if "/" in user or "@" in user:
        # A password would be taken to end there, and its rest to be part of what is shown.
        rule, remedy = "have no plain / or @ in user, password and name", "Write / as %2F and @ as %40 there."
        raise ConfigurationError.of("url", rule, REDACTED, remedy)
    if settings.head and not settings.url:
        remedy = "Name the journal that it is the head of, or leave it out: each session has a journal of its own then."
        raise ConfigurationError.of("head", "stand beside a url", settings.head, remedy)
    return settings


def _unique(strategies: tuple[StrategySettings, ...]) -> tuple[StrategySettings, ...]:
    seen: set[str] = set()
    for i, entry in enumerate(strategies):
        # Results and orders carry the slug: "a b" and "a_b" would be one strategy there.
        if slug(entry.name) in seen:
            raise ConfigurationError.of(f"{i}.name", "be unique", entry.name, "Name one of the two otherwise.")
        seen.add(slug(entry.name))
    if not any(entry.enabled for entry in strategies):
        raise ConfigurationError("at least one strategy must be enabled. Set enabled: true on one.")
    return strategies


Clock = Annotated[
    Annotated[ClockSettings, Tag("historical")] | Annotated[RealtimeClockSettings, Tag("realtime")],
    Discriminator(_tagged_by_type("historical")),
]
Data = Annotated[
    Annotated[DataSettings, Tag("historical")]
    | Annotated[ReplayDataSettings, Tag("replay")]
    | Annotated[LiveDataSettings, Tag("live")],
    Discriminator(_tagged_by_type("historical")),
]
Execution = Annotated[
    Annotated[ExecutionSettings, Tag("simulated")] | Annotated[BrokerSettings, Tag("broker")],
    Discriminator(_tagged_by_type("simulated")),
]


class SessionSettings(Settings):
    """Everything that one session needs.

    Parameters
    ----------
    mode : {'backtest', 'replay', 'paper', 'live'}
        Decides which clock, data and execution fit.
    name : str, optional
        Title of the run.
    seed : int
        Root of every random stream.
    clock, data, execution : settings of the three parts in which modes differ
    strategies : tuple of StrategySettings
        At least one.
    universe : UniverseSettings
        Which symbols a strategy may choose from, session by session.
    features, report : settings
    instruments : dict of symbol to InstrumentSettings
        Only what differs from a US equity.
    risk : RiskSettings, optional
        Guards and validator, armed by the section being there; in a file it may be the path of one that holds it. Paper and
        live sessions arm the defaults without it.
    journal : JournalSettings
        Of sessions in real time; without a URL each has a file of its own in its folder.
    reconciliation : ReconciliationSettings
        How often the books of a session in real time are held against the broker's, and what follows from a difference.
    enforcement : EnforcementSettings
        What a broken rule leads to; the environment may switch it.
    record : bool
        Keep every event of the run in the order in which it happened, intents included.
    workspace : path, optional
        Where results go; None lets the command line decide.
    """

    mode: Mode = Field(description="Write mode: backtest.")
    name: str | None = Field(default=None, min_length=1, max_length=200)
    seed: int = Field(default=42, ge=0, lt=2**63)
    clock: Annotated[Clock, BeforeValidator(_or_defaults)] = Field(default_factory=ClockSettings)
    data: Data
    execution: Annotated[Execution, BeforeValidator(_or_defaults)] = Field(default_factory=ExecutionSettings)
    strategies: Annotated[tuple[StrategySettings, ...], AfterValidator(_unique)] = Field(min_length=1)
    universe: Annotated[UniverseSettings, BeforeValidator(_or_defaults)] = UniverseSettings()
    features: Annotated[FeatureSettings, BeforeValidator(_or_defaults)] = FeatureSettings()
    instruments: Annotated[dict[Symbol, InstrumentSettings], BeforeValidator(_or_defaults)] = Field(default_factory=dict)
    report: Annotated[ReportSettings, BeforeValidator(_or_defaults)] = ReportSettings()
    risk: RiskSettings | None = None
    journal: Annotated[JournalSettings, BeforeValidator(_or_defaults), AfterValidator(_journal_of_sessions)] = JournalSettings()
    reconciliation: Annotated[ReconciliationSettings, BeforeValidator(_or_defaults)] = ReconciliationSettings()
    enforcement: Annotated[EnforcementSettings, BeforeValidator(_or_defaults)] = EnforcementSettings()
    record: bool = False
    workspace: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _section_that_is_there_arms(cls, data: Any) -> Any:
        # "risk:" with nothing after it asks for the defaults; only a file without the key has no guards.
        return {**data, "risk": {}} if isinstance(data, Mapping) and data.get("risk", 0) is None else data

    @property
    def title(self) -> str:
        """What a person calls the run: its name, or its strategies'."""
        return self.name or " + ".join(entry.name for entry in self.strategies if entry.enabled)

    @property
    def armed(self) -> RiskSettings | None:
        """Guards, validator and kill switches in force; None if there are none.

        Where data comes as it happens the defaults hold without a word. History that is played again gives what a backtest
        gives: what the file says.
        """
        is_rehearsal = self.mode in _ARMED_BY_DEFAULT and self.data.type == "live"
        return self.risk or (RiskSettings() if is_rehearsal else None)

    @model_validator(mode="after")
    def _fits_its_mode(self) -> Self:
        for name, allowed in _WIRING[self.mode].items():
            found = getattr(self, name).type
            if found not in allowed:
                raise ConfigurationError.of(f"{name}.type", f"be {one_of(allowed)} in mode {self.mode}", found)
        clock = "realtime" if self.data.type == "live" else "historical"
        if self.clock.type != clock:
            raise ConfigurationError.of("clock.type", f"be {clock!r} with data.type {self.data.type}", self.clock.type)
        return self
