"""The third stage: within each session its candidates, and nothing else, may have signals (domain rules 3.1, 3.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from fairlead.contracts.cells import instant_text, line_of
from fairlead.contracts.files import atomic_write_text
from fairlead.contracts.signals import CandidateList, Signal, check_signals
from fairlead.core.arrays import IntArray
from fairlead.core.errors import ContractError, LookaheadError
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize, date_to_day, day_to_date, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.plugin import Reject, SessionView, SignalPlugin, signals_of
from fairlead.factory.sources import STAMP

SIGNALS_FILE: Final = "signals.csv"
REJECTS_FILE: Final = "rejects.csv"
REJECT_COLUMNS: Final = ("symbol", "timestamp", "reason", "detail")


@dataclass(slots=True)
class Signals:
    """What the third stage hands on.

    Attributes
    ----------
    signals : list of Signal
        By timestamp, then symbol.
    rejects : list of Reject
        Likewise.
    views : int
        Of how many symbols in how many sessions signals were sought.
    """

    signals: list[Signal] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    views: int = 0


@dataclass(frozen=True)
class _Bars:
    """One symbol's bars, and when each was known and in which session."""

    frame: pl.DataFrame
    known_ns: IntArray
    session: IntArray

    @classmethod
    def of(cls, frame: pl.DataFrame, bar_size: BarSize, calendar: ExchangeCalendar) -> _Bars:
        known_ns, session = calendar.closing_instants(frame[STAMP].to_physical().to_numpy(), bar_size)
        return cls(frame, known_ns, session.astype(np.int64))

    def between(self, first_day: int, last_day: int) -> pl.DataFrame:
        """Return the bars of the sessions `first_day` to `last_day`."""
        first, stop = self.session.searchsorted(first_day), self.session.searchsorted(last_day, side="right")
        return self.frame.slice(int(first), int(stop - first))


def find_signals(
    bars: Mapping[str, pl.DataFrame],
    lists: Sequence[CandidateList],
    plugin: SignalPlugin,
    *,
    bar_size: BarSize,
    calendar: ExchangeCalendar,
    tz: str,
    run_id: str,
    instruments: Mapping[str, Instrument],
    tell: Callable[[int, int], None],
) -> Signals:
    """Return the signals of every candidate in the session for which it is one.

    Raises
    ------
    StrategyError
        If the plug-in fails.
    ContractError
        If a signal is of a symbol or a session that the list does not allow, or two are the same.
    LookaheadError
        If a signal is another, or none, once the bars after it are cut off.
    """
    known = {symbol: _Bars.of(frame, bar_size, calendar) for symbol, frame in bars.items()}
    found = Signals()
    for done, listed in enumerate(lists, start=1):
        day = date_to_day(listed.valid_session)
        first = _sessions_back(calendar, day, plugin.history_sessions)
        for symbol in sorted(listed.symbols):
            view = SessionView(
                symbol=symbol,
                session=listed.valid_session,
                bars=known[symbol].between(first, day),
                bar_size=bar_size,
                calendar=calendar,
                tz=tz,
                run_id=run_id,
                strategy=plugin.name,
                strategy_version=plugin.version,
                instrument=instruments[symbol],
            )
            signals, rejects = signals_of(plugin, view)
            for signal in signals:
                listed.check(signal, session_of(calendar, signal))
                _check_view(view, signal)
                check_causal(plugin, view, signal)
            found.signals += signals
            found.rejects += rejects
            found.views += 1
        tell(done, len(lists))
    found.signals.sort(key=lambda signal: (signal.timestamp, signal.symbol, signal.setup or ""))
    found.rejects.sort(key=lambda reject: (reject.timestamp, reject.symbol, reject.reason, reject.detail))
    check_signals(found.signals)
    return found


def session_of(calendar: ExchangeCalendar, signal: Signal) -> dt.date:
    """Return the session within which a signal is known: after its opening, its close included.

    Raises
    ------
    ContractError
        If there is none.
    """
    # A signal is known at the end of a bar, which at the close is the end of the session too.
    instant = np.array([to_ns(signal.timestamp) - 1], np.int64)
    located = calendar.locate(instant, BarSize.M1)
    if not located.inside[0]:
        rule = f"be known within a session of {calendar.name}"
        raise ContractError.of(f"{signal.symbol} signal", rule, instant_text(signal.timestamp))
    return day_to_date(int(located.session[0]))


def check_causal(plugin: SignalPlugin, view: SessionView, signal: Signal) -> None:
    """Refuse a signal that depends on what was not known at its timestamp.

    Raises
    ------
    LookaheadError
        If it is not found again, the same, from the bars that were known by then.
    """
    stamps = view.bars[STAMP].to_physical().to_numpy()
    known_ns, _ = view.calendar.closing_instants(stamps, view.bar_size)
    stop = int(known_ns.searchsorted(to_ns(signal.timestamp), side="right"))
    if stop == len(stamps):
        return
    again = signals_of(plugin, replace(view, bars=view.bars.head(stop)))
    if signal not in again.signals:
        raise LookaheadError(
            f"{plugin.name} knows the future: its {signal.symbol} signal of {instant_text(signal.timestamp)} is "
            f"{'another' if any(s.key == signal.key for s in again.signals) else 'not there'} once the bars after it are cut "
            "off. A signal may depend only on bars that end by its timestamp."
        )


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Write rejects as CSV, as a whole or not at all.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    lines = [line_of((r.symbol, instant_text(r.timestamp), r.reason, r.detail)) for r in rejects]
    atomic_write_text(path, "".join([line_of(REJECT_COLUMNS), *lines]))


def _check_view(view: SessionView, signal: Signal) -> None:
    if signal.symbol != view.symbol:
        raise ContractError.of("symbol of a signal", f"be {view.symbol}, whose bars were shown", signal.symbol)
    if (signal.timeframe, signal.strategy_version) != (view.bar_size, view.strategy_version):
        rule = f"be of {view.bar_size.name} bars and version {view.strategy_version}"
        raise ContractError.of(f"{signal.symbol} signal", rule, f"{signal.timeframe.name}, {signal.strategy_version}")


def _sessions_back(calendar: ExchangeCalendar, day: int, sessions: int) -> int:
    """Return the session that is so many before `day`."""
    # Twice as many days and a holiday season hold them, wherever the exchange is.
    days = calendar.sessions(day - 2 * sessions - 15, day)
    return int(days[max(0, len(days) - 1 - sessions)])
