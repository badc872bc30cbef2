"""What a simulated account takes: the checks of an order, or of a change of one, at the broker's door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from fairlead.core.errors import OrderRejected
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.core.portfolio import Portfolio
from fairlead.execution.brokers.simulated.orders import AccountOrders
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
    name = _name(order)
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


class Door:
    """Who decides what an account takes.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument
    account : AccountSettings
        What an account that is not watched buys is not looked at.
    can_short : bool
    """

    def __init__(self, instruments: Mapping[str, Instrument], account: AccountSettings, *, can_short: bool) -> None:
        self._instruments, self._account, self._can_short = instruments, account, can_short

    def check_names(self, requests: Sequence[OrderRequest], orders: AccountOrders) -> None:
        """Refuse orders in unknown symbols, under references that are known, or that are none.

        Raises
        ------
        OrderRejected
        """
        references: set[str] = set()
        for request in requests:
            if request.symbol not in self._instruments:
                raise OrderRejected(f"there is no symbol {request.symbol!r} to trade at this broker.")
            if request.reference and (orders.find(request.reference) is not None or request.reference in references):
                raise OrderRejected(f"there is an order with the reference {request.reference!r} already.")
            references.add(request.reference)
            check_request(request, self._instruments[request.symbol])

    def check_money(self, order: Order, working: Sequence[Order], ledger: Portfolio) -> None:
        """Refuse an order that the account does not pay for, or that would sell what is not there and cannot be borrowed.

        Parameters
        ----------
        working : sequence of Order
            What else can fill; those of its set are left out, as one of them does.

        Raises
        ------
        OrderRejected
            Its text ends with the code of the rule that says no.
        """
        instrument = self._instruments[order.symbol]
        others = [other for other in working if not (order.oco_id and other.oco_id == order.oco_id)]
        if order.reduce_only:
            return
        if order.side is Side.SELL and not (self._can_short and instrument.shortable):
            _check_short(order, others, ledger)
        if not self._account.is_watched:
            return
        price = ledger.marks[order.symbol] or order.limit_price or order.stop_price or 0.0
        trade = Holding(order.symbol, order.side.sign * order.remaining, price, instrument.multiplier)
        holdings, in_work = holdings_of(ledger), opening_value(ledger, others)
        code = refusal(trade, ledger.cash, holdings, self._account, working=in_work)
        if code is not None:
            free = buying_power(ledger.cash, holdings, self._account, working=in_work)
            text = f"it needs {abs(trade.value):,.2f} and the buying power is {free:,.2f}"
            raise OrderRejected(f"order {_name(order)} is refused: {text}: {code}.")

    def check_more(self, order: Order, quantity: float, working: Sequence[Order], ledger: Portfolio) -> None:
        """Refuse to make an order larger if the account does not take it so.

        Raises
        ------
        OrderRejected
        """
        twin = order.group_id
        others = [other for other in working if other is not order and not (twin and other.group_id == twin)]
        self.check_money(replace(order, quantity=quantity), others, ledger)


def _check_short(order: Order, others: Sequence[Order], ledger: Portfolio) -> None:
    resting = together([o for o in others if o.symbol == order.symbol and o.side is Side.SELL])
    free = ledger.quantity(order.symbol) - resting
    if order.remaining > free * (1 + _ROUNDING):
        text = f"it sells {order.remaining:g} {order.symbol} and {max(0.0, free):g} are free to be sold"
        raise OrderRejected(f"order {_name(order)} is refused: {text}, and short sales are not allowed: short_not_allowed.")


def _name(order: Order) -> str:
    return order.tag or order.order_id


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
