"""Fill rules for quotes and prints as pure functions of numbers: what an order takes from a book, and when its turn comes.

As in `fairlead.execution.kernels`, nothing but float64 and integers, so that compiled loops can inline the same functions.
`side` is +1 for a buy and -1 for a sell; prices are in currency, sizes in units. The *touch* of an order is the best price of
the other side: the offer for a buy, the bid for a sell. A price of NaN is a side of the book that nobody stands on: nothing
reaches it and nothing trades there. A limit of NaN is no limit.
"""

# ruff: noqa: FBT001  compiled code has no keyword arguments

from __future__ import annotations

from typing import Final

UNKNOWN_QUEUE: Final = float("inf")
"""More than any print can work off: nobody knows how much stands before an order deep in the book."""


def is_marketable(side: int, limit: float, touch: float) -> bool:
    """Whether an order trades with the touch at once."""
    if touch != touch:
        return False
    return limit != limit or (limit - touch) * side >= 0.0


def stop_reached(side: int, stop: float, price: float) -> bool:
    """Whether a price triggers a stop: for a buy one at it or above, for a sell one at it or below."""
    return (price - stop) * side >= 0.0


def is_crossed(side: int, limit: float, touch: float, on_touch: bool) -> bool:
    """Whether a quote trades with a limit order that rests.

    Parameters
    ----------
    on_touch : bool
        Whether a touch equal to the limit trades; otherwise the market must cross through it.
    """
    distance = (limit - touch) * side
    return distance > 0.0 or (on_touch and distance == 0.0)


def queue_ahead(side: int, limit: float, near: float, near_size: float) -> float:
    """Return what stands before an order that joins the queue at its limit, in units.

    Parameters
    ----------
    near, near_size : float
        The best price of the order's own side, and what is displayed there.

    Returns
    -------
    float
        All that is displayed if it joins the best price; 0 if it is better; `UNKNOWN_QUEUE` if it is worse, or nobody knows.
    """
    distance = (limit - near) * side
    if distance > 0.0:
        return 0.0
    if distance == 0.0:
        return near_size
    return UNKNOWN_QUEUE


def queue_at_quote(queue: float, side: int, limit: float, near: float, near_size: float) -> float:
    """Return what stands before a resting order once a quote is known: never more than is displayed at its price."""
    return min(queue, queue_ahead(side, limit, near, near_size))


def left_for(queue: float, size: float, taken_there: float) -> float:
    """Return what a print at an order's price leaves for it, in units.

    Parameters
    ----------
    queue : float
        What stood before it.
    size : float
        What of the print has reached its price.
    taken_there : float
        What earlier orders of ours took of it at this price.
    """
    return max(0.0, size - queue - taken_there)


def queue_after_print(queue: float, side: int, limit: float, price: float, size: float) -> float:
    """Return what stands before a resting order after a print: less by a print at its price, nothing once one went through.

    Parameters
    ----------
    size : float
        What of the print has reached the order's price.
    """
    distance = (limit - price) * side
    if distance > 0.0:
        return 0.0
    if distance == 0.0:
        return max(0.0, queue - size)
    return queue


def still_taken(taken: float, size: float, is_same_price: bool, replenishes: bool) -> float:
    """Return what of a displayed size was taken before, in units; the rest is there to be had.

    A quote that repeats a price shows what stands there still, and with it what was taken in the simulation: history knows
    nothing of that. Only what is added to the display is new.

    Parameters
    ----------
    taken : float
        What was taken at the price of the quote before.
    size : float
        What is displayed now.
    is_same_price : bool
        Whether the quote before had this price.
    replenishes : bool
        Whether a new quote offers its whole size in any case.
    """
    return min(taken, size) if is_same_price and not replenishes else 0.0
