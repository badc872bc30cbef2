"""The seam of signal plug-ins: what scores symbols after a session, and finds signals within the next (domain rule 3.2)."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
import polars as pl

from fairlead.contracts.settings import Settings
from fairlead.contracts.signals import Signal, signal_id
from fairlead.core.errors import FairleadError, StrategyError
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize, date_to_day, format_utc, to_datetime, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.sources import STAMP

Frame: TypeAlias = pl.DataFrame
AnswerT = TypeVar("AnswerT")

GROUP: Final = "oco_id"
VALID_FROM: Final = "valid_from"
VALID_TO: Final = "valid_to"


class Reject(NamedTuple):
    """A setup that made no signal.

    Attributes
    ----------
    timestamp : datetime
        UTC instant at which that was known.
    reason : str
        One of the plug-in's closed list.
    """

    symbol: str
    timestamp: dt.datetime
    reason: str
    detail: str = ""


class Found(NamedTuple):
    """What a plug-in found for one symbol in one session."""

    signals: tuple[Signal, ...] = ()
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True)
class SessionView:
    """One symbol in one session, as a plug-in sees it.

    Parameters
    ----------
    session : date
        The exchange's session whose signals are asked for.
    bars : polars.DataFrame
        Columns ``timestamp`` (opening instants, UTC), ``OPEN, HIGH, LOW, CLOSE, VOLUME``: the bars of the session and of some
        sessions before it, valid by their contract. They may end within the session: then no more is known.
    tz : str
        IANA zone in which strategies state their windows.
    instrument : Instrument
        What prices are rounded by.
    """

    symbol: str
    session: dt.date
    bars: Frame
    bar_size: BarSize
    calendar: ExchangeCalendar
    tz: str
    run_id: str
    strategy: str
    strategy_version: str
    instrument: Instrument

    @cached_property
    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """Opening and closing instant of the session, UTC."""
        opening, close = self.calendar.bounds(np.array([date_to_day(self.session)], np.int32))
        return to_datetime(int(opening[0])), to_datetime(int(close[0]))

    @cached_property
    def today(self) -> Frame:
        """The session's own bars."""
        return self.bars.filter(pl.col(STAMP) >= self.bounds[0])

    @cached_property
    def earlier(self) -> Frame:
        """The bars of the sessions before it."""
        return self.bars.filter(pl.col(STAMP) < self.bounds[0])

    def after_open(self, minutes: int) -> Frame:
        """Return the session's bars that open in its first `minutes`."""
        return self.today.filter(pl.col(STAMP) < self.bounds[0] + dt.timedelta(minutes=minutes))

    def known_at(self, bars: Frame) -> dt.datetime:
        """Return when the last of `bars` was known: the end of that bar."""
        return self.end_of(to_ns(bars[STAMP][-1]))

    def end_of(self, label_ns: int) -> dt.datetime:
        """Return when the bar that opens at `label_ns` is over, and so known."""
        return to_datetime(int(self.calendar.closing_instants(np.array([label_ns], np.int64), self.bar_size)[0][0]))

    def price(self, value: Any) -> Decimal:
        """Return a price of a bar as an exact number on the tick."""
        return self.instrument.price_to_decimal(float(value))

    def signal(
        self,
        timestamp: dt.datetime,
        *,
        setup: str | None = None,
        valid_from: dt.datetime | None = None,
        valid_to: dt.datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Signal:
        """Return a signal of this symbol, known at `timestamp`.

        Parameters
        ----------
        setup : str, optional
            The pattern's name.
        valid_from, valid_to : datetime, optional
            When its orders may fill, [from, to); from the signal to the session's close if left out.
        metadata : mapping, optional
            Only what was known at `timestamp`.
        **fields
            Levels and score, see `Signal`.
        """
        known = dict(metadata or {})
        for name, instant in ((VALID_FROM, valid_from), (VALID_TO, valid_to)):
            if instant is not None:
                known[name] = format_utc(to_ns(instant))
        return Signal(
            symbol=self.symbol,
            timestamp=timestamp,
            timeframe=self.bar_size,
            setup=setup,
            strategy=self.strategy,
            strategy_version=self.strategy_version,
            signal_id=signal_id(run_id=self.run_id, symbol=self.symbol, timestamp=timestamp, setup=setup),
            metadata=known or None,
            **fields,
        )

    def reject(self, reason: str, timestamp: dt.datetime, detail: str = "") -> Reject:
        """Return a setup of this symbol that made no signal."""
        return Reject(self.symbol, timestamp, reason, detail)


class SignalPlugin(Settings, ABC):
    """Base of every signal plug-in; its fields are its settings.

    Attributes
    ----------
    name : str
        What its signals and orders call it: lower case letters, digits, underscores.
    version : str
        Semantic version; part of every order's key.
    """

    name: ClassVar[str]
    version: ClassVar[str]

    @property
    def history_sessions(self) -> int:
        """How many sessions before the one asked for a view shows."""
        return 1

    def require(self, bar_size: BarSize) -> None:
        """Refuse a size of bars that the settings do not fit.

        Raises
        ------
        ConfigurationError
            Naming the setting.
        """

    @abstractmethod
    def scores(self, daily: Mapping[str, Frame]) -> Mapping[str, float]:
        """Return how promising each symbol is for the next session: the higher, the better; those left out are no candidates.

        Parameters
        ----------
        daily : mapping of str to polars.DataFrame
            Of each symbol its last daily bars, columns ``timestamp`` (session dates at 00:00 UTC) and the canonical ones, up to
            the session that has just closed.
        """

    @abstractmethod
    def signals(self, view: SessionView) -> Found:
        """Return the signals of one symbol in one session, and the setups that made none.

        A signal may depend only on bars that were known at its timestamp: with the bars after it cut off, it must be found
        again, the same.
        """


def scores_of(plugin: SignalPlugin, daily: Mapping[str, Frame]) -> Mapping[str, float]:
    """Return the scores of a plug-in.

    Raises
    ------
    StrategyError
        If it raises an error that is none of the house, or returns something else.
    """
    found = _asked(plugin, "scores", lambda: plugin.scores(daily))
    if not isinstance(found, Mapping):
        raise StrategyError(f"{plugin.name} scores: it returned {found!r}, not a mapping of symbols to scores.")
    return found


def signals_of(plugin: SignalPlugin, view: SessionView) -> Found:
    """Return the signals of a plug-in; errors as `scores_of`."""
    found = _asked(plugin, "signals", lambda: plugin.signals(view))
    if not isinstance(found, Found):
        raise StrategyError(f"{plugin.name} signals: it returned {found!r}, not a Found.")
    return found


def _asked(plugin: SignalPlugin, what: str, ask: Callable[[], AnswerT]) -> AnswerT:
    try:
        return ask()
    except FairleadError:
        raise
    except Exception as exc:  # a plug-in's code may raise anything
        raise StrategyError(f"{plugin.name} {what}: {type(exc).__name__}: {exc}") from exc
