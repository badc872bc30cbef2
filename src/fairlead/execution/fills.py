"""Where an order fills in a bar: orders meet the rules of `fairlead.execution.kernels`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple

from fairlead.contracts.settings import Settings
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.execution import kernels

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_STOP: Final = OrderType.STOP
_STOP_LIMIT: Final = OrderType.STOP_LIMIT
_TRAILING: Final = OrderType.TRAILING_STOP
_ADAPTIVE: Final = OrderType.ADAPTIVE
_BUY: Final = Side.BUY
_OPG: Final = TimeInForce.OPG
_CLS: Final = TimeInForce.CLS
_UNKNOWN: Final = float("nan")


class FillPhase(IntEnum):
    """When inside a bar a fill happens; earlier phases consume liquidity first."""

    OPEN = kernels.OPEN
    STOP = kernels.STOP
    LIMIT = kernels.LIMIT
    CLOSE = kernels.CLOSE


_PHASES: Final = tuple(FillPhase)
_AT_OPEN: Final = FillPhase.OPEN
_AT_CLOSE: Final = FillPhase.CLOSE


class FillPrice(NamedTuple):
    """A price at which an order can be filled in a bar."""

    price: float
    phase: FillPhase


# Made in C: one for every order that could fill, and the constructor of a named tuple is a Python function.
_make_price: Final = partial(tuple.__new__, FillPrice)


def market_fill(open_: float) -> FillPrice:
    """Return the fill of a market order: the open, whatever comes after it."""
    return _make_price((open_, _AT_OPEN))


class Spark(NamedTuple):
    """The moment inside a bar at which an order comes to life: the fill of its parent.

    Parameters
    ----------
    moved : int
        Which way the price was going: +1 up, -1 down, 0 if nothing came before it.
    """

    price: float
    phase: FillPhase
    moved: int


ELSEWHERE: Final = Spark(_UNKNOWN, _AT_CLOSE, 0)
"""The fill of a parent in another symbol: its price is none here, and only the close is known to come after it."""


class FillModel(Settings, ABC):
    """Base of every fill model; its fields are its settings."""

    @abstractmethod
    def price(self, order: Order, open_: float, high: float, low: float, close: float) -> FillPrice | None:
        """Return where `order` fills in a bar that it may meet, or None.

        The order has arrived, is working, and the bar is not the one it was decided on. A model may set
        `order.stop_triggered`; it changes nothing else.
        """


class BarFillModel(FillModel):
    """Fills from open, high, low and close, assuming the worst about what happened between them.

    Parameters
    ----------
    limit_fill_on_touch : bool
        Fill a limit order when the price only touches it; False needs the price to trade through.
    """

    limit_fill_on_touch: bool = False

    def price(self, order: Order, open_: float, high: float, low: float, close: float) -> FillPrice | None:
        """Return where `order` fills in the bar, or None."""
        kind = order.order_type
        if order.time_in_force is _OPG or order.time_in_force is _CLS:
            return self._auction(order, open_, close)
        if kind is _MARKET:
            return market_fill(open_)
        side = 1 if order.side is _BUY else -1
        if kind is _LIMIT or (kind is _STOP_LIMIT and order.stop_triggered):
            return _found(*kernels.limit_in_bar(side, _given(order.limit_price), open_, high, low, self.limit_fill_on_touch))
        if kind is _STOP or kind is _TRAILING:
            return _found(*kernels.stop_in_bar(side, _given(order.stop_price), open_, high, low))
        if kind is _ADAPTIVE:
            return FillPrice(kernels.adaptive_in_bar(side, open_, high, low, close), _AT_CLOSE)
        stop, limit = _given(order.stop_price), _given(order.limit_price)
        price, phase, order.stop_triggered = kernels.stop_limit_in_bar(
            side, stop, limit, open_, high, low, self.limit_fill_on_touch
        )
        return _found(price, phase)

    def price_late(self, order: Order, high: float, low: float, close: float) -> FillPrice | None:
        """Return where `order` fills in a bar in whose middle it arrives, or None."""
        side = 1 if order.side is _BUY else -1
        price = kernels.late_in_bar(side, _given(order.limit_price), _given(order.stop_price), high, low, close)
        return _found(price, kernels.CLOSE)

    def price_after(self, order: Order, spark: Spark, high: float, low: float, close: float) -> FillPrice | None:
        """Return where an order fills in the bar inside which it comes to life, or None."""
        side = 1 if order.side is _BUY else -1
        kind = order.order_type
        if spark is ELSEWHERE:
            return None if kind is _TRAILING else self.price_late(order, high, low, close)
        if kind is _MARKET:
            return FillPrice(spark.price, spark.phase)
        at, phase = spark.price, int(spark.phase)
        if kind is _LIMIT:
            limit = _given(order.limit_price)
            return _found(*kernels.limit_after(side, limit, at, phase, spark.moved, high, low, close, self.limit_fill_on_touch))
        if kind is _STOP or kind is _TRAILING:
            return _found(*kernels.stop_after(side, _given(order.stop_price), at, phase, high, low, close))
        return None

    def _auction(self, order: Order, open_: float, close: float) -> FillPrice | None:
        # The venue lets the order meet the right bar alone.
        at, phase = (open_, _AT_OPEN) if order.time_in_force is _OPG else (close, _AT_CLOSE)
        if order.order_type is _LIMIT:
            better = (_given(order.limit_price) - at) * (1 if order.side is _BUY else -1)
            if not (better > 0.0 or (self.limit_fill_on_touch and better == 0.0)):
                return None
        return FillPrice(at, phase)


def spark_of(order: Order, found: FillPrice) -> Spark:
    """Return the moment at which the fill of `order` brings others to life."""
    limits = order.order_type is _LIMIT or order.order_type is _STOP_LIMIT
    return Spark(found.price, found.phase, kernels.moved_by(1 if order.side is _BUY else -1, limits, int(found.phase)))


def limit_fill(side: Side, limit: float, open_: float, high: float, low: float, *, on_touch: bool) -> FillPrice | None:
    """Return the fill of a limit order; see `kernels.limit_in_bar`."""
    return _found(*kernels.limit_in_bar(side.sign, limit, open_, high, low, on_touch))


def stop_fill(side: Side, stop: float, open_: float, high: float, low: float) -> FillPrice | None:
    """Return the fill of a stop order; see `kernels.stop_in_bar`."""
    return _found(*kernels.stop_in_bar(side.sign, stop, open_, high, low))


def _found(price: float, phase: int) -> FillPrice | None:
    return _make_price((price, _PHASES[phase])) if price == price else None


def _given(price: float | None) -> float:
    # OrderIntent refuses orders without the prices of their type; a missing one here is a bug, and NaN never fills.
    return _UNKNOWN if price is None else price
