"""What a simulated account takes: the checks of an order, or of a change of one, at the broker's door."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fairlead.core.errors import OrderRejected
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.core.portfolio import Portfolio
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest
from fairlead.execution.holdings import holdings_of, opening_value, together
from fairlead.execution.margin import AccountSettings, Holding, buying_power, refusal

# A price or a quantity is on its grid if it is not further away than the rounding of a division.
_ROUNDING: Final = 1e-9
_LIMITED: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPPED: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def check_request(request: OrderRequest, instrument: Instrument) -> None:
    """Refuse an order that is none: prices that are missing or off the tick grid, a quantity off the lot grid.

    Raises
    ------
    OrderRejected
    """
    kind = request.order_type
    _check_quantity(request.quantity, instrument)
    if (request.limit_price is not None) != (kind in _LIMITED) and kind is not OrderType.ADAPTIVE:
        raise OrderRejected.of("limit_price", f"be given with, and only with, a limit; this is a {kind}", request.limit_price)
    if (request.stop_price is not None) != (kind in _STOPPED) and kind is not OrderType.TRAILING_STOP:
        raise OrderRejected.of("stop_price", f"be given with, and only with, a stop; this is a {kind}", request.stop_price)
    trails = (request.trail_amount, request.trail_percent).count(None) == 1
    if trails != (kind is OrderType.TRAILING_STOP):
        rule = f"be given in one way with, and only with, a trailing stop; this is a {kind}"
        raise OrderRejected.of("trail", rule, request.trail_amount or request.trail_percent)
    if (request.expires_ns is not None) != (request.time_in_force is TimeInForce.GTD):
        rule = f"be given with, and only with, GTD; this is {request.time_in_force}"
        raise OrderRejected.of("expires_ns", rule, request.expires_ns)
    for price in (request.limit_price, request.stop_price):
        _check_price(price, instrument)


def check_change(change: ChangeRequest, order: Order, instrument: Instrument) -> None:
    """Refuse a change that cannot be made.

    Raises
    ------
    OrderRejected
    """
    name = order.tag or order.order_id
    if change.quantity is not None:
        _check_quantity(change.quantity, instrument)
        if float(change.quantity) <= order.filled_quantity:
            raise OrderRejected.of(
                f"quantity of {name}", f"be above the {order.filled_quantity:g} filled", str(change.quantity)
            )
    if (change.quantity, change.limit_price, change.stop_price) == (None, None, None):
        raise OrderRejected(f"a change of order {name} changes nothing.")
    if change.limit_price is not None and order.limit_price is None:
        raise OrderRejected(f"order {name} is a {order.order_type}, which has no limit price to change.")
    if change.stop_price is not None and order.order_type not in _STOPPED:
        raise OrderRejected(f"order {name} is a {order.order_type}, which has no stop price to change.")
    for price in (change.limit_price, change.stop_price):
        _check_price(price, instrument)


def check_money(
    order: Order,
    instrument: Instrument,
    ledger: Portfolio,
    working: Sequence[Order],
    account: AccountSettings,
    *,
    can_short: bool,
) -> None:
    """Refuse an order that the account does not pay for, or that would sell what is not there and cannot be borrowed.

    Parameters
    ----------
    working : sequence of Order
        All that work, without those that the order shares its quantity with.

    Raises
    ------
    OrderRejected
        Its text ends with the code of the rule that says no.
    """
    name = order.tag or order.order_id
    signed = order.side.sign * order.remaining
    if order.side is Side.SELL and not (can_short and instrument.shortable) and not order.reduce_only:
        resting = together([o for o in working if o.symbol == order.symbol and o.side is Side.SELL])
        free = ledger.quantity(order.symbol) - resting
        if order.remaining > free * (1 + _ROUNDING):
            text = f"it sells {order.remaining:g} {order.symbol} and {max(0.0, free):g} are free to be sold"
            raise OrderRejected(f"order {name} is refused: {text}, and short sales are not allowed: short_not_allowed.")
    if not account.is_watched or order.reduce_only:
        return
    price = ledger.marks[order.symbol] or order.limit_price or order.stop_price or 0.0
    trade = Holding(order.symbol, signed, price, instrument.multiplier)
    holdings, in_work = holdings_of(ledger), opening_value(ledger, working)
    code = refusal(trade, ledger.cash, holdings, account, working=in_work)
    if code is not None:
        free = buying_power(ledger.cash, holdings, account, working=in_work)
        text = f"it needs {abs(trade.value):,.2f} and the buying power is {free:,.2f}"
        raise OrderRejected(f"order {name} is refused: {text}: {code}.")


def _check_quantity(quantity: Decimal, instrument: Instrument) -> None:
    units = float(quantity)
    if not units >= instrument.min_quantity:
        raise OrderRejected.of(f"quantity of {instrument.symbol}", f"be at least {instrument.min_quantity:g}", str(quantity))
    lots = units / instrument.lot_step
    if abs(lots - round(lots)) > _ROUNDING * max(1.0, lots):
        raise OrderRejected.of(f"quantity of {instrument.symbol}", f"be a multiple of {instrument.lot_step:g}", str(quantity))


def _check_price(price: Decimal | None, instrument: Instrument) -> None:
    if price is None:
        return
    value = float(price)
    if not value > 0:
        raise OrderRejected.of(f"price of {instrument.symbol}", "be above 0", str(price))
    tick = instrument.tick_at(value)
    if abs(value / tick - round(value / tick)) > 1e-6:
        raise OrderRejected.of(f"price of {instrument.symbol}", f"be a multiple of {tick:g}", str(price))
