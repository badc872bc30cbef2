"""Checks before an order leaves. A check that cannot be made refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.sdk.limits import RiskLimits

# A limit is not breached by the last bit of a sum of floats.
_ROUNDING: Final = 1e-9


class Rejection(NamedTuple):
    """Why an order was refused."""

    reason: str
    measured: float = float("nan")
    limit: float = float("nan")

    def __str__(self) -> str:
        return self.reason if self.limit != self.limit else f"{self.reason}: {self.measured:.6g} > {self.limit:.6g}"


class _Working:
    """Orders under way in one symbol, in units."""

    __slots__ = ("buys", "market", "sells")

    def __init__(self) -> None:
        self.market = 0.0
        self.buys = 0.0
        self.sells = 0.0


class ProjectedExposure:
    """A strategy's exposure if its working orders fill, kept up to date while a batch of orders is made.

    Market orders count as filled. Resting orders count at their worst: all buys and no sells, or the reverse.

    Parameters
    ----------
    ledger : Portfolio
    working : iterable of Order
        The strategy's orders that are not final.
    """

    __slots__ = ("_gross", "_ledger", "_working", "equity")

    def __init__(self, ledger: Portfolio, working: Iterable[Order]) -> None:
        self._ledger = ledger
        self._working: dict[str, _Working] = {}
        net, self._gross = ledger.exposures()
        self.equity = ledger.cash + net
        for order in working:
            self.add(order.symbol, order.side.sign * order.remaining, order.order_type)

    def add(self, symbol: str, signed_quantity: float, order_type: OrderType) -> None:
        """Count one more working order."""
        before = self._value(symbol)
        under_way = self._working.get(symbol)
        if under_way is None:
            under_way = self._working[symbol] = _Working()
        if order_type is OrderType.MARKET:
            under_way.market += signed_quantity
        elif signed_quantity > 0:
            under_way.buys += signed_quantity
        else:
            under_way.sells -= signed_quantity
        self._gross += self._value(symbol) - before

    def held(self, symbol: str) -> float:
        """Signed units held, market orders under way included."""
        under_way = self._working.get(symbol)
        return self._ledger.quantity(symbol) + (under_way.market if under_way is not None else 0.0)

    def after(self, symbol: str, signed_quantity: float, order_type: OrderType) -> tuple[float, float]:
        """Return (worst |units| of the symbol, worst gross exposure in currency) with one more order."""
        before = self._value(symbol)
        units = self._worst_units(symbol, signed_quantity, order_type)
        return units, self._gross - before + units * self._unit_value(symbol)

    def reduces(self, symbol: str, signed_quantity: float) -> bool:
        """Whether the order only lowers |position|, without crossing zero."""
        held = self.held(symbol)
        return held != 0.0 and (held > 0) != (signed_quantity > 0) and abs(signed_quantity) <= abs(held)

    def only_exits(self, symbol: str, signed_quantity: float, order_type: OrderType) -> bool:
        """Whether the order can do no more than close what is held.

        A market order counts alone. A resting one counts with those that already rest on its side: together they could turn
        the position round.
        """
        if not self.reduces(symbol, signed_quantity):
            return False
        if order_type is OrderType.MARKET:
            return True
        before = self._worst_units(symbol, 0.0, OrderType.MARKET)
        return self._worst_units(symbol, signed_quantity, order_type) <= before

    def lowest(self, symbol: str, signed_quantity: float, order_type: OrderType) -> float:
        """Return the signed units left by one more sell; if it rests, with every other resting sell."""
        left = self.held(symbol) + signed_quantity
        under_way = self._working.get(symbol)
        return left if under_way is None or order_type is OrderType.MARKET else left - under_way.sells

    def _value(self, symbol: str) -> float:
        units = self._worst_units(symbol, 0.0, OrderType.MARKET)
        return units * self._unit_value(symbol) if units else 0.0

    def _unit_value(self, symbol: str) -> float:
        return self._ledger.marks[symbol] * self._ledger.multipliers.get(symbol, 1.0)

    def _worst_units(self, symbol: str, extra: float, order_type: OrderType) -> float:
        base = self._ledger.quantity(symbol)
        under_way = self._working.get(symbol)
        buys = sells = 0.0
        if under_way is not None:
            base += under_way.market
            buys, sells = under_way.buys, under_way.sells
        if order_type is OrderType.MARKET:
            base += extra
        elif extra > 0:
            buys += extra
        else:
            sells -= extra
        return max(abs(base + buys), abs(base - sells), abs(base))


def check_order(
    symbol: str,
    signed_quantity: float,
    order_type: OrderType,
    *,
    exposure: ProjectedExposure,
    limits: RiskLimits,
    instruments: Mapping[str, Instrument],
    price: float,
) -> Rejection | None:
    """Return why the order must not leave, or None.

    Parameters
    ----------
    signed_quantity : float
        Units, on the lot grid; 0 was refused before.
    price : float
        Last known price in currency; NaN if there is none.

    Notes
    -----
    An order that can only close a position passes the limits: otherwise a limit would block the exit it calls for.
    """
    instrument = instruments.get(symbol)
    if instrument is None:
        return Rejection("unknown_symbol")
    if not price > 0:
        return Rejection("no_market_data")
    is_sell = Side.of(signed_quantity) is Side.SELL
    if is_sell and not instrument.shortable and exposure.lowest(symbol, signed_quantity, order_type) < 0:
        return Rejection("not_shortable")
    if exposure.only_exits(symbol, signed_quantity, order_type):
        return None
    equity = exposure.equity
    if not equity > 0:
        return Rejection("no_equity", -equity, 0.0)
    units, gross = exposure.after(symbol, signed_quantity, order_type)
    value = units * price * instrument.multiplier
    if limits.max_position_size is not None and value > limits.max_position_size * equity * (1 + _ROUNDING):
        return Rejection("max_position_size", value, limits.max_position_size * equity)
    if gross > limits.max_leverage * equity * (1 + _ROUNDING):
        return Rejection("insufficient_buying_power", gross, limits.max_leverage * equity)
    return None
