"""A broker's side of an account, in memory: what a simulated broker and a protocol server stand on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import numpy as np

from fairlead.core.errors import DataError, OrderRejected
from fairlead.core.events import Bar
from fairlead.core.fills import Fill
from fairlead.core.instruments import AssetClass, Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.rows import Rows
from fairlead.execution.brokers.simulated.admission import Door, check_change
from fairlead.execution.brokers.simulated.book import AccountBook
from fairlead.execution.brokers.simulated.matching import AccountMatching, are_exits
from fairlead.execution.brokers.simulated.orders import AccountOrders
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    OrderRequest,
    execution_of,
)
from fairlead.execution.holdings import holdings_of, opening_value
from fairlead.execution.margin import AccountSettings, buying_power, margin_state
from fairlead.execution.settings import ExecutionSettings

CallP = ParamSpec("CallP")
AnswerT = TypeVar("AnswerT")
_CARRY: Final = 400
"""Rows that a block shows of before: whether a bar is the first of its session, a session of minutes tells."""
MARGIN: Final = ExecutionSettings(account=AccountSettings(type="reg_t"))
"""What an account is if nobody says: brokers lend on margin."""


def _changing(
    method: Callable[Concatenate[SimulatedAccount, CallP], AnswerT],
) -> Callable[Concatenate[SimulatedAccount, CallP], AnswerT]:
    """Let those be called who keep the account, after what changes it."""

    @functools.wraps(method)
    def changed(account: SimulatedAccount, /, *args: CallP.args, **kwargs: CallP.kwargs) -> AnswerT:
        answer = method(account, *args, **kwargs)
        for write in account._keepers:  # noqa: SLF001  of the same class
            write()
        return answer

    return changed


class SimulatedAccount:
    """An account at a broker that exists in memory only. Whoever calls it does so from one thread.

    Its orders meet bars by the rules of paper, in the very same code; `execute`, `correct`, `bust` and `reject` let happen what
    no bar would bring about. An order comes into force at once, and meets the next bars.

    Parameters
    ----------
    account_id : str
    symbols : sequence of str
        What can be traded.
    now_ns : callable
        The clock that stamps what is told, in nanoseconds; bars have their own.
    cash : float
        At the beginning, in `currency`.
    instruments : mapping of str to Instrument, optional
        By symbol; a US stock where absent.
    settings : ExecutionSettings, optional
        Costs, fill rules and the kind of account. None: those of paper, in a US margin account. What an account that is not
        watched buys is not looked at. Latency is none of an account's.
    is_paper, can_short : bool
    calendar, bar_size : str, BarSize
        Of the bars that its orders meet.
    currency : str
    serial : int
        Of accounts with one id that begin anew, each has a higher one: no id of an order or an execution comes again.
    arrives_ns : callable, optional
        The market's own time, nanoseconds, where bars may be heard of later here than by whoever sends orders: an order meets
        no bar that was over when it came. None: an order comes with the last bars.

    Attributes
    ----------
    holds_acknowledgements : bool
        New orders stay SUBMITTED and out of the market until `acknowledge`.
    blocked : str
        Why the account takes no orders; empty if it does.
    market_ns : int
        The instant of the last bars.
    """

    def __init__(
        self,
        account_id: str,
        *,
        symbols: Sequence[str],
        now_ns: Callable[[], int],
        cash: float = 1_000_000.0,
        instruments: Mapping[str, Instrument] | None = None,
        settings: ExecutionSettings | None = None,
        is_paper: bool = True,
        can_short: bool = True,
        calendar: str = "XNYS",
        bar_size: BarSize = BarSize.M1,
        currency: str = "USD",
        serial: int = 0,
        arrives_ns: Callable[[], int] | None = None,
    ) -> None:
        self.account_id = account_id
        self.symbols = tuple(sorted(symbols))
        self.instruments = {symbol: (instruments or {}).get(symbol) or Instrument(symbol=symbol) for symbol in self.symbols}
        self.settings = MARGIN if settings is None else settings
        self.is_paper, self.can_short = is_paper, can_short
        self.calendar, self.bar_size, self.currency, self.serial = calendar, bar_size, currency, serial
        self.holds_acknowledgements = False
        self.blocked = ""
        self.market_ns = 0
        self.marks: dict[str, float] = dict.fromkeys(self.symbols, 0.0)
        self._now_ns = now_ns
        self._arrives_ns = arrives_ns
        self._session = -1
        self._listeners: list[Callable[[BrokerOrder | Execution], None]] = []
        self._keepers: list[Callable[[], None]] = []
        self._orders = AccountOrders(serial, now_ns)
        self._door = Door(self.instruments, self.settings.account, can_short=can_short)
        multipliers = {symbol: instrument.multiplier for symbol, instrument in self.instruments.items()}
        self._book = AccountBook(serial, cash, self.marks, multipliers)
        self._rows = Rows(self.symbols, _CARRY)
        self._columns = {symbol: i for i, symbol in enumerate(self.symbols)}
        self._venue = AccountMatching(
            self.settings,
            self.instruments,
            self._hear,
            self._held,
            self._resized,
            calendar=calendar,
            bar_size=bar_size,
        )

    def listen(self, heard: Callable[[BrokerOrder | Execution], None]) -> None:
        """Let somebody be told of every change, in order: of an execution before the change of the order that it brings.

        Who is told must not ask for anything before all of it has been told: it keeps what it hears, and acts later.
        """
        self._listeners.append(heard)

    def keep(self, write: Callable[[], None]) -> None:
        """Let somebody keep the account: called after everything that has changed it, when all of it has been told."""
        self._keepers.append(write)

    # What the owner of the account asks for.

    @_changing
    def submit(self, requests: Sequence[OrderRequest]) -> list[BrokerOrder]:
        """Take an order, or the two exits of a position, which then share their quantity: all of them, or none.

        Raises
        ------
        OrderRejected
            If the account is blocked, a symbol unknown, a reference known already, an order malformed or not paid for.
        """
        if self.blocked:
            raise OrderRejected(f"account {self.account_id} takes no orders: {self.blocked}.")
        self._door.check_names(requests, self._orders)
        made = self._orders.make(requests, self.market_ns)
        are_linked = are_exits(made)
        for count, order in enumerate(made):
            self._door.check_money(order, [*self._orders.competing(), *(() if are_linked else made[:count])], self._book.ledger)
        if are_linked:
            for order in made:
                order.group_id = made[0].order_id
        for order in made:
            self._orders.add(order)
            self._hear(order, order.move_to(OrderStatus.SUBMITTED, self._now_ns()), None)
        if not self.holds_acknowledgements:
            for order in made:
                self.acknowledge(order.order_id)
        return [self._orders.told(order) for order in made]

    @_changing
    def acknowledge(self, broker_id: str) -> None:
        """Let an order come into force that was held; of one that is, nothing.

        Raises
        ------
        OrderRejected
            If there is no such order.
        """
        order = self._orders.known(broker_id)
        if order.status is not OrderStatus.SUBMITTED:
            return
        order.created_ns = self.market_ns
        order.arrives_ns = self.market_ns if self._arrives_ns is None else max(self.market_ns, self._arrives_ns())
        self._hear(order, order.move_to(OrderStatus.ACKNOWLEDGED, self._now_ns()), None)
        self._venue.take(order)
        self._link(order)

    @_changing
    def cancel(self, broker_id: str, reason: str = "") -> BrokerOrder:
        """Take an order back at once.

        Raises
        ------
        OrderRejected
            If there is no such order, or it has ended.
        """
        order = self._orders.live(broker_id, "cancelled")
        self._end(order, OrderStatus.CANCELLED, reason or "cancelled")
        return self._orders.told(order)

    @_changing
    def replace(self, broker_id: str, change: ChangeRequest) -> BrokerOrder:
        """Change a working order at once.

        Raises
        ------
        OrderRejected
            If there is no such order, it has ended, or cannot be changed so: it is what it was.
        """
        order = self._orders.live(broker_id, "changed")
        check_change(change, order, self.instruments[order.symbol])
        quantity = None if change.quantity is None else float(change.quantity)
        if quantity is not None and quantity > order.quantity:
            self._door.check_more(order, quantity, self._orders.competing(), self._book.ledger)
        limit = None if change.limit_price is None else float(change.limit_price)
        stop = None if change.stop_price is None else float(change.stop_price)
        if order.status is OrderStatus.SUBMITTED:
            order.quantity = order.quantity if quantity is None else quantity
            order.limit_price = order.limit_price if limit is None else limit
            order.stop_price = order.stop_price if stop is None else stop
            self._resized(order)
        else:
            self._venue.change(order, ReplaceIntent(broker_id, quantity, limit, stop), self._now_ns())
        return self._orders.told(order)

    def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with a reference, ended or not; None if there is none."""
        order = self._orders.find(reference)
        return None if order is None else self._orders.told(order)

    def order(self, broker_id: str) -> BrokerOrder:
        """Return an order.

        Raises
        ------
        OrderRejected
            If there is no such order.
        """
        return self._orders.told(self._orders.known(broker_id))

    def orders(self) -> list[BrokerOrder]:
        """Return all orders that there ever were, oldest first."""
        return [self._orders.told(order) for order in self._orders.all()]

    def open_orders(self) -> list[BrokerOrder]:
        """Return the orders that can still fill, oldest first."""
        return [self._orders.told(order) for order in self._orders.open()]

    def executions(self, since_ns: int = 0) -> list[Execution]:
        """Return what was told of executions at or after an instant, corrections and busts among it, in order."""
        return self._book.since(since_ns)

    def positions(self) -> list[BrokerPosition]:
        """Return what is held, by symbol; what is flat is left out."""
        held = sorted(self._book.ledger.positions.items())
        return [BrokerPosition(name, position.quantity, position.average_price) for name, position in held if position.quantity]

    def account(self) -> BrokerAccount:
        """Return the account as it stands, at the last prices."""
        ledger, rules = self._book.ledger, self.settings.account
        holdings = holdings_of(ledger)
        state = margin_state(ledger.cash, holdings, rules)
        power = buying_power(ledger.cash, holdings, rules, working=opening_value(ledger, self._orders.competing()))
        return BrokerAccount(
            self.account_id,
            self.is_paper,
            self.currency,
            nav=state.equity,
            cash=ledger.cash,
            buying_power=power,
            maintenance_margin=state.maintenance,
            can_short=self.can_short,
            is_blocked=bool(self.blocked),
            reason=self.blocked,
        )

    # What happens to the account.

    @_changing
    def step(self, bars: Mapping[str, Bar]) -> None:
        """Let working orders meet the bars of one instant, which all became known then.

        Raises
        ------
        DataError
            If bars are not all of one instant, or of one before the last.
        ContractError
            If the calendar has no such bars.
        """
        known = {bar.known_ns for bar in bars.values()}
        if len(known) != 1 or min(known) <= self.market_ns:
            raise DataError(f"bars must be of one instant after {self.market_ns}, were of {sorted(known)}.")
        label_ns = min(bar.label_ns for bar in bars.values())
        calendar = ExchangeCalendar.get(self.calendar)
        _, session = calendar.closing_instants(np.array([label_ns], np.int64), self.bar_size)
        self.market_ns, self._session = known.pop(), int(session[0])
        row = {self._columns[symbol]: bar for symbol, bar in bars.items() if symbol in self._columns}
        if not row:
            return
        block = self._rows.block(label_ns, self.market_ns, self._session, row, ())
        self._venue.enter(block)
        self._venue.match(block, len(block) - 1)
        for column, bar in row.items():
            self.marks[self.symbols[column]] = bar.close

    @_changing
    def execute(self, broker_id: str, quantity: float, price: float, commission: float = 0.0) -> Execution:
        """Let an order that works be executed in part or whole.

        Raises
        ------
        OrderRejected
            If there is no such order, or it has ended.
        InvalidTransition
            If less remains of it.
        """
        order = self._orders.live(broker_id, "executed")
        if order.status is OrderStatus.SUBMITTED:
            self.acknowledge(broker_id)
        self._venue.execute(order, quantity, price, commission, self._now_ns())
        return self._book.of_order(broker_id)[-1]

    @_changing
    def correct(self, execution_id: str, quantity: float, price: float) -> Execution:
        """Put another quantity or price in the place of an execution's.

        Raises
        ------
        OrderRejected
            If there is no such execution any more, or more would be executed than was ordered.
        """
        return self._amend(execution_id, quantity, price, is_bust=False)

    @_changing
    def bust(self, execution_id: str) -> Execution:
        """Let an execution never have been. An order that it had ended stays so.

        Raises
        ------
        OrderRejected
            If there is no such execution any more.
        """
        return self._amend(execution_id, None, None, is_bust=True)

    @_changing
    def reject(self, broker_id: str, reason: str) -> None:
        """Refuse an order that was taken before.

        Raises
        ------
        OrderRejected
            If there is no such order, or it has ended.
        InvalidTransition
            If it has been executed in part.
        """
        self._end(self._orders.live(broker_id, "refused"), OrderStatus.REJECTED, reason)

    # What survives a restart of a server.

    def to_dict(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return {
            "account_id": self.account_id,
            "symbols": list(self.symbols),
            "cash": self._book.cash_at_first,
            "instruments": {symbol: asdict(instrument) for symbol, instrument in self.instruments.items()},
            "settings": self.settings.model_dump(mode="json"),
            **{name: getattr(self, name) for name in ("is_paper", "can_short", "calendar", "currency", "serial", "blocked")},
            "bar_size": self.bar_size.value,
            "market_ns": self.market_ns,
            "session": self._session,
            "marks": dict(self.marks),
            "orders": self._orders.to_list(),
            "executions": [execution._asdict() for execution in self._book.told],
        }

    @classmethod
    def of(cls, data: Mapping[str, Any], *, now_ns: Callable[[], int], arrives_ns: Callable[[], int] | None = None) -> Self:
        """Return the account that `to_dict` made plain, or one that was read from JSON since."""
        account = cls(
            data["account_id"],
            symbols=data["symbols"],
            now_ns=now_ns,
            arrives_ns=arrives_ns,
            cash=data["cash"],
            instruments={symbol: _instrument_of(one) for symbol, one in data["instruments"].items()},
            settings=ExecutionSettings.model_validate(data["settings"]),
            bar_size=BarSize(data["bar_size"]),
            **{name: data[name] for name in ("is_paper", "can_short", "calendar", "currency", "serial")},
        )
        account._restore(data)
        return account

    def _restore(self, data: Mapping[str, Any]) -> None:
        self.blocked, self.market_ns, self._session = data["blocked"], data["market_ns"], data["session"]
        self.marks.update(data["marks"])
        told = [execution_of(one) for one in data["executions"]]
        self._book = AccountBook(
            self.serial, data["cash"], self.marks, {s: i.multiplier for s, i in self.instruments.items()}, told
        )
        self._orders.restore(data["orders"])
        for order in self._orders.open():
            if order.status is not OrderStatus.SUBMITTED:
                self._venue.take(order)
                self._link(order)

    # Inside.

    def _held(self, symbol: str) -> float:
        return self._book.ledger.quantity(symbol)

    def _resized(self, order: Order) -> None:
        self._tell(self._orders.note(order))

    def _link(self, order: Order) -> None:
        pair = [o for o in self._venue.working.values() if order.group_id and o.group_id == order.group_id]
        if len(pair) == 2:
            self._venue.link(*pair)

    def _end(self, order: Order, status: OrderStatus, reason: str) -> None:
        if order.status is OrderStatus.SUBMITTED:
            self._hear(order, order.move_to(status, self._now_ns(), reason), None)
        else:
            self._venue.end(order, status, self._now_ns(), reason)

    def _amend(self, execution_id: str, quantity: float | None, price: float | None, *, is_bust: bool) -> Execution:
        old = self._book.counting(execution_id)
        order = None if old is None else self._orders.known(old.broker_id)
        if old is not None and order is not None and quantity is not None:
            filled = sum(e.quantity for e in self._book.of_order(old.broker_id)) - old.quantity + quantity
            if filled > order.quantity or not quantity > 0:
                raise OrderRejected.of(
                    "quantity", f"leave what is filled of {old.broker_id} in (0, {order.quantity:g}]", filled
                )
        news = self._book.amend(
            execution_id,
            self._now_ns(),
            quantity=(old.quantity if old is not None else 0.0) if quantity is None else quantity,
            price=(old.price if old is not None else 0.0) if price is None else price,
            is_bust=is_bust,
        )
        assert order is not None  # else it would have been refused
        counting = self._book.of_order(news.broker_id)
        order.filled_quantity = sum(e.quantity for e in counting)
        value = sum(e.quantity * e.price for e in counting)
        order.average_price = value / order.filled_quantity if counting else None
        self._tell(news)
        self._tell(self._orders.note(order))
        return news

    def _hear(self, order: Order, _update: OrderUpdate, fill: Fill | None) -> None:
        if fill is not None:
            execution = Execution(
                self._book.next_id(),
                order.tag,
                order.order_id,
                fill.symbol,
                fill.side,
                fill.quantity,
                fill.price,
                fill.commission,
                self._now_ns(),
            )
            self.marks[fill.symbol] = self.marks[fill.symbol] or fill.price
            self._book.add(execution)
            self._tell(execution)
        self._tell(self._orders.note(order))

    def _tell(self, news: BrokerOrder | Execution) -> None:
        for heard in self._listeners:
            heard(news)


def _instrument_of(data: Mapping[str, Any]) -> Instrument:
    return Instrument(**{**data, "asset_class": AssetClass(data["asset_class"])})
