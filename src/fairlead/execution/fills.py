"""Fill rules: at which price, if any, an order meets a bar (architecture §4, domain rules 6.8 R2, R3).

Every rule is pessimistic by default and gives the price before slippage. Prices are in currency.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import Final, NamedTuple

from fairlead.contracts.settings import Settings
from fairlead.core.orders import Order, OrderType, Side

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_STOP: Final = OrderType.STOP
_BUY: Final = Side.BUY


class FillPhase(IntEnum):
    """When inside a bar a fill happens; earlier phases consume liquidity first."""

    OPEN = 0
    STOP = 1
    """Stops come before limits: if a stop and a target lie in one bar, the loss is taken."""
    LIMIT = 2


_AT_OPEN: Final = FillPhase.OPEN
_AT_STOP: Final = FillPhase.STOP
_AT_LIMIT: Final = FillPhase.LIMIT


class FillPrice(NamedTuple):
    """A price at which an order can be filled in a bar."""

    price: float
    phase: FillPhase


class FillModel(Settings, ABC):
    """Base of every fill model; its fields are its settings."""

    @abstractmethod
    def price(self, order: Order, open_: float, high: float, low: float, close: float) -> FillPrice | None:
        """Return where `order` fills in a bar that it may meet, or None.

        The order has arrived, is working, and the bar is not the one it was decided on. A model may set
        `order.stop_triggered`; it changes nothing else.
        """


class BarFillModel(FillModel):
    """Fills from open, high and low, assuming the worst about what happened between them.

    Parameters
    ----------
    limit_fill_on_touch : bool
        Fill a limit order when the price only touches it; False needs the price to trade through.
    """

    limit_fill_on_touch: bool = False

    def price(self, order: Order, open_: float, high: float, low: float, close: float) -> FillPrice | None:  # noqa: ARG002
        """Return where `order` fills in the bar, or None."""
        kind = order.order_type
        if kind is _MARKET:
            return FillPrice(open_, _AT_OPEN)
        if kind is _LIMIT:
            return limit_fill(order.side, _given(order.limit_price), open_, high, low, on_touch=self.limit_fill_on_touch)
        if kind is _STOP:
            return stop_fill(order.side, _given(order.stop_price), open_, high, low)
        return self._stop_limit(order, open_, high, low)

    def _stop_limit(self, order: Order, open_: float, high: float, low: float) -> FillPrice | None:
        stop, limit = _given(order.stop_price), _given(order.limit_price)
        if not order.stop_triggered:
            if stop_fill(order.side, stop, open_, high, low) is None:
                return None
            order.stop_triggered = True
            # Inside the triggering bar the path is unknown: only an open between stop and limit is a certain fill.
            between = stop <= open_ <= limit if order.side is _BUY else limit <= open_ <= stop
            if not between:
                return None
        return limit_fill(order.side, limit, open_, high, low, on_touch=self.limit_fill_on_touch)


def limit_fill(side: Side, limit: float, open_: float, high: float, low: float, *, on_touch: bool) -> FillPrice | None:
    """Return the fill of a limit order: at the limit, or at the open when the bar opens beyond it.

    Parameters
    ----------
    on_touch : bool
        Whether a price equal to the limit fills; otherwise it must trade through.
    """
    if side is _BUY:
        if open_ < limit or (on_touch and open_ == limit):
            return FillPrice(open_, _AT_OPEN)
        reached = low < limit or (on_touch and low == limit)
    else:
        if open_ > limit or (on_touch and open_ == limit):
            return FillPrice(open_, _AT_OPEN)
        reached = high > limit or (on_touch and high == limit)
    return FillPrice(limit, _AT_LIMIT) if reached else None


def stop_fill(side: Side, stop: float, open_: float, high: float, low: float) -> FillPrice | None:
    """Return the fill of a stop order: at the stop, or at the open when the bar gaps beyond it."""
    if side is _BUY:
        if open_ >= stop:
            return FillPrice(open_, _AT_OPEN)
        return FillPrice(stop, _AT_STOP) if high >= stop else None
    if open_ <= stop:
        return FillPrice(open_, _AT_OPEN)
    return FillPrice(stop, _AT_STOP) if low <= stop else None


def _given(price: float | None) -> float:
    # OrderIntent refuses orders without the prices of their type; a missing one here is a bug, and NaN never fills.
    return float("nan") if price is None else price
