"""What a client may ask for as an order: everything that can be said of it before an account is asked."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

from fairlead.core.instruments import Instrument
from fairlead.practice.alpaca.refusals import forbidden, invalid
from fairlead.practice.alpaca.words import ORDER_TYPES, TIMES, read_number

LONGEST_NAME: Final = 128
_CLASSES: Final = frozenset({"", "simple", "bracket", "oco", "oto"})
_PRICES: Final = {
    "market": frozenset[str](),
    "limit": frozenset({"limit_price"}),
    "stop": frozenset({"stop_price"}),
    "stop_limit": frozenset({"limit_price", "stop_price"}),
    "trailing_stop": frozenset[str](),
}


class Exit(NamedTuple):
    """An exit that hangs on an order."""

    order_type: str
    limit_price: Decimal | None
    stop_price: Decimal | None


class Asked(NamedTuple):
    """An order as it is asked for; prices that its type does not have are None."""

    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    time_in_force: str
    order_class: str
    client_order_id: str
    extended_hours: bool
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    take_profit: Exit | None
    stop_loss: Exit | None

    @property
    def legs(self) -> list[Exit]:
        """What hangs on it, the profit first; an OCO order is its own profit."""
        both = (None if self.order_class == "oco" else self.take_profit), self.stop_loss
        return [way_out for way_out in both if way_out is not None]


def read_order(body: Any, instruments: dict[str, Instrument]) -> Asked:
    """Return what a request asks for.

    Raises
    ------
    Refusal
        If it is malformed, of a kind that is not traded here, or contradicts itself.
    """
    if not isinstance(body, dict):
        raise invalid("request body format is invalid", 40010000)
    symbol = str(body.get("symbol", "")).upper()
    instrument = instruments.get(symbol)
    if instrument is None:
        raise invalid(f'asset "{symbol}" not found')
    side = _one_of(body, "side", ("buy", "sell"))
    kind = _one_of(body, "type", tuple(ORDER_TYPES))
    life = _one_of(body, "time_in_force", tuple(TIMES))
    order_class = str(body.get("order_class") or "")
    if order_class not in _CLASSES:
        raise invalid(f"invalid order_class: {order_class}")
    if body.get("notional") is not None:
        raise invalid("notional orders are not taken by this server")
    quantity = read_number(body, "qty")
    if quantity is None:
        raise invalid("qty or notional is required")
    _check_quantity(quantity, instrument, life)
    profit, loss = _exits(body, order_class)
    prices = _prices(body, kind, order_class, profit)
    for way_out in (Exit("", prices["limit_price"], prices["stop_price"]), profit, loss):
        if way_out is not None:
            check_tick(way_out.limit_price, instrument)
            check_tick(way_out.stop_price, instrument)
    extended = bool(body.get("extended_hours"))
    if extended and (kind != "limit" or life != "day"):
        raise invalid("extended hours order must be DAY limit orders")
    name = str(body.get("client_order_id") or "")
    if len(name) > LONGEST_NAME:
        raise invalid(f"client_order_id must be no more than {LONGEST_NAME} characters")
    asked = Asked(symbol, side, quantity, kind, life, order_class, name, extended, **prices, take_profit=profit, stop_loss=loss)
    _check_exits(asked)
    return asked


def check_tick(price: Decimal | None, instrument: Instrument) -> None:
    """Refuse a price that is finer than the market's grid.

    Raises
    ------
    Refusal
    """
    if price is not None:
        tick = Decimal(repr(float(instrument.tick_at(float(price)))))
        if price % tick:
            raise invalid(f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria")


def _one_of(body: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = str(body.get(name, ""))
    if value not in known:
        raise invalid(f"invalid {name}: {value}" if value else f"{name} is required")
    return value


def _check_quantity(quantity: Decimal, instrument: Instrument, life: str) -> None:
    if quantity % 1 == 0:
        return
    if instrument.lot_step >= 1:
        raise forbidden(f'asset "{instrument.symbol}" is not fractionable')
    if life != "day":
        raise invalid("fractional orders must be DAY orders")


def _prices(body: dict[str, Any], kind: str, order_class: str, profit: Exit | None) -> dict[str, Decimal | None]:
    if order_class == "oco":
        if kind != "limit" or profit is None:
            raise invalid("oco orders must be limit orders")
        body = {**body, "limit_price": body.get("limit_price") or str(profit.limit_price)}
    prices = {name: read_number(body, name) for name in ("limit_price", "stop_price", "trail_price", "trail_percent")}
    for name in ("limit_price", "stop_price"):
        if name in _PRICES[kind] and prices[name] is None:
            raise invalid(f"{kind} orders require {name.replace('_', ' ')}")
        if name not in _PRICES[kind] and prices[name] is not None:
            raise invalid(f"{kind} orders must not have {name.replace('_', ' ')}")
    trails = [prices[name] for name in ("trail_price", "trail_percent") if prices[name] is not None]
    if kind == "trailing_stop" and len(trails) != 1:
        raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
    if kind != "trailing_stop" and trails:
        raise invalid(f"{kind} orders must not have trail price or percent")
    return prices


def _exits(body: dict[str, Any], order_class: str) -> tuple[Exit | None, Exit | None]:
    if order_class in ("", "simple"):
        if body.get("take_profit") or body.get("stop_loss"):
            raise invalid("simple orders must not have take_profit or stop_loss")
        return None, None
    profit, loss = _profit(body.get("take_profit"), order_class), _loss(body.get("stop_loss"), order_class)
    if order_class == "oto":
        if (profit is None) == (loss is None):
            raise invalid("oto orders require either take_profit or stop_loss")
        return profit, loss
    if profit is None and not (order_class == "oco" and body.get("limit_price")):
        raise invalid(f"{order_class} orders require take_profit.limit_price")
    if loss is None:
        raise invalid(f"{order_class} orders require stop_loss.stop_price")
    return profit or Exit("limit", read_number(body, "limit_price"), None), loss


def _check_exits(asked: Asked) -> None:
    profit, loss = asked.take_profit, asked.stop_loss
    if profit is None or loss is None or profit.limit_price is None or loss.stop_price is None:
        return
    # The exits of a purchase sell; an OCO order has no entry and is an exit itself.
    sells = (asked.side == "buy") != (asked.order_class == "oco")
    if sells and profit.limit_price <= loss.stop_price:
        raise invalid("take_profit.limit_price must be > stop_loss.stop_price")
    if not sells and profit.limit_price >= loss.stop_price:
        raise invalid("take_profit.limit_price must be < stop_loss.stop_price")


def _profit(raw: Any, order_class: str) -> Exit | None:
    if not isinstance(raw, dict):
        return None
    limit = read_number(raw, "limit_price")
    if limit is None:
        raise invalid(f"{order_class} orders require take_profit.limit_price")
    return Exit("limit", limit, None)


def _loss(raw: Any, order_class: str) -> Exit | None:
    if not isinstance(raw, dict):
        return None
    stop, limit = read_number(raw, "stop_price"), read_number(raw, "limit_price")
    if stop is None:
        raise invalid(f"{order_class} orders require stop_loss.stop_price")
    return Exit("stop" if limit is None else "stop_limit", limit, stop)
