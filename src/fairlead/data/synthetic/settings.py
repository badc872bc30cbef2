"""What the synthetic market looks like: every assumption of the generator, named."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize

MAX_SYMBOLS: Final = 10_000
REGIMES: Final = ("calm", "normal", "storm")

Probability = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class RegimeSettings(Settings):
    """A three-state Markov chain over sessions, shared by the whole market; each triple is (calm, normal, storm).

    Calm and storm reach each other only through normal.

    Parameters
    ----------
    volatility : triple of float
        Volatility relative to the other states. The generator rescales it so that the long-run variance of a symbol is the one
        that was asked for.
    drift : triple of float
        Expected return per year, as a fraction.
    stay : triple of float
        Probability that the next session is in the same state.
    storm_frac : float
        Share of the departures from normal that end in a storm.
    """

    volatility: tuple[Positive, Positive, Positive] = (0.6, 1.0, 2.2)
    drift: tuple[float, float, float] = (0.12, 0.06, -0.25)
    stay: tuple[Probability, Probability, Probability] = (0.98, 0.97, 0.93)
    storm_frac: Probability = 0.35

    def stationary(self) -> tuple[float, float, float]:
        """Return the long-run share of sessions in each state."""
        calm, normal, storm = self.stay
        # Detailed balance holds because the chain has no cycle.
        weights = ((1 - normal) * (1 - self.storm_frac) / (1 - calm), 1.0, (1 - normal) * self.storm_frac / (1 - storm))
        total = sum(weights)
        return (weights[0] / total, weights[1] / total, weights[2] / total)

    def multipliers(self) -> tuple[float, float, float]:
        """Return what multiplies volatility in each state; the long-run mean of its square is 1."""
        square = sum(share * level**2 for share, level in zip(self.stationary(), self.volatility, strict=True))
        scale = 1.0 / math.sqrt(square)
        return (self.volatility[0] * scale, self.volatility[1] * scale, self.volatility[2] * scale)


class JumpSettings(Settings):
    """Jumps: Poisson arrivals during the session with Student-t sizes, independent between symbols.

    Parameters
    ----------
    per_session : float
        Expected jumps of one symbol in one session; 0 switches them off.
    variance_frac : float
        Share of a symbol's variance that comes from jumps.
    degrees_of_freedom : float
        Of the t distribution; the variance must exist, hence above 2.
    """

    per_session: float = Field(default=0.05, ge=0, le=20)
    variance_frac: float = Field(default=0.10, ge=0, lt=0.9)
    degrees_of_freedom: float = Field(default=4.0, gt=2, le=100)

    @property
    def share(self) -> float:
        """The share of variance in force: none without arrivals."""
        return self.variance_frac if self.per_session > 0 else 0.0


class QuoteSettings(Settings):
    """Best bid and offer around the path of the bars.

    Parameters
    ----------
    per_minute : float
        Expected quotes per minute, averaged over the session; they arrive as volume does, most at open and close.
    spread_bps : float
        Full spread in a normal regime at midday, in basis points of the price; never less than one tick.
    lot : float
        Unit of displayed sizes.
    mean_lots : float
        Mean displayed size, in lots.
    """

    per_minute: float = Field(default=20.0, gt=0, le=1000)
    spread_bps: float = Field(default=2.0, gt=0, le=500)
    lot: float = Field(default=100.0, gt=0)
    mean_lots: float = Field(default=5.0, ge=1, le=10_000)


class SyntheticSettings(Settings):
    """A seeded synthetic market: what to generate, and from which model.

    Parameters
    ----------
    symbols : int or tuple of str
        Names, or how many; a count gives SYN001, SYN002, ...
    bar_size : BarSize
    calendar : str
        Name of the exchange calendar.
    start, end : date
        First and last day; sessions between them, both included, are generated.
    seed : int
        Root of every random stream.
    volatility : pair of float
        Range from which each symbol draws its yearly volatility, as a fraction.
    correlation : float
        Of the session returns of two symbols in different sectors.
    sector_correlation : float
        Of the session returns of two symbols in one sector.
    sectors : int
        How many there are; each symbol belongs to one.
    smile : float
        How much higher variance and volume are at the open than at midday: 3.0 means four times. The close gets 60 % of it.
    overnight_frac : float
        Share of a symbol's variance that happens between close and open.
    start_price : pair of float
        Range from which each symbol draws its price before the first session, in currency.
    session_volume : pair of float
        Range from which each symbol draws its mean volume per session, in units.
    tick : float
        Price grid, in currency.
    regimes, jumps, quotes
        The parts of the model with settings of their own.
    """

    symbols: Annotated[int, Field(ge=1, le=MAX_SYMBOLS)] | tuple[str, ...] = 10
    bar_size: Annotated[BarSize, BeforeValidator(lambda v: BarSize.parse(v) if isinstance(v, str) else v)] = BarSize.M1
    calendar: str = "XNYS"
    start: dt.date
    end: dt.date
    seed: int = Field(default=42, ge=0)
    volatility: tuple[Positive, Positive] = (0.15, 0.45)
    correlation: float = Field(default=0.30, ge=0, lt=1)
    sector_correlation: float = Field(default=0.50, ge=0, lt=1)
    sectors: int = Field(default=8, ge=1, le=1000)
    smile: float = Field(default=3.0, ge=0, le=100)
    overnight_frac: float = Field(default=0.20, ge=0, lt=1)
    start_price: tuple[Positive, Positive] = (20.0, 200.0)
    session_volume: tuple[Positive, Positive] = (2e5, 2e7)
    tick: float = Field(default=0.01, gt=0)
    regimes: RegimeSettings = RegimeSettings()
    jumps: JumpSettings = JumpSettings()
    quotes: QuoteSettings = QuoteSettings()

    @field_validator("symbols")
    @classmethod
    def _symbols(cls, value: int | tuple[str, ...]) -> int | tuple[str, ...]:
        if isinstance(value, int):
            return value
        names = tuple(check_symbol(name) for name in value)
        if not 1 <= len(names) <= MAX_SYMBOLS:
            raise ConfigurationError.of("symbols", f"have from 1 to {MAX_SYMBOLS} names", len(names))
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigurationError.of("symbols", "name each symbol once", twice, "Drop the repetition.")
        return names

    @field_validator("volatility", "start_price", "session_volume")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ConfigurationError.of("range", "be (low, high) with low <= high", value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.end < self.start:
            raise ConfigurationError.of("end", f"not be before start ({self.start})", str(self.end))
        if self.volatility[1] > 5:
            raise ConfigurationError.of("volatility", "be at most 5 per year", self.volatility, "0.3 means 30 % per year.")
        if self.sector_correlation < self.correlation:
            raise ConfigurationError.of(
                "sector_correlation", f"be at least the correlation ({self.correlation})", self.sector_correlation
            )
        if self.sector_correlation > 1 - self.jumps.share:
            raise ConfigurationError.of(
                "sector_correlation",
                f"be at most {1 - self.jumps.share:g}, because jumps are independent",
                self.sector_correlation,
                "Lower jumps.variance_frac or the correlation.",
            )
        if self.overnight_frac + self.jumps.share >= 1:
            raise ConfigurationError.of(
                "overnight_frac", "leave variance for the session beside jumps.variance_frac", self.overnight_frac
            )
        if self.tick > self.start_price[0]:
            raise ConfigurationError.of("tick", f"not exceed the lowest start_price ({self.start_price[0]})", self.tick)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols, in the order given."""
        if not isinstance(self.symbols, int):
            return self.symbols
        digits = max(3, len(str(self.symbols)))
        return tuple(f"SYN{i:0{digits}d}" for i in range(1, self.symbols + 1))


def describe(settings: SyntheticSettings) -> str:
    """Return the provenance text that every artefact made from these prices carries."""
    names = settings.names
    shown = ", ".join(names) if len(names) <= 5 else f"{names[0]} ... {names[-1]}"
    low, high = settings.volatility
    regimes = ", ".join(f"{n} {m:.2f}x" for n, m in zip(REGIMES, settings.regimes.multipliers(), strict=True))
    jumps = settings.jumps
    jump_text = (
        f"{jumps.per_session:g} per session, Student-t with {jumps.degrees_of_freedom:g} degrees of freedom, "
        f"{jumps.share:.0%} of variance"
        if jumps.share
        else "none"
    )
    return (
        f"SYNTHETIC data: no market ever printed these prices. Seed {settings.seed}; {len(names)} symbol(s) ({shown}), "
        f"{settings.bar_size} bars, calendar {settings.calendar}, {settings.start} to {settings.end}. "
        f"Model: correlated geometric Brownian motion, volatility {low:.0%} to {high:.0%} per year, correlation "
        f"{settings.correlation:g} ({settings.sector_correlation:g} within {settings.sectors} sectors), "
        f"smile {settings.smile:g}, overnight share {settings.overnight_frac:.0%}, regimes {regimes}, jumps: {jump_text}, "
        f"tick {settings.tick:g}, spread {settings.quotes.spread_bps:g} bps."
    )
