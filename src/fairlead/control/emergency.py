"""The emergency session (domain rule 7.4): a halt carried out at a broker, by nobody but itself, with its clock measured.

What to do next `HaltPlan` says, as in every session. This asks the broker, sends what is to be sent through the same link as a
session does, paced and never twice, and tells the plan what comes of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fairlead.core.errors import BrokerError, PacingViolation
from fairlead.core.orders import TERMINAL, OrderStatus, OrderType
from fairlead.execution.brokers.calls import Cancel, Submit
from fairlead.execution.brokers.inspection import CancelsOthers
from fairlead.execution.brokers.link import BrokerLink
from fairlead.execution.brokers.pacing import Sleep
from fairlead.execution.brokers.reports import BrokerReport, ReportKind, Wish
from fairlead.execution.brokers.seam import Broker
from fairlead.execution.brokers.settings import LinkSettings
from fairlead.execution.brokers.words import BrokerAccount, BrokerOrder, LinkKind, OrderRequest, execution_of, order_of
from fairlead.risk.monitors import (
    AskOrders,
    AskPositions,
    CancelOrders,
    HaltAction,
    HaltPhase,
    HaltPlan,
    HaltSettings,
    HaltStep,
    OpenOrder,
    RaiseAlert,
    SubmitFlatten,
)

OTHERS: Final = "broker:"
"""Begins the id of an order that has no reference of ours; the broker's own follows."""
_ENDED: Final = frozenset({HaltPhase.DONE, HaltPhase.HELD})
_TICK_S: Final = 0.25
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencySettings:
    """What an emergency session holds to.

    Parameters
    ----------
    action : HaltAction
        Flatten, or only take back what works: then positions stay.
    halt : HaltSettings
    link : LinkSettings
    limit_s : float
        After so many seconds it ends, whatever is left.
    """

    action: HaltAction = HaltAction.HALT_AND_FLATTEN
    halt: HaltSettings = field(default_factory=HaltSettings)
    link: LinkSettings = field(default_factory=LinkSettings)
    limit_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyOutcome:
    """What came of it.

    Attributes
    ----------
    is_done : bool
        Whether nothing works any more and, if that was asked for, nothing is held; the broker was asked once more.
    reached : dict of str to float
        Seconds from the beginning at which each phase was first reached.
    seconds : float
        How long it took.
    residual : dict of str to float
        Signed units that are still held, as the broker last said; empty if it never did.
    working : tuple of str
        Orders that are not known to have ended.
    cancels, orders, rejects : int
        Cancels and orders that were sent, and how many of these were refused.
    alerts : tuple of str
    account : BrokerAccount, optional
        As it was when the session connected.
    """

    is_done: bool
    reached: dict[str, float]
    seconds: float
    residual: dict[str, float]
    working: tuple[str, ...]
    cancels: int
    orders: int
    rejects: int
    alerts: tuple[str, ...]
    account: BrokerAccount | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for a journal."""
        names = ("is_done", "reached", "seconds", "residual", "cancels", "orders", "rejects")
        told = {name: getattr(self, name) for name in names}
        account = None if self.account is None else self.account._asdict()
        return {**told, "working": list(self.working), "alerts": list(self.alerts), "account": account}


class Emergency:
    """Carries a halt out at a broker, once.

    Parameters
    ----------
    broker : Broker
        Not connected yet; it is disconnected at the end.
    halt_id : str
        Begins the references of its orders; another for each, also after a restart.
    settings : EmergencySettings
    now_ns, monotonic : callable
        The real time, nanoseconds; and seconds of a clock that never goes back.
    uniform : callable
        Random numbers in [0, 1), for the jitter of reconnects.
    sleep : callable
    admit : callable
        Given the account after every connection; raises `BrokerAccess` if it is not the one that it must be.
    alert : callable
        Told what people must hear of, when it happens.
    closed : callable
        Gives the symbols, of those that are held, whose market is closed: their orders wait.
    """

    def __init__(
        self,
        broker: Broker,
        halt_id: str,
        settings: EmergencySettings,
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        uniform: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        admit: Callable[[BrokerAccount], None] = lambda _account: None,
        alert: Callable[[str], None] = lambda _text: None,
        closed: Callable[[Collection[str]], Collection[str]] = lambda _symbols: (),
    ) -> None:
        self._broker, self._settings = broker, settings
        self._now_ns, self._monotonic, self._sleep = now_ns, monotonic, sleep
        self._alert, self._closed, self._admit = alert, closed, admit
        self._link = BrokerLink(
            broker,
            settings.link,
            self._hear,
            now_ns=now_ns,
            monotonic=monotonic,
            sleep=sleep,
            uniform=uniform,
            admit=self._shown,
            since_ns=now_ns(),
        )
        self.plan = HaltPlan(halt_id, settings.action, now_ns(), settings=settings.halt)
        self._account: BrokerAccount | None = None
        self._is_up = False
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._alerts: list[str] = []
        self._sent: set[str] = set()
        self._refused: set[str] = set()

    async def run(self) -> EmergencyOutcome:
        """Carry it out, and return what came of it when it is done or its time is over.

        Raises
        ------
        BrokerAccess
            If the broker does not accept keys or account, or the account is not the one that it must be.
        """
        began = self._monotonic()
        link = asyncio.ensure_future(self._link.run())
        try:
            while self.plan.phase not in _ENDED and self._monotonic() - began < self._settings.limit_s and not link.done():
                if self._is_up:  # until then nothing could be sent, and the plan would wait for it to be refused
                    self._step()
                await self._wait(link)
        finally:
            for task in (link, *self._tasks):
                task.cancel()
            results = await asyncio.gather(link, *self._tasks, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]
        return self._outcome(self._monotonic() - began)

    def _step(self) -> None:
        while steps := self.plan.next(self._now_ns(), self._closed(tuple(self.plan.residual))):
            for step in steps:
                self._do(step)

    async def _wait(self, link: asyncio.Future[None]) -> None:
        """Return when something has happened, or a moment has passed."""
        self._news.clear()
        tick: asyncio.Future[Any] = asyncio.ensure_future(self._sleep(_TICK_S))
        news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait([tick, news, link], return_when=asyncio.FIRST_COMPLETED)
        finally:
            tick.cancel()
            news.cancel()
            await asyncio.gather(tick, news, return_exceptions=True)

    # What the plan says.

    def _do(self, step: HaltStep) -> None:
        if isinstance(step, CancelOrders):
            self._cancel(step.order_ids)
        elif isinstance(step, AskOrders):
            self._begin(self._ask_orders(step.ticket))
        elif isinstance(step, AskPositions):
            self._begin(self._ask_positions(step.ticket))
        elif isinstance(step, SubmitFlatten):
            self._submit(step)
        elif isinstance(step, RaiseAlert):
            self._tell(step.text)

    def _cancel(self, order_ids: Sequence[str]) -> None:
        self._counts["cancels"] += len(order_ids)
        for order_id in order_ids:
            if not order_id.startswith(OTHERS):
                self._link.begin(Cancel(order_id))
        others = [order_id.removeprefix(OTHERS) for order_id in order_ids if order_id.startswith(OTHERS)]
        if others and isinstance(self._broker, CancelsOthers):
            self._begin(self._ask(self._broker.cancel_others(others)))
        elif others:
            self._tell(f"{self._broker.name} lets nobody take back what others sent. Take back there: {', '.join(others[:10])}")

    def _submit(self, step: SubmitFlatten) -> None:
        self._sent.add(step.order_id)
        request = OrderRequest(
            reference=step.order_id,
            symbol=step.symbol,
            side=step.side,
            quantity=Decimal(f"{step.quantity:.12g}"),
            order_type=OrderType.MARKET,
            reduce_only=True,
        )
        self._link.begin(Submit((request,)))

    def _begin(self, asked: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(asked)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_orders(self, ticket: int) -> None:
        orders = await self._ask(self._broker.open_orders())
        if orders is not None:
            self.plan.on_open_orders(ticket, [_open_order(order) for order in orders if order.status not in TERMINAL])
            self._news.set()

    async def _ask_positions(self, ticket: int) -> None:
        positions = await self._ask(self._broker.positions())
        if positions is not None:
            self.plan.on_positions(ticket, {held.symbol: held.quantity for held in positions})
            self._news.set()

    async def _ask(self, question: Coroutine[Any, Any, Any]) -> Any:
        """Return the broker's answer; None if there is none, and the plan asks again."""
        try:
            await self._link.pacer.take(is_urgent=True, patience_s=_PATIENCE_S)
        except BaseException as exc:
            question.close()
            if isinstance(exc, PacingViolation):
                return None
            raise
        try:
            async with asyncio.timeout(self._settings.link.attempt_s):
                return await question
        except PacingViolation:
            self._link.pacer.hold(self._settings.link.back_off_s)
        except (BrokerError, TimeoutError):
            return None  # the link finds out by itself what is wrong with it
        return None

    # What the broker says.

    def _shown(self, account: BrokerAccount) -> None:
        self._admit(account)
        self._account = self._account or account

    def _hear(self, report: BrokerReport) -> None:
        data = report.data
        if report.kind is ReportKind.ORDER:
            self._heard_order(order_of(data))
        elif report.kind is ReportKind.BOOKS:
            for one in data["snapshot"]["orders"]:
                self._heard_order(order_of(one))
        elif report.kind is ReportKind.EXECUTION:
            execution = execution_of(data)
            if execution.reference not in self._sent:  # of ours the order tells
                self.plan.on_order_update(f"execution:{execution.execution_id}", OrderStatus.FILLED, 0.0)
        elif report.kind is ReportKind.REFUSED and data["wish"] == Wish.SUBMIT:
            self._refused_order(data["reference"], data["reason"])
        elif report.kind is ReportKind.LINK:
            self._heard_link(LinkKind(data["kind"]), data["text"])
        self._news.set()

    def _heard_link(self, kind: LinkKind, text: str) -> None:
        if kind is LinkKind.UP:
            self._is_up = True
        elif kind in {LinkKind.DOWN, LinkKind.REFUSED}:
            self._is_up = False
            self._tell(f"the broker cannot be reached: {text}")

    def _heard_order(self, order: BrokerOrder) -> None:
        if order.status is OrderStatus.REJECTED and order.reference in self._sent:
            self._refused_order(order.reference, order.reason)
            return
        known = _open_order(order)
        self.plan.on_order_update(known.order_id, known.status, known.remaining, known)

    def _refused_order(self, reference: str, reason: str) -> None:
        if reference not in self._refused:
            self._refused.add(reference)
            self._tell(f"order {reference} was refused: {reason}")
        self.plan.on_order_update(reference, OrderStatus.REJECTED, 0.0)

    def _tell(self, text: str) -> None:
        if text not in self._alerts:
            self._alerts.append(text)
            self._alert(text)

    def _outcome(self, seconds: float) -> EmergencyOutcome:
        return EmergencyOutcome(
            is_done=self.plan.phase in _ENDED,
            reached={phase.value: at for phase, at in self.plan.reached.items()},
            seconds=seconds,
            residual=self.plan.residual,
            working=self.plan.working,
            cancels=self._counts["cancels"],
            orders=len(self._sent),
            rejects=len(self._refused),
            alerts=tuple(self._alerts),
            account=self._account,
        )


def _open_order(order: BrokerOrder) -> OpenOrder:
    return OpenOrder(
        order_id=order.reference or f"{OTHERS}{order.broker_id}",
        symbol=order.symbol,
        side=order.side,
        remaining=0.0 if order.status in TERMINAL else max(order.quantity - order.filled, 0.0),
        status=order.status,
    )
