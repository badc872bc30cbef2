"""Interactive Brokers behind the seam: what is known of an account's orders, over the wire to its gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from fairlead.core.errors import BrokerConnection, OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderStatus, OrderType, TimeInForce
from fairlead.core.time import NS_PER_SECOND, to_datetime
from fairlead.data.vendors.ibkr.contracts import Contracts, UnknownContract
from fairlead.data.vendors.ibkr.messages import Contract
from fairlead.data.vendors.ibkr.wire import BadAnswer, ClientIdInUse, Wire
from fairlead.execution.brokers.ibkr.book import Known
from fairlead.execution.brokers.ibkr.inspecting import inspected
from fairlead.execution.brokers.ibkr.listening import Listener
from fairlead.execution.brokers.ibkr.mapping import PENDING_CANCEL, TAGS, account_of, agrees, changed, group_of, terms_of
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.ibkr.waiting import NotAsThought, Waiting
from fairlead.execution.brokers.inspection import Finding
from fairlead.execution.brokers.pacing import Sleep
from fairlead.execution.brokers.seam import BrokerHealth, BrokerTraits
from fairlead.execution.brokers.terms import check_terms
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerEvent,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    LinkKind,
    OrderRequest,
)

_LOG: Final = logging.getLogger(__name__)
_T = TypeVar("_T")
NAME: Final = "ibkr"
TRAITS: Final = BrokerTraits(
    order_types=frozenset(OrderType),
    times_in_force=frozenset(TimeInForce),
    links_exits=True,
    links_sets=True,
    # Two orders that reduce each other cannot be made larger in one step.
    resizes_exits=False,
    commission_s=60.0,
    is_fractional=False,
    calls_per_minute=3_000,
    burst=50,
    poll_s=10.0,
)


class IbkrBroker:
    """A broker behind a gateway or TWS on this machine; see `fairlead.execution.brokers.seam.Broker`.

    Parameters
    ----------
    settings : IbkrSettings
    now_ns : callable
        The real time, nanoseconds.
    sleep : callable
        Waits for the nightly reset.
    is_emergency : bool
        Whether it stands beside a session's connection. The session's orders then count as those of others: they can be taken
        back by `cancel_others` alone, as the broker lets one client change only what it has sent itself.
    """

    def __init__(
        self, settings: IbkrSettings, *, now_ns: Callable[[], int], sleep: Sleep = asyncio.sleep, is_emergency: bool = False
    ) -> None:
        self._settings, self._now_ns, self._sleep = settings, now_ns, sleep
        self._contracts = Contracts(settings.contracts)
        self._listener = Listener(settings, self._contracts, now_ns, adopts=not is_emergency)
        self._book = self._listener.book
        self._wire: Wire | None = None
        self._in_use_ns = 0
        self._opening = asyncio.Lock()
        self._resets: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """How it is called in a configuration."""
        return NAME

    @property
    def traits(self) -> BrokerTraits:
        """What it can do."""
        return TRAITS

    # The connection.

    async def connect(self) -> BrokerAccount:
        """Connect, and return the account; see `Broker.connect`.

        Raises
        ------
        BrokerConnection
            If no gateway answers, or it does not reach the broker's servers.
        BrokerAccess
            If the account is not the one that it must be, or the interface is read-only.
        """
        async with self._opening:
            if self._wire is not None and self._wire.is_open:
                return await self.account()
            self._listener.begin()
            wire, managed = await self._open()
            try:
                self._listener.account = self._settings.choose_account(managed)
                self._listener.client_id = wire.client_id
                self._book.client_ids.add(wire.client_id)
                self._wire = wire
                account = await self.account()
                await self._learn(wire)
            except BaseException:
                self._wire = None
                wire.close()
                raise
        if self._settings.reset is not None and (self._resets is None or self._resets.done()):
            self._resets = asyncio.get_running_loop().create_task(self._listener.tell_resets(self._sleep))
        return account

    async def _open(self) -> tuple[Wire, tuple[str, ...]]:
        for client_id in self._settings.client_ids():
            wire = Wire(self._settings, self._listener.hear, self._now_ns)
            try:
                managed = await wire.open(client_id, self._book.least_id(client_id))
            except ClientIdInUse as exc:
                if self._may_be_ours(client_id):
                    text = f"client id {client_id} is in use (326), perhaps still by a connection of ours that was lost"
                    raise BrokerConnection(f"{text}. It is tried again by itself.") from exc
                continue
            if client_id == self._settings.client_id:
                self._in_use_ns = 0
            else:
                text = f"client id {self._settings.client_id} is in use (326): connected as {client_id}"
                what = "orders that were sent under the former are seen, and cannot be changed or cancelled from here"
                self._listener.notice(LinkKind.DEGRADED, f"{text}; {what}")
            return wire, managed
        raise BrokerConnection("every client id is in use (326). End a connection to this gateway.")

    def _may_be_ours(self, client_id: int) -> bool:
        """Whether a gateway may not have noticed yet who has gone: under another id no order of ours can be taken back."""
        if client_id != self._settings.client_id:
            return False
        now_ns = self._now_ns()
        self._in_use_ns = self._in_use_ns or now_ns
        return now_ns - self._in_use_ns < round(self._settings.client_id_s * NS_PER_SECOND)

    async def _learn(self, wire: Wire) -> None:
        """Learn what there is: numbers of orders that work are not given again, whatever the gateway says."""
        await self._asked(wire.open_orders())
        await self._ask_for_ended(wire)
        wire.raise_ids(self._book.least_id(wire.client_id))

    async def disconnect(self) -> None:
        """End the connection; a second call does nothing. Orders go on working."""
        if self._resets is not None:
            self._resets.cancel()
            self._resets = None
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        self._listener.end()

    def health(self) -> BrokerHealth:
        """Return how it stands, without asking it."""
        wire = self._wire
        if wire is None or not wire.is_open:
            return BrokerHealth(
                is_connected=False, heard_ns=None if wire is None else wire.heard_ns, text="not connected (504)"
            )
        text = "the gateway does not reach the broker's servers (1100)" if self._listener.way.is_cut else ""
        return BrokerHealth(is_connected=True, heard_ns=wire.heard_ns, text=text)

    def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what the broker tells; see `Broker.events`."""
        return self._listener.events()

    # Orders.

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send an order, or exits that belong together; see `Broker.submit`."""
        check_terms(requests, TRAITS, NAME)
        wire = self._up()
        for request in requests:
            if self._book.was_sent(request.reference):
                raise OrderRejected(f"order {request.reference} was sent before: the same reference is never sent twice.")
        contracts = [await self._contract(wire, request.symbol) for request in requests]
        group, group_type = group_of(requests)
        account = self._listener.account
        terms = [terms_of(request, account=account, group=group, group_type=group_type) for request in requests]
        waits: list[Waiting] = []
        for request, contract, fields in zip(requests, contracts, terms, strict=True):
            order_id = wire.next_id()
            known = self._book.send(request.reference, order_id, wire.client_id, request.symbol, fields, self._now_ns())
            waits.append(self._listener.wait(known, lambda known: known.is_heard))
            _sent(partial(wire.place, order_id, contract, fields))
        results = await asyncio.gather(*(self._outcome(wait) for wait in waits), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            await self._take_back([wait.known for wait, result in zip(waits, results, strict=True) if result is None])
            raise next((exc for exc in failed if isinstance(exc, OrderUnresolved)), failed[0])
        return [self._word(wait.known) for wait in waits]

    async def _outcome(self, wait: Waiting) -> None:
        """Wait for what comes of an order that was sent; what is not known then is looked up, and never sent again."""
        known = wait.known
        try:
            await self._listener.heard(wait, "the order")
        except NotAsThought as exc:
            # Its number was in use: numbers are taken anew, and what the broker has under our reference is what there is.
            await self._renumber()
            if await self._look(known.reference) is None:
                self._end(known, exc)
                raise OrderRejected(f"{exc} It was not taken, and is not sent again.") from exc
        except OrderRejected as exc:
            self._end(known, exc)
            raise
        except OrderUnresolved:
            if not known.perm_id:
                raise
        if known.status is OrderStatus.REJECTED:
            raise OrderRejected(known.reason or "the broker rejected it, and did not say why.")

    def _end(self, known: Known, exc: Exception) -> None:
        self._book.end(known, OrderStatus.REJECTED, str(exc), self._now_ns())
        self._listener.tell_order(known)

    async def _take_back(self, orders: Sequence[Known]) -> None:
        """Take back what works of orders of which another was refused."""
        for known in orders:
            if not known.is_over:
                try:
                    await self._cancel(known)
                except (OrderRejected, OrderUnresolved, BrokerConnection) as exc:
                    _LOG.error("order %s stands without its twin, and could not be taken back: %s", known.reference, exc)

    async def cancel(self, reference: str) -> None:
        """Ask for an order to be taken back; see `Broker.cancel`."""
        known = await self._changeable(reference)
        if known.status is OrderStatus.FILLED:
            raise OrderRejected(f"order {reference} is filled and cannot be taken back.")
        if not known.is_over:
            await self._cancel(known)

    async def _cancel(self, known: Known) -> None:
        wire = self._up()
        wait = self._listener.wait(known, lambda known: known.is_over or known.theirs == PENDING_CANCEL)
        known.is_being_cancelled = True
        _sent(lambda: wire.cancel(known.order_id))
        try:
            await self._listener.heard(wait, "the wish to cancel")
        except NotAsThought as exc:
            await self._look(known.reference)
            if known.status is OrderStatus.FILLED or not known.is_over:
                raise OrderRejected(str(exc)) from exc

    async def cancel_others(self, broker_ids: Sequence[str]) -> None:  # noqa: ARG002  it is all of them or none
        """Ask for every order of the account to be taken back, whoever sent it: there is no such wish for one alone."""
        wire = self._up()
        for known in self._book.open():
            known.is_being_cancelled = True
        _sent(wire.cancel_all)

    async def replace(self, change: ChangeRequest) -> BrokerOrder:
        """Change a working order under its reference; see `Broker.replace`."""
        known = await self._changeable(change.reference)
        if known.is_over:
            raise OrderRejected(f"order {change.reference} has ended ({known.status}) and cannot be changed.")
        terms = changed(known.terms, change)
        if agrees(known.terms, change):
            return self._word(known)
        wire = self._up()
        contract = await self._contract(wire, known.symbol)
        wait = self._listener.wait(known, lambda known: known.is_over or agrees(known.terms, change))
        _sent(lambda: wire.place(known.order_id, contract, terms))
        try:
            await self._listener.heard(wait, "the wish to change the order")
        except NotAsThought as exc:
            await self._look(known.reference)
            if not agrees(known.terms, change):
                raise OrderRejected(str(exc)) from exc
        if not agrees(known.terms, change):
            raise OrderRejected(f"order {change.reference} ended ({known.status}) before it could be changed.")
        return self._word(known)

    async def _changeable(self, reference: str) -> Known:
        """Return an order that this connection may change."""
        wire = self._up()
        known = self._book.find(reference) or await self._look(reference)
        if known is None:
            raise OrderRejected(f"there is no order {reference} at the broker.")
        if not known.is_over and known.client_id != wire.client_id:
            raise OrderRejected(
                f"order {reference} was sent by client {known.client_id}, and this connection is client {wire.client_id}: "
                "it can be seen from here, not changed. Connect under the former client id."
            )
        return known

    # Questions.

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with our reference, ended or not; see `Broker.find`."""
        self._up()
        self._book.claim(reference)
        known = self._book.find(reference)
        if known is None or not known.is_over:
            known = await self._look(reference)
        return None if known is None else self._word(known)

    async def _look(self, reference: str) -> Known | None:
        """Ask for an order by its reference; None if the broker has none."""
        wire = self._up()
        self._book.claim(reference)
        if not any(told.reference == reference for told in await self._asked(wire.open_orders())):
            await self._ask_for_ended(wire)
        known = self._book.find(reference)
        return known if known is not None and known.perm_id else None

    async def _ask_for_ended(self, wire: Wire) -> None:
        self._listener.hear_completed(await self._asked(wire.completed_orders()))
        for execution in await self._asked(wire.executions(self._listener.account, "")):
            self._listener.hear_execution(execution, is_answer=True)

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return every order of the account that can still fill, also of others."""
        found = {told.perm_id for told in await self._asked(self._up().open_orders())}
        return [self._word(known) for known in self._book.open() if known.perm_id in found]

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed at or after an instant, as far as the gateway keeps it: that is today's."""
        # Their stamps have whole seconds.
        since_ns = since_ns // NS_PER_SECOND * NS_PER_SECOND
        since = to_datetime(since_ns).strftime("%Y%m%d-%H:%M:%S") if since_ns > 0 else ""
        found = await self._asked(self._up().executions(self._listener.account, since))
        for told in found:
            self._listener.hear_execution(told, is_answer=True)
        await self._listener.paid({told.execution_id for told in found})
        said = (one for told in found for one in self._listener.desk.said(told))
        return sorted((one for one in said if one.ts_ns >= since_ns), key=lambda one: one.ts_ns)

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what the account holds; what is flat is left out."""
        found = await self._asked(self._up().positions())
        return [
            BrokerPosition(self._contracts.ours(told.symbol), told.quantity, told.average_cost)
            for told in found
            if told.account == self._listener.account and told.quantity
        ]

    async def account(self) -> BrokerAccount:
        """Return the account as it stands."""
        settings, account_id = self._settings, self._listener.account
        values = await self._asked(self._up().summary(TAGS))
        account = account_of(account_id, values, is_paper=settings.is_paper, can_short=settings.can_short)
        if account is None:
            raise BrokerConnection(f"the gateway did not tell what account {account_id} is worth.")
        return account

    async def inspect(self) -> Sequence[Finding]:
        """Return what can be told of the account while it is connected; see `Inspectable`."""
        is_cut = self._listener.way.is_cut
        return await inspected(self.open_orders, can_short=self._settings.can_short, is_cut=is_cut)

    # The rest.

    def _up(self) -> Wire:
        """Return the wire if something can be asked now."""
        wire = self._wire
        if wire is None or not wire.is_open:
            raise BrokerConnection("the gateway is not connected (504): nothing was sent.")
        if self._listener.way.is_cut:
            raise BrokerConnection("the gateway does not reach the broker's servers (1100): nothing is sent until it does.")
        return wire

    @staticmethod
    async def _asked(question: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await question
        except BadAnswer as exc:
            raise BrokerConnection(f"the gateway could not answer: {exc}") from exc

    async def _contract(self, wire: Wire, symbol: str) -> Contract:
        disabled = self._listener.disabled
        if symbol in disabled:
            raise OrderRejected(f"{symbol} takes no orders here: {disabled[symbol]}")
        try:
            return await self._contracts.of(wire, symbol)
        except UnknownContract as exc:
            disabled[symbol] = str(exc)
            raise OrderRejected(f"{symbol} is no contract of this broker (code 200): {exc}") from exc
        except BadAnswer as exc:
            raise OrderRejected(f"{symbol} could not be looked up: {exc}") from exc

    async def _renumber(self) -> None:
        wire = self._up()
        await self._asked(wire.refresh_ids())
        wire.raise_ids(self._book.least_id(wire.client_id))

    def _word(self, known: Known) -> BrokerOrder:
        return self._book.word(known, self._now_ns())


def _sent(send: Callable[[], None]) -> None:
    try:
        send()
    except ConnectionError as exc:
        raise OrderUnresolved(f"the connection broke while an order was sent: {exc}") from exc
