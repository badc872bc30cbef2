"""What a gateway's library calls with what it has read: it is made plain here, and belongs to a question or to nobody."""

# ruff: noqa: N802, D102  the library calls these methods, and finds them by its own names
from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Hashable
from types import SimpleNamespace
from typing import Any, Final

from fairlead.core.time import to_ns
from fairlead.data.vendors.ibkr.codes import CodeAction, is_read_only, rule_of
from fairlead.data.vendors.ibkr.endpoint import our_spelling
from fairlead.data.vendors.ibkr.messages import (
    UNSET,
    BarTold,
    CommissionTold,
    Contract,
    DataKind,
    ExecutionTold,
    Fault,
    Lost,
    Malformed,
    Message,
    OrderTold,
    PositionTold,
    StatusTold,
    ValueTold,
)

OPEN_ORDERS: Final = "open orders"
COMPLETED_ORDERS: Final = "completed orders"
POSITIONS: Final = "positions"
NEXT_ID: Final = "next id"
_TERMS: Final = (
    *(
        "action",
        "totalQuantity",
        "orderType",
        "lmtPrice",
        "auxPrice",
        "trailStopPrice",
        "trailingPercent",
        "tif",
        "goodTillDate",
    ),
    *("ocaGroup", "ocaType", "orderRef", "account", "outsideRth", "algoStrategy", "algoParams"),
)
_UNSET_INTEGER: Final = 2**31 - 1
_NOTHING: Final = (None, "", UNSET, 0, ())


class Question:
    """What was asked, and what has come of it so far."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.found: list[Any] = []

    def end(self) -> None:
        """Answer with what has come."""
        if not self.answer.done():
            self.answer.set_result(self.found)

    def fail(self, exc: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(exc)


class Hearing:
    """The other side of ``ib_async.Client``: one method for each message that the house understands.

    Parameters
    ----------
    tell : callable
        Told what answers no question.
    now_ns : callable
    timezone : str
        Of stamps that come without one.
    fault_of : callable
        The exception that a fault means for the question that it ends; None if it does not end it.
    """

    def __init__(
        self,
        tell: Callable[[Message], None],
        now_ns: Callable[[], int],
        timezone: str,
        fault_of: Callable[[Fault], Exception | None],
    ) -> None:
        self._tell, self._now_ns, self._fault_of = tell, now_ns, fault_of
        self.questions: dict[Hashable, Question] = {}
        self.heard_ns: int | None = None
        self.malformed = 0
        # The decoder reads these two, to know what a stamp without a zone means.
        self.ib = SimpleNamespace(TimezoneTWS=timezone)
        self.defaultTimezone = dt.UTC

    def lose(self, text: str, exc: Exception) -> None:
        """Let every question fail, and tell."""
        questions, self.questions = self.questions, {}
        for question in questions.values():
            question.fail(exc)
        self._tell(Lost(text))

    def skip(self, text: str) -> None:
        """Count something that cannot be read."""
        self.malformed += 1
        self._tell(Malformed(text))

    # Called by the library, by its names.

    def tcpDataArrived(self) -> None:
        self.heard_ns = self._now_ns()

    def connectAck(self) -> None: ...

    def setEventsDone(self) -> None: ...

    def connectionClosed(self) -> None: ...

    def managedAccounts(self, accounts: str) -> None: ...

    def nextValidId(self, order_id: int) -> None:
        self._add(NEXT_ID, order_id)
        self._end(NEXT_ID)

    def error(self, request_id: int, code: int, text: str, _advanced: str = "") -> None:
        fault = Fault(request_id, code, text)
        question = self.questions.get(request_id)
        if question is not None and (exc := self._fault_of(fault)) is not None:
            del self.questions[request_id]
            question.fail(exc)
            return
        if request_id < 0:
            self._fail_unnumbered(fault)
        self._tell(fault)

    def _fail_unnumbered(self, fault: Fault) -> None:
        """Let questions fail by what does not say whose it is: a question can be asked again, so one too many does no harm."""
        is_of_all = rule_of(fault.code).action is CodeAction.BACK_OFF
        exc = self._fault_of(fault) if is_of_all or is_read_only(fault.text) else None
        if exc is None:
            return
        for key in [key for key in self.questions if is_of_all or isinstance(key, str)]:
            self.questions.pop(key).fail(exc)

    def contractDetails(self, request_id: int, details: Any) -> None:
        found = details.contract
        self._add(
            request_id,
            Contract(
                our_spelling(found.symbol),
                found.conId,
                found.exchange,
                found.primaryExchange,
                found.currency,
                found.secType,
                details.minTick,
            ),
        )

    def contractDetailsEnd(self, request_id: int) -> None:
        self._end(request_id)

    def openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        told = _order(order_id, contract, order, state, None)
        self._add(OPEN_ORDERS, told)
        self._tell(told)

    def orderStatus(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        average_price: float,
        perm_id: int,
        _parent_id: int,
        _last_price: float,
        client_id: int,
        why_held: str,
        _cap: float = 0.0,
    ) -> None:
        self._tell(StatusTold(order_id, client_id, perm_id, status, filled, remaining, average_price, why_held))

    def openOrderEnd(self) -> None:
        self._end(OPEN_ORDERS)

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:
        filled = None if order.filledQuantity == UNSET else float(order.filledQuantity)
        self._add(COMPLETED_ORDERS, _order(0, contract, order, state, filled))

    def completedOrdersEnd(self) -> None:
        self._end(COMPLETED_ORDERS)

    def execDetails(self, request_id: int, contract: Any, execution: Any) -> None:
        told = ExecutionTold(
            execution.execId,
            0 if execution.orderId == _UNSET_INTEGER else execution.orderId,
            execution.clientId,
            execution.permId,
            execution.orderRef,
            execution.acctNumber,
            our_spelling(contract.symbol),
            execution.side,
            execution.shares,
            execution.price,
            to_ns(execution.time),
        )
        if request_id in self.questions:
            self._add(request_id, told)
        else:
            self._tell(told)

    def execDetailsEnd(self, request_id: int) -> None:
        self._end(request_id)

    def commissionReport(self, report: Any) -> None:
        self._tell(CommissionTold(report.execId, 0.0 if report.commission == UNSET else report.commission))

    def position(self, account: str, contract: Any, quantity: float, average_cost: float) -> None:
        self._add(POSITIONS, PositionTold(account, our_spelling(contract.symbol), quantity, average_cost))

    def positionEnd(self) -> None:
        self._end(POSITIONS)

    def accountSummary(self, request_id: int, account: str, tag: str, value: str, currency: str) -> None:
        self._add(request_id, ValueTold(account, tag, value, currency))

    def accountSummaryEnd(self, request_id: int) -> None:
        self._end(request_id)

    def historicalData(self, request_id: int, bar: Any) -> None:
        self._add(request_id, BarTold(request_id, str(bar.date), bar.open, bar.high, bar.low, bar.close, bar.volume))

    def historicalDataEnd(self, request_id: int, _start: str, _end: str) -> None:
        self._end(request_id)

    def realtimeBar(
        self,
        request_id: int,
        second: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        _average: float,
        _count: int,
    ) -> None:
        self._tell(BarTold(request_id, str(second), open_, high, low, close, volume))

    def marketDataType(self, request_id: int, kind: int) -> None:
        self._tell(DataKind(request_id, kind))

    def _add(self, key: Hashable, found: Any) -> None:
        question = self.questions.get(key)
        if question is not None:
            question.found.append(found)

    def _end(self, key: Hashable) -> None:
        question = self.questions.pop(key, None)
        if question is not None:
            question.end()


def _order(order_id: int, contract: Any, order: Any, state: Any, filled: float | None) -> OrderTold:
    terms = {name: _plain(getattr(order, name)) for name in _TERMS}
    return OrderTold(
        order_id,
        order.clientId,
        order.permId,
        order.orderRef,
        order.account,
        our_spelling(contract.symbol),
        contract.conId,
        {name: value for name, value in terms.items() if value not in _NOTHING},
        state.status,
        filled,
        state.completedStatus or state.warningText,
    )


def _plain(value: Any) -> Any:
    return tuple((pair.tag, pair.value) for pair in value) if isinstance(value, list) else value
