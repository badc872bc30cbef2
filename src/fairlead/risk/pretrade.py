"""Checks before an order leaves. A check that cannot be made refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.risk import kernels
from fairlead.risk.rejection import Rejection
from fairlead.sdk.limits import RiskLimits

REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        kernels.NOT_SHORTABLE: "not_shortable",
        kernels.NO_EQUITY: "no_equity",
        kernels.POSITION_SIZE: "max_position_size",
        kernels.BUYING_POWER: "insufficient_buying_power",
    }
)
"""In words, what `fairlead.risk.kernels` gives as a number."""
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_SELL: Final = Side.SELL


class _Line:
    """One symbol of a strategy: what it holds and what is under way, in units."""

    __slots__ = ("buys", "held", "price", "sells", "unit_value", "worth")

    def __init__(self, held: float, price: float, multiplier: float) -> None:
        self.price = price
        """Last known price in currency; NaN if there is none."""
        self.held = held
        """Signed units, market orders under way included."""
        self.buys = 0.0
        self.sells = 0.0
        self.unit_value = price * multiplier
        self.worth = abs(held) * self.unit_value if held else 0.0
        """Worst exposure, in currency."""

    def worst(self, signed_quantity: float, order_type: OrderType) -> float:
        """Return the most |units| that can come of it, with one more order."""
        held, buys, sells = self.held, self.buys, self.sells
        if order_type is _MARKET:
            held += signed_quantity
            if buys == 0.0 and sells == 0.0:
                return abs(held)
        elif signed_quantity > 0:
            buys += signed_quantity
        else:
            sells -= signed_quantity
        return kernels.worst_units(held, buys, sells)


class ProjectedExposure:
    """A strategy's exposure if its working orders fill, kept up to date while a batch of orders is made.

    Market orders count as filled. Resting orders count at their worst: all buys and no sells, or the reverse.

    Parameters
    ----------
    ledger : Portfolio
    working : iterable of Order
        The strategy's orders that are not final.
    """

    __slots__ = ("_gross", "_ledger", "_lines", "_sets", "equity")

    def __init__(self, ledger: Portfolio, working: Iterable[Order]) -> None:
        self._ledger = ledger
        self._lines: dict[str, _Line] = {}
        self._sets: dict[tuple[str, str, bool], float] = {}
        net, self._gross = ledger.exposures()
        self.equity = ledger.cash + net
        for order in working:
            if order.reduce_only:
                if order.order_type is _MARKET:
                    self.reduce(order.symbol, order.side.sign * order.remaining)
                continue
            self.add(order.symbol, order.side.sign * order.remaining, order.order_type, order.oco_id)

    def beyond_set(self, symbol: str, signed_quantity: float, oco_id: str) -> float:
        """Return the signed units by which an order exceeds what its set has on its side: one of a set fills."""
        counted = self._sets.get((oco_id, symbol, signed_quantity > 0), 0.0)
        if abs(signed_quantity) <= counted:
            return 0.0
        return signed_quantity - counted if signed_quantity > 0 else signed_quantity + counted

    def add(self, symbol: str, signed_quantity: float, order_type: OrderType, oco_id: str = "") -> None:
        """Count one more working order."""
        if oco_id:
            whole, signed_quantity = signed_quantity, self.beyond_set(symbol, signed_quantity, oco_id)
            if signed_quantity == 0.0:
                return
            self._sets[oco_id, symbol, whole > 0] = abs(whole)
        line = self._lines.get(symbol) or self._line(symbol)
        worst = line.worst(signed_quantity, order_type)
        if order_type is _MARKET:
            line.held += signed_quantity
        elif signed_quantity > 0:
            line.buys += signed_quantity
        else:
            line.sells -= signed_quantity
        worth = worst * line.unit_value if worst else 0.0
        self._gross += worth - line.worth
        line.worth = worth

    def reduce(self, symbol: str, signed_quantity: float) -> None:
        """Count a market order that only reduces: what it sells is not there to be sold again, and it turns nothing round."""
        held = self.held(symbol)
        if held * signed_quantity < 0.0:
            self.add(symbol, -held if abs(signed_quantity) > abs(held) else signed_quantity, _MARKET)

    def price(self, symbol: str) -> float:
        """Last known price of `symbol`, in currency; NaN if there is none."""
        return (self._lines.get(symbol) or self._line(symbol)).price

    def buying_power(self, max_leverage: float) -> float:
        """Return the currency that is left for new positions, what is under way counted at its worst; at least 0."""
        return max(0.0, max_leverage * self.equity - self._gross)

    def held(self, symbol: str) -> float:
        """Signed units held, market orders under way included."""
        line = self._lines.get(symbol)
        return self._ledger.quantity(symbol) if line is None else line.held

    def after(self, symbol: str, signed_quantity: float, order_type: OrderType) -> tuple[float, float]:
        """Return (worst |units| of the symbol, worst gross exposure in currency) with one more order."""
        line = self._lines.get(symbol) or self._line(symbol)
        units = line.worst(signed_quantity, order_type)
        return units, self._gross - line.worth + units * line.unit_value

    def reduces(self, symbol: str, signed_quantity: float) -> bool:
        """Whether the order only lowers |position|, without crossing zero."""
        return kernels.only_reduces(self.held(symbol), signed_quantity)

    def only_exits(self, symbol: str, signed_quantity: float, order_type: OrderType) -> bool:
        """Whether the order can do no more than close what is held.

        A market order counts alone. A resting one counts with those that already rest on its side: together they could turn
        the position round.
        """
        if not self.reduces(symbol, signed_quantity):
            return False
        if order_type is _MARKET:
            return True
        line = self._line(symbol)
        return line.worst(signed_quantity, order_type) <= line.worst(0.0, _MARKET)

    def surely_exits(self, symbol: str, signed_quantity: float, order_type: OrderType) -> bool:
        """Whether the order, and all that rests on its side, can do no more than close what is held.

        `only_exits` asks whether the worst |units| grow: a long position that is turned into a short one of its size passes
        it, and does not pass here.
        """
        if order_type is _MARKET or not self.only_exits(symbol, signed_quantity, order_type):
            return self.only_exits(symbol, signed_quantity, order_type)
        line = self._line(symbol)
        resting = -line.sells if signed_quantity < 0 else line.buys
        return kernels.only_reduces(line.held, resting + signed_quantity)

    def rests_within(self, symbol: str, sign: int) -> bool:
        """Whether what rests on a side, +1 to buy and -1 to sell, can do no more than close what is held."""
        line = self._line(symbol)
        return kernels.only_reduces(line.held, line.buys if sign > 0 else -line.sells)

    def same_side(self, symbol: str, signed_quantity: float) -> float:
        """Return the |units| held if one more order fills, and all that rests on its side."""
        line = self._line(symbol)
        return abs(line.held + (line.buys if signed_quantity > 0 else -line.sells) + signed_quantity)

    @property
    def gross(self) -> float:
        """Worst gross exposure, in currency."""
        return self._gross

    def open_symbols(self) -> set[str]:
        """Return the symbols that are held, or may come to be."""
        held = {p.symbol for p in self._ledger.positions.values() if p.quantity and p.symbol not in self._lines}
        return held | {symbol for symbol, line in self._lines.items() if line.worst(0.0, _MARKET) > 0.0}

    def lowest(self, symbol: str, signed_quantity: float, order_type: OrderType) -> float:
        """Return the signed units left by one more sell; if it rests, with every other resting sell."""
        line = self._line(symbol)
        left = line.held + signed_quantity
        return left if order_type is _MARKET else left - line.sells

    def _line(self, symbol: str) -> _Line:
        line = self._lines.get(symbol)
        if line is None:
            ledger = self._ledger
            multiplier = ledger.multipliers.get(symbol, 1.0)
            line = self._lines[symbol] = _Line(ledger.quantity(symbol), ledger.marks[symbol], multiplier)
        return line


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
    if (
        Side.of(signed_quantity) is _SELL
        and not instrument.shortable
        and kernels.is_short(exposure.lowest(symbol, signed_quantity, order_type), instrument.lot_step)
    ):
        return Rejection(REASONS[kernels.NOT_SHORTABLE])
    if exposure.only_exits(symbol, signed_quantity, order_type):
        return None
    units, gross = exposure.after(symbol, signed_quantity, order_type)
    return _check_limits(exposure.equity, units * price * instrument.multiplier, gross, limits)


def check_market(
    instrument: Instrument,
    signed_quantity: float,
    held: float,
    price: float,
    reduces: bool,  # noqa: FBT001  keywords cost as much as the check
    equity: float,
    gross: float,
    limits: RiskLimits,
) -> Rejection | None:
    """Return what `check_order` does for a market order in a symbol in which nothing rests, from numbers that are at hand.

    Parameters
    ----------
    signed_quantity, held : float
        Units, wanted and there before.
    price : float
        In currency, above 0.
    reduces : bool
        Whether the order only lowers |position|.
    equity, gross : float
        Of the strategy, in currency; `gross` with the order.
    """
    left = held + signed_quantity
    if signed_quantity < 0.0 and not instrument.shortable and kernels.is_short(left, instrument.lot_step):
        return Rejection(REASONS[kernels.NOT_SHORTABLE])
    return None if reduces else _check_limits(equity, abs(left) * price * instrument.multiplier, gross, limits)


def _check_limits(equity: float, value: float, gross: float, limits: RiskLimits) -> Rejection | None:
    size = kernels.NO_LIMIT if limits.max_position_size is None else limits.max_position_size
    code, measured, limit = kernels.check_limits(equity, value, gross, size, limits.max_leverage)
    return Rejection(REASONS[code], measured, limit) if code else None
