"""Alpaca's orders and executions as ours, asked for as far as it takes to know whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from fairlead.core.errors import BrokerError, ContractError, OrderRejected
from fairlead.core.orders import TERMINAL
from fairlead.core.time import NS_PER_DAY
from fairlead.execution.brokers.alpaca.api import TradingApi
from fairlead.execution.brokers.alpaca.executions import ExecutionBook, of_activity
from fairlead.execution.brokers.alpaca.lineage import Lineage
from fairlead.execution.brokers.alpaca.mapping import RawOrder
from fairlead.execution.brokers.words import BrokerOrder, Execution


class Orders:
    """What is known of an account's orders, and asked for where it is not.

    Parameters
    ----------
    api : TradingApi
    skip : callable
        Told what could not be read, and is left out.
    """

    def __init__(self, api: TradingApi, skip: Callable[[ContractError], None]) -> None:
        self._api, self._skip = api, skip
        self.lineage: Final = Lineage()
        self.book: Final = ExecutionBook()

    async def take(self, raw: RawOrder) -> None:
        """Learn of an order, and ask for what is missing to know whose it is and what it has filled in all.

        Raises
        ------
        BrokerError
            If that cannot be had.
        """
        self.lineage.learn(raw)
        for each in (raw, *raw.legs):
            await self._complete(each.broker_id)

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with our reference, and if it was replaced the one that goes on for it."""
        broker_id = self.lineage.newest(reference)
        if broker_id is None:
            raw = await self._api.named(self.lineage.name(reference))
            if raw is not None:
                await self.take(raw)
                if self.lineage.newest(reference) is None:
                    await self.take_nested(raw.broker_id)  # it is the leg, which only the nested order shows
            else:
                await self._search(lambda: self.lineage.newest(reference) is not None)
        elif not await self.take_nested(broker_id):
            return None
        return await self._newest_of(reference, broker_id)

    async def here(self, reference: str) -> BrokerOrder | None:
        """Return an order that has just been told; asked for only if that said too little."""
        broker_id = self.lineage.newest(reference)
        return await self.find(reference) if broker_id is None else self.lineage.order(broker_id)

    async def known(self, reference: str) -> BrokerOrder:
        """Return an order that a wish is about.

        Raises
        ------
        OrderRejected
            If there is none.
        """
        order = await self.find(reference)
        if order is None:
            raise OrderRejected(f"Alpaca has no order {reference!r}.")
        return order

    async def open(self) -> list[BrokerOrder]:
        """Return every order of the account that can still fill, the oldest first."""
        found: dict[str, BrokerOrder] = {}
        raws = [raw async for raw in self._readable("open")]
        for raw in raws:
            self.lineage.learn(raw)
        for raw in reversed(raws):
            await self.take(raw)
            for each in (raw, *raw.legs):
                order = self.lineage.order(each.broker_id)
                if order.status not in TERMINAL:
                    found[each.broker_id] = order
        return list(found.values())

    async def executions(self, since_ns: int) -> list[Execution]:
        """Return what was executed at or after an instant, in the order in which it happened."""
        rows = [row async for row in self._api.fills(since_ns)]
        unknown = {str(row.get("order_id")) for row in rows}
        await self._search(lambda: all(self.lineage.holds(each) for each in unknown))
        told: list[Execution] = []
        for row in rows:
            broker_id = str(row.get("order_id"))
            try:
                if await self._is_there(broker_id):
                    await self._complete(broker_id)
                found = self.book.listed(of_activity(row, self.lineage.reference(broker_id) or ""))
            except ContractError as exc:
                self._skip(exc)
                continue
            told += [execution for execution in found if execution.ts_ns >= since_ns]
        return sorted(told, key=lambda execution: execution.ts_ns)

    async def is_told(self, number: str, order: RawOrder) -> bool:
        """Whether an execution was told with a number of its own; if not so far, the activities of its day are asked."""
        if number and not self.book.holds(number):
            await self.executions(max(order.ts_ns - NS_PER_DAY, 0))
        return self.book.holds(number)

    async def successor(self, broker_id: str) -> str | None:
        """Return the id of the last order that goes on for one; None if it is itself the last."""
        lineage, last = self.lineage, broker_id
        while lineage.raw(last).status == "replaced" and lineage.raw(last).replaced_by:
            last = lineage.raw(last).replaced_by
            raw = await self._api.order(last)
            if raw is None:
                raise BrokerError(f"Alpaca has no order {last}, which is said to go on for {broker_id}.")
            self.lineage.learn(raw)
        return None if last == broker_id else last

    async def _newest_of(self, reference: str, asked: str | None) -> BrokerOrder | None:
        """Return the order that stands for a reference after another, `asked`, was asked for."""
        broker_id = self.lineage.newest(reference)
        if broker_id is None:
            return None
        if asked not in {None, broker_id}:
            await self.take_nested(broker_id)  # a replacement was refused: what it was to replace may have changed meanwhile
        await self.successor(broker_id)
        newest = self.lineage.newest(reference) or broker_id
        await self._complete(newest)
        return self.lineage.order(newest)

    async def _complete(self, broker_id: str) -> None:
        """Ask for what an order replaces, and whose leg it is."""
        while (before := self.lineage.predecessor(broker_id)) is not None:
            raw = await self._api.order(before)
            if raw is None:
                raise BrokerError(f"Alpaca has no order {before}, which {broker_id} is said to replace.")
            self.lineage.learn(raw)
        if self.lineage.is_orphan(broker_id):
            await self._search(lambda: not self.lineage.is_orphan(broker_id))
            if self.lineage.is_orphan(broker_id):
                self.lineage.give_up(broker_id)

    async def _is_there(self, broker_id: str) -> bool:
        if not self.lineage.holds(broker_id):
            raw = await self._api.order(broker_id)
            if raw is None:
                return False
            self.lineage.learn(raw)
        return True

    async def take_nested(self, broker_id: str) -> bool:
        """Ask for an order with its legs, learn of it, and return whether it is there."""
        raw = await self._api.order(broker_id)
        if raw is not None:
            await self.take(raw)
        return raw is not None

    async def _search(self, is_found: Callable[[], bool]) -> None:
        """Learn of the account's orders, the newest first, until what is sought is among them."""
        if is_found():
            return
        async for raw in self._readable("all"):
            self.lineage.learn(raw)
            if is_found():
                return

    async def _readable(self, status: str) -> AsyncIterator[RawOrder]:
        async for raw in self._api.orders(status):
            if isinstance(raw, ContractError):
                self._skip(raw)
            else:
                yield raw
