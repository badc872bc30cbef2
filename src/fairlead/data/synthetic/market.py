"""The synthetic market session by session: regimes, overnight gaps, session returns and jumps.

This is the skeleton that bars and quotes of every size hang on. Because it fixes the first and last price of each session, any
session can be generated without those before it, and bars of all sizes agree on opens and closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairlead.core.arrays import DayArray, FloatArray, IntArray
from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.identity import random_stream
from fairlead.core.time import date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic.settings import SyntheticSettings

SESSIONS_PER_YEAR = 252
MINUTES_PER_SESSION = 390


class Loadings(NamedTuple):
    """How a symbol's unit noise is composed: market, sector and own part; the squares sum to 1."""

    market: float
    sector: float
    own: float

    @classmethod
    def of(cls, settings: SyntheticSettings) -> Loadings:
        """Return the loadings that give the correlations asked for, although jumps have none."""
        diffusive = 1.0 - settings.jumps.share
        market = settings.correlation / diffusive
        sector = settings.sector_correlation / diffusive
        return cls(market**0.5, (sector - market) ** 0.5, max(0.0, 1.0 - sector) ** 0.5)


class Jumps(NamedTuple):
    """Jumps of one symbol, ordered by session; arrays of shape (j,).

    Attributes
    ----------
    row : int64
        Session index.
    when : float64
        Fraction of the session's trading time, in [0, 1).
    size : float64
        Log return.
    """

    row: IntArray
    when: FloatArray
    size: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What is known about every session before any bar is drawn; s sessions, k symbols.

    Attributes
    ----------
    symbols : tuple of str
        Sorted: the column order.
    session : int32 array of shape (s,)
        Days since the epoch.
    length : float64 array of shape (s,)
        Trading time as a fraction of 390 minutes, at most 1.
    regime : int64 array of shape (s,)
        0 calm, 1 normal, 2 storm.
    activity : float64 array of shape (s,)
        Volatility multiplier of the regime.
    sector : int64 array of shape (k,)
    mean_volume : float64 array of shape (k,)
        Units per full session.
    log_open, log_close : float64 arrays of shape (s, k)
        Logarithms of the first and the last price of each session, before rounding to the tick.
    move : float64 array of shape (s, k)
        Log return from open to close without jumps.
    deviation : float64 array of shape (s, k)
        Standard deviation of `move`.
    jumps : tuple of Jumps
        One per symbol.
    """

    settings: SyntheticSettings
    calendar: ExchangeCalendar
    symbols: tuple[str, ...]
    session: DayArray
    length: FloatArray
    regime: IntArray
    activity: FloatArray
    sector: IntArray
    mean_volume: FloatArray
    log_open: FloatArray
    log_close: FloatArray
    move: FloatArray
    deviation: FloatArray
    jumps: tuple[Jumps, ...]

    @classmethod
    def draw(cls, settings: SyntheticSettings, calendar: ExchangeCalendar, symbols: tuple[str, ...] | None = None) -> Market:
        """Draw the market of `settings`, for some of its symbols or for all.

        Every symbol has its own random streams, so the choice of symbols, and the end date, change nothing for the others
        and for what came before.

        Raises
        ------
        ConfigurationError
            If `calendar` is not the one that `settings` names.
        DataNotFound
            If there is no session between the start and the end.
        """
        if ExchangeCalendar.get(settings.calendar).name != calendar.name:
            raise ConfigurationError.of("calendar", f"be the one of the settings ({settings.calendar})", calendar.name)
        session = calendar.sessions(date_to_day(settings.start), date_to_day(settings.end))
        if len(session) == 0:
            raise DataNotFound(f"{calendar.name} has no session from {settings.start} to {settings.end}. Widen the range.")
        names = tuple(sorted(settings.names if symbols is None else symbols))
        length = np.minimum(1.0, calendar.session_minutes(session) / MINUTES_PER_SESSION)
        regime = _regimes(settings, len(session))
        activity = np.array(settings.regimes.multipliers())[regime]
        profiles = [_profile(settings, name) for name in names]
        daily = np.array([p.volatility for p in profiles]) / SESSIONS_PER_YEAR**0.5 * activity[:, None]
        share = settings.jumps.share
        deviation = daily * (1.0 - settings.overnight_frac - share) ** 0.5 * np.sqrt(length)[:, None]
        noise = _session_noise(settings, names, [p.sector for p in profiles], len(session))
        drift = (np.array(settings.regimes.drift)[regime] / SESSIONS_PER_YEAR)[:, None] - 0.5 * daily**2
        gap = daily * settings.overnight_frac**0.5 * noise[..., 0] + drift * settings.overnight_frac
        move = deviation * noise[..., 1] + drift * (1.0 - settings.overnight_frac)
        jumps = tuple(_jumps(settings, name, daily[:, i]) for i, name in enumerate(names))
        leap = np.zeros_like(move)
        for column, own in enumerate(jumps):
            np.add.at(leap[:, column], own.row, own.size)
        total = gap + move + leap
        log_close = np.log([p.start_price for p in profiles]) + np.cumsum(total, axis=0)
        return cls(
            settings=settings,
            calendar=calendar,
            symbols=names,
            session=session,
            length=length,
            regime=regime,
            activity=activity,
            sector=np.array([p.sector for p in profiles]),
            mean_volume=np.array([p.mean_volume for p in profiles]),
            log_open=log_close - move - leap,
            log_close=log_close,
            move=move,
            deviation=deviation,
            jumps=jumps,
        )

    def stream(self, purpose: str, row: int) -> np.random.Generator:
        """Return the random stream of one purpose in one session."""
        return random_stream(self.settings.seed, f"synthetic/{purpose}/{int(self.session[row])}")

    def symbol_stream(self, purpose: str, symbol: str) -> np.random.Generator:
        """Return the random stream of one purpose for one symbol over all sessions."""
        return random_stream(self.settings.seed, f"synthetic/{purpose}/{symbol}")

    def jump_table(self, first: int, stop: int) -> list[tuple[int, int, float, float]]:
        """Return (row, column, when, size) of every jump in the sessions [first, stop)."""
        found: list[tuple[int, int, float, float]] = []
        for column, own in enumerate(self.jumps):
            low, high = np.searchsorted(own.row, (first, stop))
            found.extend((int(own.row[j]), column, float(own.when[j]), float(own.size[j])) for j in range(int(low), int(high)))
        return found


class Grid:
    """The price grid of the generator: a whole number of ticks, at least one.

    Parameters
    ----------
    tick : float
        In currency.
    """

    __slots__ = ("_per_unit", "_tick")

    def __init__(self, tick: float) -> None:
        self._tick = tick
        per_unit = round(1.0 / tick)
        # As in `Instrument`: dividing by the reciprocal keeps decimal grids exact in the last digit.
        self._per_unit = per_unit if per_unit >= 1 and abs(per_unit * tick - 1.0) < 1e-9 else 0

    def ticks(self, price: FloatArray) -> FloatArray:
        """Return the nearest whole number of ticks, in place of `price`."""
        np.divide(price, self._tick, out=price)
        np.rint(price, out=price)
        np.maximum(price, 1.0, out=price)
        return price

    def price(self, ticks: FloatArray) -> FloatArray:
        """Return the prices of whole ticks, in place of `ticks`."""
        if self._per_unit:
            np.divide(ticks, self._per_unit, out=ticks)
        else:
            np.multiply(ticks, self._tick, out=ticks)
        return ticks


class _Profile(NamedTuple):
    volatility: float
    start_price: float
    mean_volume: float
    sector: int


def _profile(settings: SyntheticSettings, symbol: str) -> _Profile:
    """Draw what makes one symbol different from another; log-uniform where a range spans orders of magnitude."""
    random = random_stream(settings.seed, f"synthetic/profile/{symbol}")
    low, high = settings.volatility
    volatility = low + (high - low) * random.random()
    price = float(np.exp(random.uniform(*np.log(settings.start_price))))
    volume = float(np.exp(random.uniform(*np.log(settings.session_volume))))
    return _Profile(volatility, price, volume, int(random.integers(settings.sectors)))


def _regimes(settings: SyntheticSettings, count: int) -> IntArray:
    chain = settings.regimes
    calm, normal, storm = chain.stay
    leaving = 1.0 - normal
    cumulative = np.cumsum(
        [
            [calm, 1.0 - calm, 0.0],
            [leaving * (1.0 - chain.storm_frac), normal, leaving * chain.storm_frac],
            [0.0, 1.0 - storm, storm],
        ],
        axis=1,
    )
    draws = random_stream(settings.seed, "synthetic/regimes").random(count)
    states = np.empty(count, np.int64)
    state = min(2, int(np.searchsorted(np.cumsum(chain.stationary()), draws[0], side="right")))
    states[0] = state
    for i in range(1, count):
        state = min(2, int(np.searchsorted(cumulative[state], draws[i], side="right")))
        states[i] = state
    return states


def _session_noise(settings: SyntheticSettings, symbols: tuple[str, ...], sectors: list[int], count: int) -> FloatArray:
    """Return correlated unit normals of shape (count, k, 2): overnight and session."""

    def normals(name: str) -> NDArray[np.float64]:
        return random_stream(settings.seed, f"synthetic/sessions/{name}").standard_normal((count, 2))

    load = Loadings.of(settings)
    common = normals("market") * load.market
    by_sector = {sector: common + load.sector * normals(f"sector {sector}") for sector in set(sectors)}
    noise = np.empty((count, len(symbols), 2))
    for column, (symbol, sector) in enumerate(zip(symbols, sectors, strict=True)):
        noise[:, column] = by_sector[sector] + load.own * normals(symbol)
    return noise


def _jumps(settings: SyntheticSettings, symbol: str, daily: FloatArray) -> Jumps:
    rule = settings.jumps
    if rule.share == 0.0:
        return Jumps(np.empty(0, np.int64), np.empty(0), np.empty(0))
    # One stream per quantity: a later end then draws more of each and leaves the first ones as they are.
    counts, times, sizes = (
        random_stream(settings.seed, f"synthetic/jump {quantity}/{symbol}") for quantity in ("counts", "times", "sizes")
    )
    row = np.repeat(np.arange(len(daily)), counts.poisson(rule.per_session, len(daily)))
    freedom = rule.degrees_of_freedom
    unit = sizes.standard_t(freedom, len(row)) * ((freedom - 2.0) / freedom) ** 0.5
    return Jumps(row, times.random(len(row)), unit * daily[row] * (rule.share / rule.per_session) ** 0.5)
