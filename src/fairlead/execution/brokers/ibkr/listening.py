"""What a gateway tells of an account, taken in: orders, executions, codes; and who waits for which of it is woken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

from fairlead.core.errors import OrderRejected, OrderUnresolved
from fairlead.core.orders import OrderStatus
from fairlead.core.time import NS_PER_SECOND, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.vendors.ibkr.codes import CodeAction, CodeRule, rule_of
from fairlead.data.vendors.ibkr.contracts import Contracts
from fairlead.data.vendors.ibkr.messages import (
    CommissionTold,
    ExecutionTold,
    Fault,
    Lost,
    Malformed,
    Message,
    OrderTold,
    StatusTold,
)
from fairlead.execution.brokers.ibkr.book import Known, OrderBook
from fairlead.execution.brokers.ibkr.executions import ExecutionDesk
from fairlead.execution.brokers.ibkr.mapping import KNOWN_STATUSES
from fairlead.execution.brokers.ibkr.notices import Way, told_as
from fairlead.execution.brokers.ibkr.settings import IbkrSettings
from fairlead.execution.brokers.ibkr.waiting import Waiting, exception_of
from fairlead.execution.brokers.pacing import Sleep
from fairlead.execution.brokers.words import BrokerEvent, Execution, LinkKind, LinkNotice

_LOG: Final = logging.getLogger(__name__)
_REASON: Final = "reason:"
_REASON_S: Final = 0.05
"""How long a cancelled order waits for why it is one, which is told apart (202)."""


class Listener:
    """Hears messages and tells events. It belongs to one asyncio loop.

    Parameters
    ----------
    settings : IbkrSettings
    contracts : Contracts
    now_ns : callable
    adopts : bool
        See `OrderBook`.

    Attributes
    ----------
    book : OrderBook
    desk : ExecutionDesk
    way : Way
    account : str
        The one whose executions count.
    client_id : int
        Under which the connection of now is.
    disabled : dict of str to str
        Symbols that take no orders, and why.
    """

    def __init__(self, settings: IbkrSettings, contracts: Contracts, now_ns: Callable[[], int], *, adopts: bool = True) -> None:
        self._settings, self._now_ns = settings, now_ns
        calendar = ExchangeCalendar.get(settings.calendar)
        has_closed = partial(_has_closed, calendar)
        self.book = OrderBook(settings.client_id, contracts.ours, has_closed, adopts=adopts)
        self.desk = ExecutionDesk(self.book.reference_of_execution, contracts.ours)
        self.way = Way()
        self.account, self.client_id = "", settings.client_id
        self.disabled: dict[str, str] = {}
        self._waiting: dict[int, list[Waiting]] = {}
        self._events: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._is_ended = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._paid = asyncio.Event()

    def begin(self) -> None:
        """Begin with a new connection: orders are told anew, and what was broken may not be any more."""
        if self._is_ended:
            self._events, self._is_ended = asyncio.Queue(), False
        self.way = Way()
        self.book.forget()

    def end(self) -> None:
        """End the events; a second call does nothing."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._fail_waiting("the connection was ended")
        if not self._is_ended:
            self._is_ended = True
            self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what is told until the end."""
        events = self._events
        while (event := await events.get()) is not None:
            yield event

    def hear(self, message: Message) -> None:
        """Take in a message; never waits."""
        if isinstance(message, OrderTold):
            self._check_status(message.status, message.perm_id)
            self.tell_order(self.book.take_order(message, self._now_ns()))
        elif isinstance(message, StatusTold):
            self._check_status(message.status, message.perm_id)
            self.tell_order(self.book.take_status(message, self._now_ns()))
        elif isinstance(message, ExecutionTold):
            self.hear_execution(message)
        elif isinstance(message, CommissionTold):
            self._tell_all(self.desk.take_commission(message))
            self._paid.set()
        elif isinstance(message, Fault):
            self._hear_fault(message)
        elif isinstance(message, Lost):
            self._fail_waiting(message.text)
            self.notice(LinkKind.DOWN, f"the connection to the gateway was lost: {message.text}")
        elif isinstance(message, Malformed):
            _LOG.warning("the gateway sent what cannot be read: %s", message.text)
            self.notice(LinkKind.REMARK, f"ERROR the gateway sent what cannot be read: {message.text}")

    def hear_completed(self, orders: Iterable[OrderTold]) -> None:
        """Take in orders that have ended, as they were asked for."""
        for told in orders:
            self.tell_order(self.book.take_order(told, self._now_ns()))

    def hear_execution(self, told: ExecutionTold, *, is_answer: bool = False) -> None:
        """Take in an execution; `is_answer` if it was asked for."""
        if told.account and told.account != self.account:
            return
        self.book.take_execution(told, is_correction=self.desk.is_correction(told))
        self._tell_all(self.desk.take(told, is_answer=is_answer))
        name = told.execution_id
        if name in self.desk.waiting:
            self._after(name, self._settings.commission_s, lambda: self._tell_all(self.desk.give_up(name)))

    async def paid(self, names: set[str]) -> None:
        """Wait until the commissions of executions are known, or have been waited for long enough."""
        try:
            async with asyncio.timeout(self._settings.commission_s):
                while names.intersection(self.desk.waiting):
                    self._paid.clear()
                    await self._paid.wait()
        except TimeoutError:
            for name in names:
                self._tell_all(self.desk.give_up(name))

    # Who waits.

    def wait(self, known: Known, is_heard: Callable[[Known], bool]) -> Waiting:
        """Wait for a word on an order."""
        wait = Waiting(known, is_heard)
        self._waiting.setdefault(known.order_id, []).append(wait)
        wait.done.add_done_callback(lambda _done: self._forget(known.order_id, wait))
        return wait

    async def heard(self, wait: Waiting, what: str) -> None:
        """Return when the word has come.

        Raises
        ------
        OrderRejected, PacingViolation, BrokerAccess
            By the code that came.
        OrderUnresolved
            If nothing did in time.
        """
        try:
            async with asyncio.timeout(self._settings.acknowledge_s):
                await wait.done
        except TimeoutError as exc:
            raise OrderUnresolved(
                f"{what} {wait.known.reference} was sent, and not heard of within {self._settings.acknowledge_s:g} s. "
                "It is looked up by its reference, and never sent again."
            ) from exc

    def _forget(self, order_id: int, wait: Waiting) -> None:
        waiting = self._waiting.get(order_id, [])
        if wait in waiting:
            waiting.remove(wait)
        if not waiting:
            self._waiting.pop(order_id, None)

    def _fail_waiting(self, text: str) -> None:
        for wait in [wait for waits in self._waiting.values() for wait in waits]:
            reference = wait.known.reference
            wait.fail(OrderUnresolved(f"order {reference}: {text}. Whether the broker has it is looked up by its reference."))

    # Faults.

    def _hear_fault(self, fault: Fault) -> None:
        rule, text = rule_of(fault.code), fault.text
        known = self.book.by_order_id(self.client_id, fault.request_id)
        if known is None:
            self.notice(self.way.take(rule, text), told_as(rule, text))
            return
        if rule.action is CodeAction.DISABLE:
            self.disabled[known.symbol] = told_as(rule, text)
        if rule.action is CodeAction.CANCELLED:
            self.book.end(known, OrderStatus.CANCELLED, text.rpartition(_REASON)[2].strip(), self._now_ns())
        elif rule.action is CodeAction.REMARK:
            known.reason = text
        elif not self._end_waits(fault.request_id, rule, text):
            self._hear_unasked(known, rule, text)
        if rule.action is CodeAction.BACK_OFF:
            self.notice(LinkKind.PACING, told_as(rule, text))
        self.tell_order(known)

    def _end_waits(self, order_id: int, rule: CodeRule, text: str) -> bool:
        ended = [wait.fault(rule, text) for wait in tuple(self._waiting.get(order_id, ()))]
        return any(ended)

    def _hear_unasked(self, known: Known, rule: CodeRule, text: str) -> None:
        if rule.action in {CodeAction.REJECT, CodeAction.DISABLE} and isinstance(exception_of(rule, text), OrderRejected):
            self.book.end(known, OrderStatus.REJECTED, told_as(rule, text), self._now_ns())
            return
        _LOG.error("order %s: %s", known.reference, told_as(rule, text))
        self.notice(self.way.take(rule, text), f"order {known.reference}: {told_as(rule, text)}")

    def _check_status(self, status: str, perm_id: int) -> None:
        if status and status not in KNOWN_STATUSES:
            _LOG.error("unknown status %r of order %s: it is left as it was", status, perm_id)
            self.notice(LinkKind.REMARK, f"ERROR unknown status {status!r} of order {perm_id}: it is left as it was")

    # Telling.

    def tell_order(self, known: Known | None) -> None:
        """Tell of an order if there is news of it, and wake who waits for it."""
        if known is None:
            return
        for wait in tuple(self._waiting.get(known.order_id, ())):
            if wait.known is known:
                wait.look()
        if not known.perm_id:
            return
        if known.status is OrderStatus.CANCELLED and not known.reason:
            self._after(f"order {known.perm_id}", _REASON_S, lambda: self._tell_news(known))
        else:
            self._tell_news(known)

    def notice(self, kind: LinkKind, text: str) -> None:
        """Tell what happened to the way."""
        self._tell(LinkNotice(kind, self._now_ns(), text))

    async def tell_resets(self, sleep: Sleep) -> None:
        """Tell of every nightly reset when it begins, and when it is over."""
        reset = self._settings.reset
        while reset is not None:
            now_ns = self._now_ns()
            begins_ns, ends_ns = reset.next_ns(now_ns)
            if now_ns < begins_ns:
                await sleep((begins_ns - now_ns) / NS_PER_SECOND)
                continue
            until = f"{to_datetime(ends_ns):%H:%M} UTC"
            self.notice(LinkKind.DEGRADED, f"the broker restarts its servers until {until}: no new risk")
            while (now_ns := self._now_ns()) < ends_ns:
                await sleep((ends_ns - now_ns) / NS_PER_SECOND)
            self.notice(LinkKind.RESTORED, "the broker's nightly restart is over: what was missed is asked for")

    def _tell_news(self, known: Known) -> None:
        if (news := self.book.news(known, self._now_ns())) is not None:
            self._tell(news)

    def _tell_all(self, executions: Iterable[Execution]) -> None:
        for execution in executions:
            self._tell(execution)

    def _tell(self, event: BrokerEvent) -> None:
        if not self._is_ended:
            self._events.put_nowait(event)

    def _after(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        """Do something after a while, unless that is to be done already."""
        if name in self._timers or self._is_ended:
            return

        def done() -> None:
            del self._timers[name]
            do()

        self._timers[name] = asyncio.get_running_loop().call_later(seconds, done)


def _has_closed(calendar: ExchangeCalendar, since_ns: int, until_ns: int) -> bool:
    parts = calendar.segments_between(since_ns, until_ns)
    return bool(((parts.close_ns > since_ns) & (parts.close_ns <= until_ns)).any())
