"""Bars, quotes and trades as Alpaca writes them, on the stream and by REST alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from fairlead.core.errors import ContractError
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.instruments import check_symbol
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import MarketEvent
from fairlead.data.vendors.alpaca.settings import Channel
from fairlead.data.vendors.alpaca.stamps import stamp_ns

KINDS: Final[Mapping[str, Channel]] = {"b": "bars", "q": "quotes", "t": "trades"}
"""What a message of the stream is of, by its letter."""
_OHLC: Final = ("o", "h", "l", "c")


class AlpacaDecoder:
    """Turns what Alpaca says into events. It has minute bars alone, and labels them by their opening as we do.

    Parameters
    ----------
    calendar : ExchangeCalendar
        Bars outside of its sessions are none: Alpaca has those of extended hours too.
    """

    def __init__(self, calendar: ExchangeCalendar) -> None:
        self._calendar = calendar
        self._known: tuple[int, int | None] = (-1, None)

    def event(self, kind: Channel, symbol: object, row: Mapping[str, Any]) -> MarketEvent | None:
        """Return the event that a message or a row tells of; None for what is left out on purpose.

        Parameters
        ----------
        kind : {'bars', 'quotes', 'trades'}
        symbol : str
        row : mapping

        Raises
        ------
        ContractError
            If it tells of none.
        """
        name = check_symbol(symbol) if isinstance(symbol, str) else ""
        if not name:
            raise ContractError.of("S", "be a symbol", symbol)
        at_ns = stamp_ns(row.get("t"))
        if kind == "bars":
            return self._bar(name, at_ns, row)
        if kind == "trades":
            return Trade(name, at_ns, _price(row, "p"), _size(row, "s"))
        bid, ask = _number(row, "bp"), _number(row, "ap")
        if bid <= 0 or ask <= 0:
            return None  # a side that nobody quotes is written as 0
        if ask < bid:
            raise ContractError.of("ask", f"not be below the bid ({bid})", ask)
        return Quote(name, at_ns, bid, ask, _size(row, "bs"), _size(row, "as"))

    def _bar(self, symbol: str, label_ns: int, row: Mapping[str, Any]) -> Bar | None:
        known_ns = self._closing(label_ns)
        if known_ns is None:
            return None
        open_, high, low, close = prices = tuple(_price(row, field) for field in _OHLC)
        if not low <= min(open_, close) or not high >= max(open_, close):
            raise ContractError.of("open, high, low, close", "have low <= open, close <= high", prices)
        return Bar(symbol, label_ns, known_ns, open_, high, low, close, _size(row, "v"))

    def _closing(self, label_ns: int) -> int | None:
        # Bars of many symbols open at one instant.
        if self._known[0] != label_ns:
            try:
                known, _ = self._calendar.closing_instants(np.array([label_ns], np.int64), BarSize.M1)
                self._known = label_ns, int(known[0])
            except ContractError:
                self._known = label_ns, None
        return self._known[1]


def _number(row: Mapping[str, Any], field: str) -> float:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ContractError.of(field, "be a number", value)
    return float(value)


def _price(row: Mapping[str, Any], field: str) -> float:
    value = _number(row, field)
    if value <= 0:
        raise ContractError.of(field, "be above 0", value)
    return value


def _size(row: Mapping[str, Any], field: str) -> float:
    value = _number(row, field)
    if value < 0:
        raise ContractError.of(field, "be 0 or more", value)
    return value
