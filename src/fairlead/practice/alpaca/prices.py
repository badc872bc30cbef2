"""Bars, quotes and trades as Alpaca writes them, and bars of other sizes, which at Alpaca count from midnight in New York."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from fairlead.core.events import ActionKind, Bar, CorporateAction, Quote, Trade
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, BarSize, date_to_day, to_datetime, to_ns
from fairlead.data.live.feed import MarketEvent
from fairlead.practice.alpaca.refusals import invalid

_NEW_YORK: Final = ZoneInfo("America/New_York")
_FRAME: Final = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D)")
_UNITS: Final = {"Min": 1, "T": 1, "Hour": 60, "H": 60, "Day": 1_440, "D": 1_440}
_MOST: Final = {1: 59, 60: 23, 1_440: 1}


def event_json(event: MarketEvent, stamp: Callable[[int], Any]) -> dict[str, Any]:
    """Return an event without its name and kind.

    Parameters
    ----------
    event : Bar, Quote or Trade
    stamp : callable
        Writes an instant.
    """
    match event:
        case Bar():
            prices = {"o": event.open, "h": event.high, "l": event.low, "c": event.close}
            middle = (event.open + event.high + event.low + event.close) / 4
            return {"t": stamp(event.label_ns), **prices, "v": round(event.volume), "n": 1, "vw": round(middle, 6)}
        case Quote():
            sides = {"ax": "V", "ap": event.ask, "as": event.ask_size, "bx": "V", "bp": event.bid, "bs": event.bid_size}
            return {"t": stamp(event.known_ns), **sides, "c": ["R"], "z": "C"}
        case Trade():
            number = event.known_ns // 1_000 % 2**53
            return {"t": stamp(event.known_ns), "x": "V", "p": event.price, "s": event.size, "c": ["@"], "i": number, "z": "C"}


def stamp_text(ns: int) -> str:
    """Return an instant down to the nanosecond."""
    rest = ns % NS_PER_SECOND
    text = to_datetime(ns).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


def day_start_ns(day: int) -> int:
    """Return midnight in New York of a date, in days since the epoch; nanoseconds."""
    date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
    return to_ns(dt.datetime.combine(date, dt.time(), _NEW_YORK))


def frame_minutes(text: str) -> int:
    """Return how many minutes a bar of a time frame lasts.

    Raises
    ------
    Refusal
        If it is none that is served.
    """
    found = _FRAME.fullmatch(text)
    minutes = _UNITS[found[2]] if found else 0
    if found is None or not 1 <= int(found[1]) <= _MOST[minutes]:
        raise invalid(f"invalid timeframe: {text}")
    return int(found[1]) * minutes


def bars_of(bars: Sequence[Bar], minutes: int, source: BarSize) -> list[Bar]:
    """Return the bars of a size that those of a market make up; a label is the instant at which its time begins.

    Raises
    ------
    Refusal
        If they make up none of that size.
    """
    if not source.is_intraday:
        if minutes != _UNITS["Day"]:
            raise invalid("this market has daily bars alone")
        return [bar._replace(label_ns=day_start_ns(bar.label_ns // NS_PER_DAY)) for bar in bars]
    if minutes * NS_PER_MINUTE % source.ns:
        raise invalid(f"this market has bars of {source.value}, of which no such bars can be made")
    if minutes * NS_PER_MINUTE == source.ns:
        return list(bars)
    grown: dict[int, Bar] = {}
    for bar in bars:
        local = to_datetime(bar.label_ns).astimezone(_NEW_YORK)
        midnight = day_start_ns(date_to_day(local.date()))
        label = midnight + (bar.label_ns - midnight) // (minutes * NS_PER_MINUTE) * minutes * NS_PER_MINUTE
        so_far = grown.get(label)
        if so_far is None:
            grown[label] = bar._replace(label_ns=label)
        else:
            grown[label] = so_far._replace(
                known_ns=bar.known_ns,
                high=max(so_far.high, bar.high),
                low=min(so_far.low, bar.low),
                close=bar.close,
                volume=so_far.volume + bar.volume,
            )
    return list(grown.values())


def adjusted(bars: Iterable[Bar], actions: Sequence[CorporateAction], adjustment: str) -> list[Bar]:
    """Return bars as they compare with those after the last corporate action that is known.

    Parameters
    ----------
    bars : iterable of Bar
        Of one symbol, in order.
    actions : sequence of CorporateAction
        Of that symbol.
    adjustment : str
        ``raw``, ``split``, ``dividend`` or ``all``.

    Raises
    ------
    Refusal
        If the adjustment is none of these.
    """
    if adjustment not in ("raw", "split", "dividend", "all"):
        raise invalid(f"invalid adjustment: {adjustment}")
    kinds = {"split": {ActionKind.SPLIT}, "dividend": {ActionKind.DIVIDEND}, "raw": set[ActionKind]()}
    wanted = kinds.get(adjustment, {ActionKind.SPLIT, ActionKind.DIVIDEND})
    made = list(bars)
    for action in sorted((one for one in actions if one.kind in wanted), key=lambda one: (one.ex_session, one.sort_key)):
        start = day_start_ns(action.ex_session)
        before = [bar for bar in made if bar.label_ns < start]
        if before:
            factor = action.price_factor(before[-1].close, float("nan"))
            units = action.value if action.kind is ActionKind.SPLIT else 1.0
            made = [_scaled(bar, factor, units) for bar in before] + made[len(before) :]
    return made


def _scaled(bar: Bar, factor: float, units: float) -> Bar:
    open_, high, low, close = (round(price * factor, 6) for price in (bar.open, bar.high, bar.low, bar.close))
    return bar._replace(open=open_, high=high, low=low, close=close, volume=round(bar.volume * units))
