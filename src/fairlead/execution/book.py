"""What a venue that meets quotes and prints remembers: the last quote of each symbol, and where each order stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fairlead.core.events import Quote
from fairlead.execution import tick_kernels

_NOBODY: Final = (float("nan"), 0.0)


@dataclass(slots=True)
class Book:
    """The best bid and offer of a symbol, and what our orders have taken of them.

    Sides are seen from an order: for a buy (+1) the touch is the offer and its own side the bid; for a sell the reverse.
    """

    quote: Quote
    bid_taken: float = 0.0
    ask_taken: float = 0.0

    @property
    def is_touched(self) -> bool:
        """Whether anything that is displayed has been taken."""
        return self.bid_taken > 0.0 or self.ask_taken > 0.0

    def show(self, quote: Quote, *, replenishes: bool) -> None:
        """Take the next quote in."""
        before = self.quote
        self.bid_taken = tick_kernels.still_taken(self.bid_taken, quote.bid_size, quote.bid == before.bid, replenishes)
        self.ask_taken = tick_kernels.still_taken(self.ask_taken, quote.ask_size, quote.ask == before.ask, replenishes)
        self.quote = quote

    def free(self, side: int) -> float:
        """Return what is left to be had there, in units."""
        quote = self.quote
        return quote.ask_size - self.ask_taken if side > 0 else quote.bid_size - self.bid_taken

    def take(self, side: int, quantity: float) -> None:
        """Take units from the touch."""
        if side > 0:
            self.ask_taken += quantity
        else:
            self.bid_taken += quantity


@dataclass(slots=True)
class Place:
    """Where an order stands.

    Attributes
    ----------
    since_ns : int
        From when on it has stood there: among orders at one price the elder is served first.
    quantity : float
        Its size when it was last seen: one that has grown since has lost its place.
    is_new : bool
        Whether it has met nothing yet.
    is_resting : bool
        Whether it waits at its limit for the market to come; otherwise it goes to the market.
    queue : float
        What others have before it at its price, in units.
    """

    since_ns: int
    quantity: float = 0.0
    is_new: bool = True
    is_resting: bool = False
    queue: float = tick_kernels.UNKNOWN_QUEUE

    def rest(self, side: int, limit: float, quote: Quote | None) -> None:
        """Join the queue at the limit, behind what a quote displays there; without one nobody knows the queue."""
        self.is_resting = True
        self.queue = tick_kernels.queue_ahead(side, limit, *near_of(quote, side))

    def see(self, side: int, limit: float, quote: Quote) -> None:
        """Bound the queue by what a quote displays."""
        self.queue = tick_kernels.queue_at_quote(self.queue, side, limit, *near_of(quote, side))


@dataclass(slots=True)
class Print:
    """A trade, and what our orders have taken of it.

    Attributes
    ----------
    left : float
        What is still to be had, in units.
    reached : float, optional
        What of it reached the orders at its own price; None before the first of them.
    taken_there : float
        What those have taken.
    """

    price: float
    left: float
    reached: float | None = None
    taken_there: float = 0.0


def touch_of(quote: Quote, side: int) -> float:
    """Return the price at which an order crosses; NaN if there is none."""
    return quote.ask if side > 0 else quote.bid


def near_of(quote: Quote | None, side: int) -> tuple[float, float]:
    """Return price and displayed size of the order's own side; NaN if nobody stands there, or without a quote."""
    if quote is None:
        return _NOBODY
    return (quote.bid, quote.bid_size) if side > 0 else (quote.ask, quote.ask_size)
