"""The order desk: intents become sized, checked, recorded orders; fills become ledger entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count, takewhile
from typing import TYPE_CHECKING, Final, TypeAlias

from fairlead.core.bars import Cursor
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id
from fairlead.core.instruments import Instrument
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import (
    AmountKind,
    Order,
    OrderRole,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Side,
    TimeInForce,
)
from fairlead.core.time import to_ns
from fairlead.data.ticks import TickSource
from fairlead.engine.accounts import Accounts, Charge
from fairlead.engine.admission import Admission, Veto
from fairlead.engine.amounts import Amounts, is_target
from fairlead.engine.gate import OrderGate
from fairlead.engine.ordering import OrderMaker
from fairlead.engine.reportline import ReportLine
from fairlead.engine.runner import StrategyRunner
from fairlead.engine.straight import StraightWay
from fairlead.execution.fidelity import open_execution
from fairlead.execution.latency import Latency
from fairlead.execution.pricing import SessionClose
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.venue import Venue
from fairlead.execution.working import Heard, Held
from fairlead.risk.pretrade import ProjectedExposure
from fairlead.risk.rejection import Rejection

if TYPE_CHECKING:
    from fairlead.execution.brokers.venue import BrokerVenue

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_REJECTED: Final = OrderStatus.REJECTED
_PENDING: Final = OrderStatus.PENDING
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_CANCELLED: Final = OrderStatus.CANCELLED
_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_FOLLOWER: Final = OrderRole.FOLLOWER
_UNKNOWN: Final = float("nan")
_TARGET_POSITION: Final = AmountKind.TARGET_POSITION
_TARGET_WEIGHT: Final = AmountKind.TARGET_WEIGHT
_SELL: Final = Side.SELL
_BUY: Final = Side.BUY
_REPLACE_REJECTED: Final = "replace_rejected"

MARGIN_CALL: Final = "margin_call"
"""The tag of an order that a margin call sends."""
Intent: TypeAlias = OrderIntent | CancelIntent | ReplaceIntent
OpenVenue: TypeAlias = "Callable[[Mapping[str, Instrument], Heard, Held], BrokerVenue]"
"""Given the instruments, who is to hear, and what a strategy holds: opens a venue that is no simulation."""


class OrderDesk:
    """Between strategies and the venue: the one way in which an order comes to be.

    Attributes
    ----------
    execution : Venue or BrokerVenue
    match : callable
        Lets working orders meet the bars of a row of a block, and hears what comes of it.
    orders, updates, fills : list
        Everything that happened, in order.
    gone : dict of str to str
        Symbols that a merger, a delisting or a rename has ended, and why orders in them are refused.
    """

    def __init__(
        self,
        run_id: str,
        cursor: Cursor,
        instruments: Mapping[str, Instrument],
        execution: ExecutionSettings,
        latency: Latency,
        ledger_changed: Callable[[str], None],
        *,
        one_bar_sessions: bool = False,
        session_close: SessionClose | None = None,
        accounts: Accounts | None = None,
        ticks: TickSource | None = None,
        gate: OrderGate | None = None,
        line: ReportLine | None = None,
        open_venue: OpenVenue | None = None,
    ) -> None:
        self.orders: list[Order] = []
        self.updates: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.gone: dict[str, str] = {}
        self._maker = OrderMaker(run_id, instruments)
        self._amounts = Amounts(instruments)
        self._cursor = cursor
        self._instruments = instruments
        self._ledger_changed = ledger_changed
        self._runners: dict[str, StrategyRunner] = {}
        self._accounts = accounts
        self._gate = gate
        self._line = line
        self._admission = Admission(instruments, self.gone, self.working, accounts, gate)
        self._calls: set[str] = set()
        self._children: list[Order] = []
        if accounts is not None:
            accounts.lots = {symbol: instrument.lot_step for symbol, instrument in instruments.items()}
        hear = self.hear if line is None else line.connect(self.hear, instruments)
        held: Held = (lambda name, symbol: self._runners[name].ledger.quantity(symbol)) if line is None else self._held
        self.execution: Venue | BrokerVenue = (
            open_venue(instruments, hear, held)
            if open_venue is not None
            else open_execution(
                execution,
                instruments,
                latency,
                hear,
                ticks=ticks,
                held=held,
                one_bar_sessions=one_bar_sessions,
                session_close=session_close,
                afford=self._afford if accounts is not None else None,
            )
        )
        self.match = self.execution.match if line is None else line.settling(self.execution.match)
        self._straight = (
            StraightWay(cursor, self._maker, instruments, self.gone, self.orders, self.execution.submit, self.hear)
            if accounts is None and gate is None
            else None
        )

    def enlist(self, runners: Sequence[StrategyRunner]) -> None:
        """Take in the strategies whose orders pass here."""
        self._runners = {runner.name: runner for runner in runners}
        is_told = self._line is not None or any(runner.hears_updates for runner in runners)
        self.execution.tell_only(None if is_told else self.updates.append)
        if self._gate is not None:
            self._gate.enlist(runners, self.exposure, self.working)

    @property
    def veto(self) -> Veto | None:
        """Who is asked first whether an order may leave."""
        return self._admission.veto

    @veto.setter
    def veto(self, veto: Veto) -> None:
        self._admission.veto = veto
        self._straight = None

    def close(self) -> None:
        """Let go of the strategies and of the venue's ear, after the end of a run."""
        self._runners = {}
        self._straight = None
        self._admission.close()
        if self._gate is not None:
            self._gate.close()
        if self._line is not None:
            self._line.close()
        self.execution.close()

    def rearm(self) -> None:
        """Let the guards begin anew after an operator has looked."""
        if self._gate is not None:
            self._gate.rearm()

    @property
    def scales_limits(self) -> bool:
        """Whether limits that an attendant scales hold an order back."""
        return self._gate is not None and self._gate.scales

    def working(self, name: str) -> list[Order]:
        """Return the working orders of one strategy, oldest first."""
        return [order for order in self.execution.working.values() if order.strategy == name]

    def called(self, name: str) -> bool:
        """Whether an order of a margin call works for a strategy."""
        return any(order.order_id in self._calls for order in self.working(name))

    def _waiting(self, name: str) -> list[Order]:
        # Exits and followers of one strategy that wait for a parent.
        self._children = [order for order in self._children if order.status is _PENDING]
        return [order for order in self._children if order.strategy == name]

    def take(self, runner: StrategyRunner, intents: Sequence[Intent]) -> None:
        """Size, check and submit what a strategy wants.

        Cancels and replacements come first, then orders that reduce a position, so that what they free can be used; the
        rest in the strategy's own order.
        """
        now = self._cursor.known_ns
        straight, is_busy = self._straight, self.execution.working or self._children
        if straight is not None and intents and not is_busy and straight.take(runner, intents, now):
            return
        wanted: list[OrderIntent] = []
        for intent in intents:
            if isinstance(intent, OrderIntent):
                wanted.append(intent)
            else:
                self._change(runner, intent, now)
        if not wanted:
            return
        exposure = ProjectedExposure(runner.ledger, self.working(runner.name) if self.execution.working else ())
        if self._children:
            self._count_children(runner, exposure)
        if len(wanted) > 1 or wanted[0].oco:
            self._take_batch(runner, wanted, now, exposure)
            return
        # Most often there is one, and nothing that it could get in the way of.
        (intent,) = wanted
        quantity = self._amounts.units(intent, exposure, runner)
        if quantity is not None:
            self._submit(runner, intent, quantity, self._group(intent, now), now, exposure)

    def _take_batch(self, runner: StrategyRunner, wanted: list[OrderIntent], now: int, exposure: ProjectedExposure) -> None:
        sized = self._amounts.batch(wanted, exposure, runner)
        if len(sized) > 1:
            sized.sort(key=lambda pair: pair[1] == 0.0 or not exposure.reduces(pair[0].symbol, pair[1]))
        ordinals: dict[str, int] = {}
        sets: dict[str, str] = {}
        for intent, planned in sized:
            symbol, quantity = intent.symbol, planned
            ordinal = ordinals.get(symbol, 0)
            if ordinal and is_target(intent):
                # What came before it in the batch may have been refused.
                resized = self._amounts.units(intent, exposure, runner)
                if resized is None:
                    continue
                quantity = resized
            ordinals[symbol] = ordinal + 1
            group = self._group(intent, now, ordinal)
            oco_id = sets.setdefault(intent.oco, group) if intent.oco else ""
            self._submit(runner, intent, quantity, group, now, exposure, oco_id)
        if sets:
            self._end_broken_sets(frozenset(sets.values()), now)

    def _group(self, intent: OrderIntent, now: int, ordinal: int = 0) -> str:
        symbol, setup_at = intent.symbol, intent.setup_at
        if setup_at is None:
            return group_id(symbol, now, ordinal)
        # Named after an earlier instant, which may have orders of its own, or be named again.
        stamp = min(to_ns(setup_at), now)
        taken = {order.group_id for order in takewhile(lambda order: order.created_ns >= stamp, reversed(self.orders))}
        free = (group for i in count() if (group := group_id(symbol, stamp, i)) not in taken)
        return next(free)

    def _end_broken_sets(self, sets: frozenset[str], now: int) -> None:
        # A set of which one order was refused is not what was asked for: a target without its stop, say.
        decided = takewhile(lambda order: order.created_ns == now, reversed(self.orders))
        broken = {order.oco_id for order in decided if order.oco_id in sets and order.status is _REJECTED}
        for order in [o for o in self.execution.working.values() if o.oco_id in broken]:
            if not order.is_terminal:
                self.execution.cancel(order.order_id, now, "oco_refused")

    def exposure(self, runner: StrategyRunner) -> ProjectedExposure:
        """Return the exposure of a strategy, with all that works and waits for it at its worst."""
        exposure = ProjectedExposure(runner.ledger, self.working(runner.name) if self.execution.working else ())
        self._count_children(runner, exposure)
        return exposure

    def _count_children(self, runner: StrategyRunner, exposure: ProjectedExposure) -> None:
        for order in self._waiting(runner.name):
            if not order.reduce_only:
                # Nobody knows whether it comes to life: like an order that rests, it counts at its worst.
                exposure.add(order.symbol, order.side.sign * order.remaining, _LIMIT, order.oco_id)

    def _submit(
        self,
        runner: StrategyRunner,
        intent: OrderIntent,
        quantity: float,
        group: str,
        now: int,
        exposure: ProjectedExposure,
        oco_id: str = "",
    ) -> None:
        if runner.error is not None:
            # Hearing of an order, or of a cancel, made it fail.
            return
        symbol, kind, reduces = intent.symbol, intent.order_type, intent.reduce_only
        price = exposure.price(symbol) if symbol in self._instruments else _UNKNOWN
        rejection = Rejection(self._amounts.why_none(intent, exposure, runner)) if quantity == 0.0 and price > 0 else None
        if symbol in self.gone:
            rejection = Rejection(self.gone[symbol])
        if rejection is None and not (reduces and price > 0):
            rejection = self._admission.within_limits(runner, symbol, quantity, kind, exposure, oco_id)
        order = self._maker.order(runner.strategy, runner.name, intent, quantity, group, now)
        if oco_id:
            order.oco_id = oco_id
        if rejection is None:
            exits = self._maker.exits(order, runner.strategy, intent.exits) if self._gate is not None else ()
            rejection = self._admission.refuses(runner, order, exposure, exits)
        self.orders.append(order)
        if rejection is not None:
            self.hear(order, order.move_to(_REJECTED, order.created_ns, str(rejection)), None)
            return
        if not reduces:
            exposure.add(symbol, quantity, kind, oco_id)
        elif kind is _MARKET:
            exposure.reduce(symbol, quantity)
        if intent.exits is None and not intent.followers:
            self.execution.submit(order)
        else:
            self._submit_family(runner, intent, order)

    def _submit_family(self, runner: StrategyRunner, intent: OrderIntent, order: Order) -> None:
        followers = self._followers(runner, order, intent.followers) if intent.followers else []
        children = [
            *self._maker.exits(order, runner.strategy, intent.exits),
            *(follower for follower, rejection in followers if rejection is None),
        ]
        self.orders.extend(children)
        self._children += children
        self.execution.submit(order, children)
        for follower, rejection in followers:
            # Only now: hearing of it may make the strategy fail, which takes the others back.
            if rejection is not None:
                self.orders.append(follower)
                self.hear(follower, follower.move_to(_REJECTED, follower.created_ns, str(rejection)), None)

    def _followers(
        self, runner: StrategyRunner, parent: Order, followers: Sequence[OrderIntent]
    ) -> list[tuple[Order, Rejection | None]]:
        found: list[tuple[Order, Rejection | None]] = []
        # They come to life when the parent is filled, and are sized and judged by that.
        exposure = self.exposure(runner)
        exposure.add(parent.symbol, parent.side.sign * parent.remaining, _MARKET)
        for i, intent in enumerate(followers):
            symbol = intent.symbol
            quantity = self._amounts.units(intent, exposure, runner) or 0.0
            group = f"{parent.group_id}_then_{i}"
            order = self._maker.order(runner.strategy, runner.name, intent, quantity, group, parent.created_ns)
            order.parent_id, order.role = parent.order_id, _FOLLOWER
            order.oco_id = f"{parent.group_id}_then_{intent.oco}" if intent.oco else ""
            siblings = [follower for follower, rejection in found if rejection is None]
            rejection = self._admission.refuses_follower(runner, parent, order, quantity, exposure, siblings)
            if rejection is None and not intent.reduce_only:
                exposure.add(symbol, quantity, _LIMIT, order.oco_id)
            found.append((order, rejection))
        return found

    def _change(self, runner: StrategyRunner, intent: CancelIntent | ReplaceIntent, now: int) -> None:
        order = self.execution.working.get(intent.order_id)
        # An order that was filled in the meantime is no error: the strategy hears of the fill.
        if order is None or order.strategy != runner.name or order.order_id in self._calls:
            return
        if isinstance(intent, CancelIntent):
            self.execution.request_cancel(order.order_id, now)
        elif refused := self._admission.refuses_change(runner, order, intent, lambda: self.exposure(runner)):
            status = _ACKNOWLEDGED if order.status is _SUBMITTED else order.status
            hear = self.hear if self._line is None else self._line.note
            hear(order, order.move_to(status, now, refused), None)
        else:
            self.execution.request_replace(intent, now)

    def adopt(self, runner: StrategyRunner, symbol: str, signed_quantity: float, tag: str) -> Order:
        """Take in an order that nobody gave, and return it: it stands for units that are held all the same. Nothing is sent."""
        now = self._cursor.known_ns
        intent = OrderIntent.market(symbol, signed_quantity, time_in_force=TimeInForce.GTC, tag=tag)
        order = self._maker.order(runner.strategy, runner.name, intent, signed_quantity, f"{group_id(symbol, now)}_{tag}", now)
        self.orders.append(order)
        return order

    def liquidate(self, runner: StrategyRunner, symbol: str, signed_quantity: float, tag: str = MARGIN_CALL) -> Order:
        """Send an order that no strategy decided, and return it: what a margin call, a halt or an operator closes.

        Parameters
        ----------
        tag : str
            Why; another for every time it is asked again at one instant.
        """
        now = self._cursor.known_ns
        intent = OrderIntent.market(symbol, signed_quantity, time_in_force=TimeInForce.GTC, tag=tag)
        order = self._maker.order(runner.strategy, runner.name, intent, signed_quantity, f"{group_id(symbol, now)}_{tag}", now)
        order.reduce_only = True
        self._calls.add(order.order_id)
        self.orders.append(order)
        self.execution.submit(order)
        return order

    def _afford(self, order: Order, quantity: float, price: float, charge: Charge) -> float:
        if self._accounts is None:
            return quantity
        lot, name = self._instruments[order.symbol].lot_step, order.strategy
        ahead = () if self._line is None else self._line.ahead(name)
        return self._accounts.affordable(self._runners[name], order, quantity, price, lot, charge, ahead)

    def held(self, name: str) -> dict[str, float]:
        """Return the signed units that a strategy has at the venue, by symbol: also of what the ledger was not told yet."""
        held = {symbol: p.quantity for symbol, p in self._runners[name].ledger.positions.items() if p.quantity}
        for fill in () if self._line is None else self._line.ahead(name):
            held[fill.symbol] = held.get(fill.symbol, 0.0) + fill.signed_quantity
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def _held(self, name: str, symbol: str) -> float:
        return self.held(name).get(symbol, 0.0)

    def cancel_all(self, name: str, reason: str) -> None:
        """Take back every working order of one strategy."""
        for order in self.working(name):
            # Hearing of one may make the strategy fail, which takes the others back.
            if not order.is_terminal:
                self.execution.cancel(order.order_id, self._cursor.known_ns, reason)
        for order in self._waiting(name) if self._children else ():
            if not order.is_terminal:
                self.hear(order, order.move_to(_CANCELLED, self._cursor.known_ns, reason), None)

    def hear(self, order: Order, update: OrderUpdate, fill: Fill | None) -> None:
        """Record a change; book its fill before the strategy hears of it."""
        self.updates.append(update)
        runner = self._runners[order.strategy]
        if fill is not None:
            self.fills.append(fill)
            quantity = fill.quantity if fill.side is _BUY else -fill.quantity
            realised = runner.ledger.book(fill.symbol, quantity, fill.price, fill.commission)
            if self._gate is not None:
                self._gate.filled(runner, fill, realised)
            if self._accounts is not None:
                self._accounts.book(runner, fill)
            changed = self._ledger_changed
            changed(runner.name)
        if runner.hears_updates:
            runner.tell(order)
