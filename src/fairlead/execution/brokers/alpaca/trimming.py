"""What keeps an order that was changed from filling more than it may.

At Alpaca the new order has filled nothing, and is for units of its own. What the old one fills while the change is under way
comes on top of that, and is taken off again here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from fairlead.core.orders import TERMINAL
from fairlead.execution.brokers.alpaca.api import TradingApi
from fairlead.execution.brokers.alpaca.mapping import change_fields, exact
from fairlead.execution.brokers.alpaca.orders import Orders
from fairlead.execution.brokers.words import ChangeRequest


class Trimming:
    """Knows how many units orders that were changed may be for in all, and sees to it.

    Parameters
    ----------
    api : TradingApi
    orders : Orders
    remark : callable
        Told in words what is done.
    """

    def __init__(self, api: TradingApi, orders: Orders, remark: Callable[[str], None]) -> None:
        self._api, self._orders, self._remark = api, orders, remark
        self._wholes: dict[str, Decimal] = {}
        self._turn = asyncio.Lock()

    def expect(self, reference: str, whole: Decimal) -> None:
        """Learn how many units an order may be for, those that are filled included."""
        self._wholes[reference] = whole

    def excess(self, reference: str) -> Decimal:
        """Return how many units more it could fill."""
        broker_id, whole = self._orders.lineage.newest(reference), self._wholes.get(reference)
        if broker_id is None or whole is None:
            return Decimal(0)
        order = self._orders.lineage.order(broker_id)
        if order.status in TERMINAL:
            del self._wholes[reference]
            return Decimal(0)
        return exact(order.quantity) - whole

    async def trim(self, reference: str) -> None:
        """Take off what is too much.

        Raises
        ------
        BrokerError
            If Alpaca does not do it, or not yet.
        """
        async with self._turn:
            more = self.excess(reference)
            broker_id = self._orders.lineage.newest(reference)
            if more <= 0 or broker_id is None:
                return
            left = exact(self._orders.lineage.raw(broker_id).quantity) - more
            self._remark(f"order {reference} filled {more} units while it was changed: they are taken from what is left")
            if left <= 0:
                await self._api.cancel(broker_id)
                return
            fields = change_fields(ChangeRequest(reference=reference), left, self._orders.lineage.next_name(broker_id))
            await self._orders.take(await self._api.change(broker_id, fields))
