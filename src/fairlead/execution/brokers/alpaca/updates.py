"""What Alpaca's stream says, told in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fairlead.core.errors import BrokerError, ContractError
from fairlead.execution.brokers.alpaca.executions import AMENDMENTS, FILLS, of_amendment, of_update
from fairlead.execution.brokers.alpaca.mapping import STATUSES, RawOrder, read_order
from fairlead.execution.brokers.alpaca.orders import Orders
from fairlead.execution.brokers.alpaca.stream import STREAM
from fairlead.execution.brokers.alpaca.trimming import Trimming
from fairlead.execution.brokers.words import BrokerEvent

REFUSALS: Final = frozenset({"order_cancel_rejected", "order_replace_rejected"})


class Updates:
    """Takes the messages of the stream.

    Parameters
    ----------
    orders : Orders
    trimming : Trimming
        Asked to act where an order would fill more than it may.
    tell : callable
        Told what they say.
    remark : callable
        Told in words what concerns no order for sure.

    Attributes
    ----------
    malformed : int
        Messages that could not be read.
    """

    def __init__(
        self, orders: Orders, trimming: Trimming, tell: Callable[[BrokerEvent], None], remark: Callable[[str], None]
    ) -> None:
        self._orders, self._trimming, self._tell, self._remark = orders, trimming, tell, remark
        self._asking: set[asyncio.Task[None]] = set()
        self._unknown: set[str] = set()
        self.malformed = 0

    def skip(self, exc: ContractError) -> None:
        """Count something that cannot be read; it is left out, and what it was about is asked for by itself soon."""
        self.malformed += 1
        count = self.malformed
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, ...: a broken sender must not fill the disk with remarks
            self._remark(f"message {count} of Alpaca that cannot be read was left out: {exc}")

    def take(self, message: Mapping[str, Any] | ContractError) -> None:
        """Take a message, and tell what it says: at once, or when it is known whose it is."""
        if isinstance(message, ContractError):
            self.skip(message)
            return
        if message.get("stream") != STREAM:
            return
        data = message.get("data")
        try:
            if not isinstance(data, Mapping):
                raise ContractError.of("data", "be an object", data)
            raw = read_order(data.get("order"))
        except ContractError as exc:
            self.skip(exc)
            return
        lineage = self._orders.lineage
        lineage.learn(raw)
        reason = data.get("reason") or data["order"].get("reject_reason")
        if reason:
            lineage.explain(raw.broker_id, str(reason))
        is_known = lineage.reference(raw.broker_id) is not None and lineage.predecessor(raw.broker_id) is None
        event = str(data.get("event"))
        if is_known and event not in AMENDMENTS and raw.status != "replaced":
            self._say(event, data, raw)
        else:
            self._later(self._complete(event, data, raw))

    async def close(self) -> None:
        """Stop asking."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _complete(self, event: str, data: Mapping[str, Any], raw: RawOrder) -> None:
        """Ask for what is missing, and then tell; what cannot be had now is found when orders are next asked for."""
        try:
            await self._orders.take(raw)
            if event in AMENDMENTS:
                await self._amend(data, raw)
                return
            successor = await self._orders.successor(raw.broker_id)
            if successor is not None:
                await self._orders.take(self._orders.lineage.raw(successor))
                self._tell(self._orders.lineage.order(successor))
                return
        except BrokerError as exc:
            self._remark(f"order {raw.broker_id}: {exc}")
            return
        self._say(event, data, raw)

    def _say(self, event: str, data: Mapping[str, Any], raw: RawOrder) -> None:
        lineage = self._orders.lineage
        if event in FILLS:
            try:
                told = of_update(data, raw, lineage.reference(raw.broker_id) or "")
            except ContractError as exc:
                self.skip(exc)
            else:
                self._tell(self._orders.book.heard(told))
        if event in REFUSALS:
            self._remark(f"order {raw.broker_id}: {event.replace('_', ' ')} {data.get('reason') or ''}".rstrip())
        if raw.status not in STATUSES and raw.status not in self._unknown:
            self._unknown.add(raw.status)
            self._remark(f"order {raw.broker_id} has the status {raw.status!r}, which is not known: it is left where it stood")
        reference = lineage.reference(raw.broker_id)
        newest = lineage.newest(reference) if reference else None
        if raw.status == "rejected" and raw.replaces and newest is not None:
            # The replacement was refused: the order is what it was.
            self._remark(f"order {raw.broker_id} was refused, and {raw.replaces} is what it was: {data.get('reason') or ''}")
        self._tell(lineage.order(raw.broker_id if newest is None else newest))
        if reference and self._trimming.excess(reference) > 0:
            self._later(self._trim(reference))

    async def _amend(self, data: Mapping[str, Any], raw: RawOrder) -> None:
        lineage, number = self._orders.lineage, str(data.get("previous_execution_id") or "")
        if not await self._orders.is_told(number, raw):
            self._remark(f"order {raw.broker_id}: {data.get('event')} of an execution {number!r} that nobody has heard of")
            return
        try:
            told = of_amendment(data, raw, lineage.reference(raw.broker_id) or "")
        except ContractError as exc:
            self.skip(exc)
            return
        self._tell(self._orders.book.amend(told, number))
        self._tell(lineage.order(raw.broker_id))

    async def _trim(self, reference: str) -> None:
        try:
            await self._trimming.trim(reference)
        except BrokerError as exc:
            self._remark(f"order {reference} is for more than it may be, and that cannot be changed yet: {exc}")

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
