"""Messages of market data as events."""

from __future__ import annotations

import numpy as np

from fairlead.contracts.market_messages import BarMessage, TickMessage
from fairlead.core.errors import ContractError
from fairlead.core.events import Quote
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.feed import MarketEvent


class Decoder:
    """Turns messages into events; a bar's label is found from its end.

    Parameters
    ----------
    calendar : ExchangeCalendar
    bar_size : BarSize
        Of the bars that are expected.
    """

    def __init__(self, calendar: ExchangeCalendar, bar_size: BarSize) -> None:
        self._calendar = calendar
        self._bar_size = bar_size
        self._label: tuple[int, int] = (-1, -1)
        self._quotes: dict[str, Quote] = {}

    def event(self, message: BarMessage | TickMessage) -> MarketEvent | None:
        """Return the event that a message tells of; None for one side of a quote while the other is not known.

        To be called in the order in which the messages were sent.

        Raises
        ------
        ContractError
            If a bar is of another size or ends where none can, or the two sides of a quote cross.
        """
        if isinstance(message, BarMessage):
            if message.bar_size is not self._bar_size:
                raise ContractError.of("bar_size", f"be {self._bar_size}", message.bar_size.value)
            return message.bar(self._label_of(message.known_ns))
        trade = message.trade()
        if trade is not None:
            return trade
        quote = message.quote(self._quotes.get(message.symbol))
        if quote is None:
            return None
        self._quotes[message.symbol] = quote
        if quote.ask < quote.bid:
            raise ContractError.of("ask", f"not be below the bid ({quote.bid})", quote.ask)
        return quote if quote.bid == quote.bid and quote.ask == quote.ask else None

    def _label_of(self, known_ns: int) -> int:
        # Bars of many symbols end at one instant.
        if self._label[0] != known_ns:
            labels = self._calendar.opening_instants(np.array([known_ns], np.int64), self._bar_size)
            self._label = known_ns, int(labels[0])
        return self._label[1]
