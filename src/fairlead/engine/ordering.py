"""From an intent to an order: identity, side and the price grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fairlead.core.exits import Exits
from fairlead.core.identity import idempotency_key, order_id, order_namer
from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import Order, OrderRole, OrderType, Side, TimeInForce
from fairlead.core.time import to_ns
from fairlead.execution.pricing import on_tick, prices_on_tick
from fairlead.sdk.strategy import Strategy

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_STOP: Final = OrderType.STOP
_TRAILING: Final = OrderType.TRAILING_STOP
_GTC: Final = TimeInForce.GTC
_STOP_LOSS: Final = OrderRole.STOP_LOSS
_TAKE_PROFIT: Final = OrderRole.TAKE_PROFIT
_SELL: Final = Side.SELL
_BUY: Final = Side.BUY


class OrderMaker:
    """Makes the orders of one run.

    Parameters
    ----------
    run_id : str
        Part of every order's identity.
    instruments : mapping of symbol to Instrument
    """

    def __init__(self, run_id: str, instruments: Mapping[str, Instrument]) -> None:
        self._run_id = run_id
        self._instruments = instruments
        self._namers: dict[tuple[str, str, Side], Callable[[str], str]] = {}

    def order(self, strategy: Strategy, name: str, intent: OrderIntent, quantity: float, group: str, now: int) -> Order:
        """Return the order that an intent becomes.

        Parameters
        ----------
        strategy : Strategy
            Its version is part of the order's identity.
        name : str
            What the session calls the strategy.
        quantity : float
            Signed units.
        group : str
            What tells this order from others of its symbol and side.
        now : int
            The instant of the decision.
        """
        symbol, side = intent.symbol, Side.of(quantity or intent.amount)
        key = idempotency_key(self._run_id, name, type(strategy).version, symbol, side, group)
        limit, stop = intent.limit_price, intent.stop_price
        instrument = self._instruments.get(symbol) if limit is not None or stop is not None else None
        if instrument is not None:
            limit, stop = prices_on_tick(instrument, side, limit, stop)
        kind, expires_at = intent.order_type, intent.expires_at
        order = Order(
            order_id(key),
            key,
            group,
            name,
            symbol,
            side,
            abs(quantity) or abs(intent.amount),
            kind,
            now,
            now,
            limit,
            stop,
            intent.time_in_force,
            to_ns(expires_at) if expires_at is not None else None,
            intent.tag,
        )
        if intent.reduce_only:
            order.reduce_only = True
        if kind is _TRAILING:
            order.trail_amount, order.trail_percent = intent.trail_amount, intent.trail_percent
        return order

    def at_market(self, strategy: Strategy, name: str, intent: OrderIntent, quantity: float, group: str, now: int) -> Order:
        """Return what `order` does for a plain market order of a quantity that is not 0."""
        symbol = intent.symbol
        side, units = (_BUY, quantity) if quantity > 0.0 else (_SELL, -quantity)
        namer = self._namers.get((name, symbol, side)) or self._namer(strategy, name, symbol, side)
        key = namer(group)
        return Order(
            order_id(key),
            key,
            group,
            name,
            symbol,
            side,
            units,
            _MARKET,
            now,
            now,
            None,
            None,
            intent.time_in_force,
            None,
            intent.tag,
        )

    def _namer(self, strategy: Strategy, name: str, symbol: str, side: Side) -> Callable[[str], str]:
        namer = self._namers[name, symbol, side] = order_namer(self._run_id, name, type(strategy).version, symbol, side)
        return namer

    def exits(self, parent: Order, strategy: Strategy, exits: Exits | None) -> list[Order]:
        """Return the exits of a bracket, asleep until `parent` fills.

        The stop is the elder: where both lie in one bar it is served first.
        """
        found: list[Order] = []
        if exits is None:
            return found
        trails = exits.trail_amount is not None or exits.trail_percent is not None
        if exits.stop_loss is not None or trails:
            stop = self._exit(parent, strategy, _STOP_LOSS, _TRAILING if trails else _STOP)
            if exits.stop_loss is not None:
                # Away from the entry (domain rule 1.3): down for a long position, whose exit is a sell.
                stop.stop_price = on_tick(self._instruments[parent.symbol], exits.stop_loss, up=stop.side is _BUY)
            stop.trail_amount, stop.trail_percent = exits.trail_amount, exits.trail_percent
            found.append(stop)
        if exits.take_profit is not None:
            target = self._exit(parent, strategy, _TAKE_PROFIT, _LIMIT)
            target.limit_price = on_tick(self._instruments[parent.symbol], exits.take_profit, up=target.side is _SELL)
            found.append(target)
        return found

    def _exit(self, parent: Order, strategy: Strategy, role: OrderRole, kind: OrderType) -> Order:
        group = f"{parent.group_id}_{role}"
        side = _SELL if parent.side is _BUY else _BUY
        key = idempotency_key(self._run_id, parent.strategy, type(strategy).version, parent.symbol, side, group)
        return Order(
            order_id=order_id(key),
            idempotency_key=key,
            group_id=group,
            strategy=parent.strategy,
            symbol=parent.symbol,
            side=side,
            quantity=0.0,
            order_type=kind,
            created_ns=parent.created_ns,
            arrives_ns=parent.created_ns,
            time_in_force=_GTC,
            tag=parent.tag,
            parent_id=parent.order_id,
            role=role,
            reduce_only=True,
        )
