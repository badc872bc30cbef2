"""Where the orders of a simulated account meet the market: the simulated venue of paper, at which orders arrive at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.core.time import BarSize
from fairlead.data.closing import session_closes
from fairlead.execution.families import EXITS
from fairlead.execution.latency import Latency, LatencySettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.simulated import SimulatedExecution
from fairlead.execution.working import Heard

# Whoever sends an order is as far away as it is; here it has arrived.
_AT_ONCE: Final = LatencySettings(mean_ms=0.0, std_ms=0.0)


class AccountMatching(SimulatedExecution):
    """The simulated venue as a broker has it: it knows orders that came to it, and no strategies and no brackets.

    Parameters
    ----------
    settings : ExecutionSettings
    instruments : mapping of symbol to Instrument
    hear : callable
        As of `Venue`.
    held : callable
        Symbol -> signed units of the account; asked for orders that only reduce.
    resized : callable
        Told an exit that is for less, as the other has filled in part.
    calendar : str
    bar_size : BarSize
    """

    def __init__(
        self,
        settings: ExecutionSettings,
        instruments: Mapping[str, Instrument],
        hear: Heard,
        held: Callable[[str], float],
        resized: Callable[[Order], None],
        *,
        calendar: str,
        bar_size: BarSize,
    ) -> None:
        # Without `held` of the venue: with it, exits would end with their position, which no broker does.
        super().__init__(
            settings,
            instruments,
            Latency(_AT_ONCE, lambda _name: np.random.default_rng(0)),
            hear,
            one_bar_sessions=not bar_size.is_intraday,
            session_close=session_closes(calendar),
        )
        self._held_of, self._tell_resized = held, resized

    def take(self, order: Order) -> None:
        """Let an order work from now on, without a word of it; also one that worked before a restart."""
        self.working[order.order_id] = order
        if order.oco_id:
            self._families.add_to_set(order)
        if order.order_type is OrderType.TRAILING_STOP and order.stop_price is not None:
            self._pricer.follow(order, order.stop_price)

    def link(self, first: Order, second: Order) -> None:
        """Let two exits of one position be such: what one fills, the other need not."""
        # They hang on an entry that is over: a bracket whose entry came to this account as an order of its own.
        entry = Order(
            f"entry of {first.order_id}",
            *("", "", "", first.symbol, Side.of(-first.side.sign)),
            *(0.0, OrderType.MARKET, first.created_ns, first.created_ns),
            status=OrderStatus.FILLED,
        )
        self._families.add_children(entry, (first, second))

    def end(self, order: Order, status: OrderStatus, ts_ns: int, reason: str) -> None:
        """Let a working order end."""
        self._end(order, status, ts_ns, reason)

    def change(self, order: Order, change: ReplaceIntent, ts_ns: int) -> None:
        """Change a working order; what it asks for has been looked at."""
        if change.quantity is not None and order.role in EXITS:
            # On paper the size of an exit follows its entry; here nobody knows that entry.
            order.quantity = change.quantity
            if change.limit_price is None and change.stop_price is None:
                self._note(order, ts_ns, "replaced")
                return
            change = ReplaceIntent(order.order_id, None, change.limit_price, change.stop_price)
        self._replace(order, change, ts_ns)

    def execute(self, order: Order, quantity: float, price: float, commission: float, ts_ns: int) -> None:
        """Let a working order be executed as somebody says, and the others that belong to it react."""
        self._fill(order, quantity, price, price, commission, ts_ns, ts_ns)
        if self._families.used:
            self._react(order, quantity, ts_ns, lambda _child: None)  # nothing waits for a parent here

    def _shrunk(self, order: Order) -> None:
        self._tell_resized(order)

    def _grown(self, order: Order) -> None:
        self._tell_resized(order)

    def _reducible(self, order: Order) -> float:
        return -self._held_of(order.symbol) * order.side.sign


def are_exits(orders: list[Order]) -> bool:
    """Whether orders are the two exits of one position."""
    return {order.role for order in orders} == EXITS and len({(o.symbol, o.side) for o in orders}) == 1 and len(orders) == 2
