"""Our side of the books: what the desk has sent, been told and booked, read from its lists, which only grow."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.core.orders import Order
from fairlead.engine.desk import OrderDesk
from fairlead.execution.tally import Tally


class DeskBooks:
    """Adds up what is new in a desk's lists.

    Parameters
    ----------
    multipliers : mapping of str to float
        Currency value of one unit at price 1.

    Attributes
    ----------
    tally : Tally
    orders : dict of str to Order
        Every order that was made, by its name.
    """

    def __init__(self, multipliers: Mapping[str, float]) -> None:
        self.tally = Tally(multipliers)
        self.orders: dict[str, Order] = {}
        self._made = self._updates = self._fills = 0

    def read(self, desk: OrderDesk) -> None:
        """Take in what is new: what was told is what is ours."""
        made, updates, fills = desk.orders[self._made :], desk.updates[self._updates :], desk.fills[self._fills :]
        self._made, self._updates, self._fills = len(desk.orders), len(desk.updates), len(desk.fills)
        for order in made:
            self.orders[order.order_id] = order
            if not order.parent_id:  # what waits for a parent has not been sent
                self.tally.sent(order)
        for update in updates:
            self.tally.changed(self.orders[update.order_id], update)
        for fill in fills:
            self.tally.filled(fill)
