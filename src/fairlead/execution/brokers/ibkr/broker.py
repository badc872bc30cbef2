"""Interactive Brokers behind the seam: what is known of an account's orders, over the wire to its gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from fairlead.core.errors import BrokerConnection, OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderStatus, OrderType, TimeInForce
from fairlead.core.time import NS_PER_SECOND, to_datetime
from fairlead.data.vendors.ibkr.codes import CodeAction, CodeRule, rule_of
from fairlead.data.vendors.ibkr.contracts import Contracts, UnknownContract
from fairlead.data.vendors.ibkr.messages import (
    CommissionTold,
    Contract,
    ExecutionTold,
    Fault,
    Lost,
    Malformed,
    Message,
    OrderTold,
    StatusTold,
)
from fairlead.data.vendors.ibkr.wire import BadAnswer, ClientIdInUse, Wire
from fairlead.execution.brokers.ibkr.book import Known, OrderBook
from fairlead.execution.brokers.ibkr.executions import ExecutionDesk
from fairlead.execution.brokers.ibkr.mapping import (
    KNOWN_STATUSES,
    PENDING_CANCEL,
    TAGS,
    account_of,
    agrees,
    changed,
    group_of,
    terms_of,
)
from fairlead.execution.brokers.ibkr.notices import Way, told_as
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.ibkr.waiting import NotAsThought, Waiting, exception_of
from fairlead.execution.brokers.seam import BrokerHealth, BrokerTraits
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerEvent,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    LinkKind,
    LinkNotice,
    OrderRequest,
)

_LOG: Final = logging.getLogger(__name__)
NAME: Final = "ibkr"
TRAITS: Final = BrokerTraits(
    order_types=frozenset(OrderType),
    times_in_force=frozenset(TimeInForce),
    links_exits=True,
    links_sets=True,
    resizes_exits=False,
    is_fractional=False,
    calls_per_minute=3_000,
    burst=50,
    poll_s=10.0,
)
_REASON: Final = "reason:"


class IbkrBroker:
    """A broker behind a gateway or TWS on this machine; see `fairlead.execution.brokers.seam.Broker`.

    Parameters
    ----------
    settings : IbkrSettings
    now_ns : callable
        The real time, nanoseconds.
    sleep : callable
        Waits for the nightly reset.
    """

    def __init__(
        self, settings: IbkrSettings, *, now_ns: Callable[[], int], sleep: Callable[[float], Any] = asyncio.sleep
    ) -> None:
        self._settings, self._now_ns, self._sleep = settings, now_ns, sleep
        self._contracts = Contracts(settings.contracts)
        self._book = OrderBook(settings.client_id, self._contracts.ours)
        self._desk = ExecutionDesk(self._book.reference_of_execution, self._contracts.ours)
        self._way = Way()
        self._wire: Wire | None = None
        self._account = ""
        self._disabled: dict[str, str] = {}
        self._waiting: dict[int, list[Waiting]] = {}
        self._events: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._is_ended = False
        self._opening = asyncio.Lock()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._paid = asyncio.Event()
        self._reset: asyncio.Task[None] | None = None

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
            If the account is not the one that it must be.
        """
        async with self._opening:
            if self._wire is None or not self._wire.is_open:
                await self._open()
        return await self.account()

    async def _open(self) -> None:
        if self._is_ended:
            self._events, self._is_ended = asyncio.Queue(), False
        self._way = Way()
        for client_id in self._settings.client_ids():
            wire = Wire(self._settings, self._hear, self._now_ns)
            try:
                managed = await wire.open(client_id, self._book.least_id(client_id))
            except ClientIdInUse:
                continue
            break
        else:
            raise BrokerConnection("every client id from 1 to 32 is in use (326). End a connection to this gateway.")
        try:
            self._account = self._settings.choose_account(managed)
            self._book.client_ids.add(client_id)
            self._wire = wire
            await self._learn(wire)
        except BaseException:
            self._wire = None
            wire.close()
            raise
        if client_id != self._settings.client_id:
            self._notice(
                LinkKind.DEGRADED,
                f"client id {self._settings.client_id} is in use (326): connected as {client_id}. "
                "Orders that were sent under the former are seen, and cannot be changed or cancelled from here.",
            )
        if self._settings.reset is not None and (self._reset is None or self._reset.done()):
            self._reset = asyncio.get_running_loop().create_task(self._tell_resets())

    async def _learn(self, wire: Wire) -> None:
        """Learn what there is: numbers of orders that work are not given again, whatever the gateway says."""
        await wire.open_orders()
        for told in await wire.completed_orders():
            self._book.take_order(told)
        for execution in await wire.executions(self._account, ""):
            self._heard_execution(execution, is_answer=True)
        wire.raise_ids(self._book.least_id(wire.client_id))

    async def disconnect(self) -> None:
        """End the connection; a second call does nothing. Orders go on working."""
        if self._reset is not None:
            self._reset.cancel()
            self._reset = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
            self._fail_waiting("the connection was ended")
        if not self._is_ended:
            self._is_ended = True
            self._events.put_nowait(None)

    def health(self) -> BrokerHealth:
        """Return how it stands, without asking it."""
        wire = self._wire
        if wire is None or not wire.is_open:
            return BrokerHealth(
                is_connected=False, heard_ns=None if wire is None else wire.heard_ns, text="not connected (504)"
            )
        text = "the gateway does not reach the broker's servers (1100)" if self._way.is_cut else ""
        return BrokerHealth(is_connected=True, heard_ns=wire.heard_ns, text=text)

    async def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what the broker tells; see `Broker.events`."""
        events = self._events
        while (event := await events.get()) is not None:
            yield event

    # Orders.

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send an order, or exits that belong together; see `Broker.submit`."""
        wire = self._up()
        for request in requests:
            if self._book.find(request.reference) is not None:
                raise OrderRejected(f"order {request.reference} was sent before; the same reference is never sent twice.")
        contracts = [await self._contract(wire, request.symbol) for request in requests]
        group, group_type = group_of(requests)
        terms = [terms_of(request, account=self._account, group=group, group_type=group_type) for request in requests]
        waits = []
        for request, contract, fields in zip(requests, contracts, terms, strict=True):
            order_id = wire.next_id()
            known = self._book.send(request.reference, order_id, wire.client_id, request.symbol, fields)
            waits.append(self._await(known, lambda known: known.is_heard))
            self._send(lambda order_id=order_id, contract=contract, fields=fields: wire.place(order_id, contract, fields))
        results = await asyncio.gather(*(self._outcome(wait) for wait in waits), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            await self._take_back([wait.known for wait, result in zip(waits, results, strict=True) if result is None])
            unsure = [exc for exc in failed if isinstance(exc, OrderUnresolved)]
            raise (unsure or failed)[0]
        return [self._word(wait.known) for wait in waits]

    async def _outcome(self, wait: Waiting) -> None:
        """Wait for what comes of an order that was sent; what is not known then is looked up, and never sent again."""
        known = wait.known
        try:
            await self._heard(wait, "the order")
        except NotAsThought as exc:
            # Its number was in use: numbers are taken anew, and what the broker has under our reference is what there is.
            await self._renumber()
            found = await self._look(known.reference)
            if found is None or not known.perm_id:
                self._book.end(known, OrderStatus.REJECTED, str(exc))
                raise OrderRejected(f"{exc} It was not taken, and is not sent again.") from exc
        except OrderRejected as exc:
            self._book.end(known, OrderStatus.REJECTED, str(exc))
            raise
        except OrderUnresolved:
            if not known.perm_id:
                raise
        if known.status is OrderStatus.REJECTED:
            raise OrderRejected(known.reason or "the broker rejected it, and did not say why.")

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
        if not known.is_over:
            await self._cancel(known)

    async def _cancel(self, known: Known) -> None:
        wire = self._up()
        before = known.told
        wait = self._await(known, lambda known: known.is_over or known.theirs == PENDING_CANCEL)
        self._send(lambda: wire.cancel(known.order_id))
        try:
            await self._heard(wait, "the wish to cancel")
        except NotAsThought as exc:
            await self._look(known.reference)
            if not known.is_over:
                raise OrderRejected(str(exc)) from exc
        _LOG.debug("cancel of %s: was %s", known.reference, before)

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
        wait = self._await(known, lambda known: known.is_over or agrees(known.terms, change))
        self._send(lambda: wire.place(known.order_id, contract, terms))
        try:
            await self._heard(wait, "the wish to change the order")
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
        if known is None or not (known.perm_id or known.order_id):
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
        known = self._book.find(reference)
        if known is None or not known.is_over:
            known = await self._look(reference)
        return None if known is None else self._word(known)

    async def _look(self, reference: str) -> Known | None:
        """Ask for an order by its reference; None if the broker has none."""
        wire = self._up()
        self._book.claim(reference)
        opened = await self._asked(wire.open_orders())
        if not any(told.reference == reference for told in opened):
            for told in await self._asked(wire.completed_orders()):
                self._tell_order(self._book.take_order(told))
            for execution in await self._asked(wire.executions(self._account, "")):
                self._heard_execution(execution, is_answer=True)
        known = self._book.find(reference)
        return known if known is not None and known.perm_id else None

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return every order of the account that can still fill, also of others."""
        wire = self._up()
        found = {told.perm_id for told in await self._asked(wire.open_orders())}
        return [self._word(known) for known in self._book.open() if known.perm_id in found]

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed at or after an instant, as far as the gateway keeps it: that is today's."""
        wire = self._up()
        # Their stamps have whole seconds.
        since_ns = since_ns // NS_PER_SECOND * NS_PER_SECOND
        since = to_datetime(since_ns).strftime("%Y%m%d-%H:%M:%S") if since_ns > 0 else ""
        found = await self._asked(wire.executions(self._account, since))
        for told in found:
            self._heard_execution(told, is_answer=True)
        await self._commissions({told.execution_id for told in found})
        return sorted(
            (one for told in found for one in self._desk.said(told) if one.ts_ns >= since_ns), key=lambda one: one.ts_ns
        )

    async def _commissions(self, names: set[str]) -> None:
        """Wait until the commissions of executions are known, or have been waited for long enough."""
        try:
            async with asyncio.timeout(self._settings.commission_s):
                while names.intersection(self._desk.waiting):
                    self._paid.clear()
                    await self._paid.wait()
        except TimeoutError:
            for name in names:
                self._give_up(name)

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what the account holds; what is flat is left out."""
        found = await self._asked(self._up().positions())
        return [
            BrokerPosition(self._contracts.ours(told.symbol), told.quantity, told.average_cost)
            for told in found
            if told.account == self._account and told.quantity
        ]

    async def account(self) -> BrokerAccount:
        """Return the account as it stands."""
        values = await self._asked(self._up().summary(TAGS))
        account = account_of(self._account, values, is_paper=self._settings.is_paper)
        if account is None:
            raise BrokerConnection(f"the gateway did not tell what account {self._account} is worth.")
        return account

    # What is told.

    def _hear(self, message: Message) -> None:
        if isinstance(message, OrderTold):
            self._check_status(message.status, message.reference)
            self._tell_order(self._book.take_order(message))
        elif isinstance(message, StatusTold):
            self._check_status(message.status, str(message.perm_id))
            self._tell_order(self._book.take_status(message))
        elif isinstance(message, ExecutionTold):
            self._heard_execution(message)
        elif isinstance(message, CommissionTold):
            for execution in self._desk.take_commission(message):
                self._tell(execution)
            self._paid.set()
        elif isinstance(message, Fault):
            self._heard_fault(message)
        elif isinstance(message, Lost):
            self._fail_waiting(message.text)
            self._notice(LinkKind.DOWN, f"the connection to the gateway was lost: {message.text}")
        elif isinstance(message, Malformed):
            _LOG.warning("the gateway sent what cannot be read: %s", message.text)
            self._notice(LinkKind.REMARK, f"ERROR the gateway sent what cannot be read: {message.text}")

    def _heard_execution(self, told: ExecutionTold, *, is_answer: bool = False) -> None:
        if told.account and told.account != self._account:
            return
        self._book.take_execution(told, is_correction=self._desk.is_correction(told))
        for execution in self._desk.take(told, is_answer=is_answer):
            self._tell(execution)
        name = told.execution_id
        if name in self._desk.waiting and name not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[name] = loop.call_later(self._settings.commission_s, self._give_up, name)

    def _give_up(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        for execution in self._desk.give_up(name):
            self._tell(execution)

    def _heard_fault(self, fault: Fault) -> None:
        rule = rule_of(fault.code)
        wire = self._wire
        known = None if wire is None else self._book.by_order_id(wire.client_id, fault.request_id)
        if known is None:
            self._notice(self._way.take(rule, fault.text), told_as(rule, fault.text))
            return
        if rule.action is CodeAction.DISABLE:
            self._disabled[known.symbol] = told_as(rule, fault.text)
        if rule.action is CodeAction.CANCELLED:
            self._book.end(known, OrderStatus.CANCELLED, fault.text.rpartition(_REASON)[2].strip())
        elif not self._end_waits(fault.request_id, rule, fault.text):
            if isinstance(exception_of(rule, fault.text), OrderRejected) and rule.action is not CodeAction.RECONCILE_ORDER:
                self._book.end(known, OrderStatus.REJECTED, told_as(rule, fault.text))
            elif rule.action is CodeAction.REMARK:
                known.reason = fault.text
            else:
                _LOG.error("order %s: %s", known.reference, told_as(rule, fault.text))
                self._notice(self._way.take(rule, fault.text), f"order {known.reference}: {told_as(rule, fault.text)}")
        if rule.action is CodeAction.BACK_OFF:
            self._notice(LinkKind.PACING, told_as(rule, fault.text))
        self._tell_order(known)

    def _end_waits(self, order_id: int, rule: CodeRule, text: str) -> bool:
        ended = [wait.fault(rule, text) for wait in tuple(self._waiting.get(order_id, ()))]
        return any(ended)

    def _check_status(self, status: str, whose: str) -> None:
        if status and status not in KNOWN_STATUSES:
            text = f"ERROR unknown status {status!r} of order {whose}: it is left as it was"
            _LOG.error(text)
            self._notice(LinkKind.REMARK, text)

    def _tell_order(self, known: Known | None) -> None:
        if known is None:
            return
        for wait in self._waiting.get(known.order_id, ()):
            if wait.known is known:
                wait.look()
        if known.perm_id and (news := self._book.news(known, self._now_ns())) is not None:
            self._tell(news)

    def _tell(self, event: BrokerEvent) -> None:
        if not self._is_ended:
            self._events.put_nowait(event)

    def _notice(self, kind: LinkKind, text: str) -> None:
        self._tell(LinkNotice(kind, self._now_ns(), text))

    async def _tell_resets(self) -> None:
        """Tell of every nightly reset before it begins, and after it is over."""
        reset = self._settings.reset
        while reset is not None:
            now_ns = self._now_ns()
            begins_ns, ends_ns = reset.next_ns(now_ns)
            if now_ns < begins_ns:
                await self._sleep((begins_ns - now_ns) / NS_PER_SECOND)
                continue
            self._notice(
                LinkKind.DEGRADED, f"the broker restarts its servers until {to_datetime(ends_ns):%H:%M} UTC: no new risk"
            )
            while (now_ns := self._now_ns()) < ends_ns:
                await self._sleep((ends_ns - now_ns) / NS_PER_SECOND)
            self._notice(LinkKind.RESTORED, "the broker's nightly restart is over: what was missed is asked for")

    # The rest.

    def _up(self) -> Wire:
        """Return the wire if something can be asked now."""
        wire = self._wire
        if wire is None or not wire.is_open:
            raise BrokerConnection("the gateway is not connected (504): nothing was sent.")
        if self._way.is_cut:
            raise BrokerConnection(
                "the gateway does not reach the broker's servers (1100): nothing was sent until that is back."
            )
        return wire

    async def _asked(self, question: Any) -> Any:
        try:
            return await question
        except BadAnswer as exc:
            raise BrokerConnection(f"the gateway could not answer: {exc}") from exc

    async def _contract(self, wire: Wire, symbol: str) -> Contract:
        if symbol in self._disabled:
            raise OrderRejected(f"{symbol} takes no orders here: {self._disabled[symbol]}")
        try:
            return await self._contracts.of(wire, symbol)
        except UnknownContract as exc:
            self._disabled[symbol] = str(exc)
            raise OrderRejected(f"{symbol} is no contract of this broker (code 200): {exc}") from exc
        except BadAnswer as exc:
            raise OrderRejected(f"{symbol} could not be looked up: {exc}") from exc

    def _await(self, known: Known, is_heard: Callable[[Known], bool]) -> Waiting:
        wait = Waiting(known, is_heard)
        waiting = self._waiting.setdefault(known.order_id, [])
        waiting.append(wait)
        wait.done.add_done_callback(lambda _done: self._forget(known.order_id, wait))
        return wait

    def _forget(self, order_id: int, wait: Waiting) -> None:
        waiting = self._waiting.get(order_id, [])
        if wait in waiting:
            waiting.remove(wait)
        if not waiting:
            self._waiting.pop(order_id, None)

    def _fail_waiting(self, text: str) -> None:
        for wait in [wait for waits in self._waiting.values() for wait in waits]:
            wait.fail(
                OrderUnresolved(
                    f"order {wait.known.reference}: {text}. Whether the broker has it is looked up by its reference."
                )
            )

    async def _heard(self, wait: Waiting, what: str) -> None:
        try:
            async with asyncio.timeout(self._settings.acknowledge_s):
                await wait.done
        except TimeoutError as exc:
            raise OrderUnresolved(
                f"{what} {wait.known.reference} was sent, and not heard of within {self._settings.acknowledge_s:g} s. "
                "It is looked up by its reference, and never sent again."
            ) from exc

    @staticmethod
    def _send(send: Callable[[], None]) -> None:
        try:
            send()
        except ConnectionError as exc:
            raise OrderUnresolved(f"the connection broke while an order was sent: {exc}") from exc

    async def _renumber(self) -> None:
        wire = self._up()
        await self._asked(wire.refresh_ids())
        wire.raise_ids(self._book.least_id(wire.client_id))

    def _word(self, known: Known) -> BrokerOrder:
        return self._book.word(known, self._now_ns())
