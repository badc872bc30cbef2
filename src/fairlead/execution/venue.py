"""Where orders work: their lives at a simulated venue, whatever market they meet (domain rules 4.3, 4.5, 6.13)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fairlead.core.bars import BarBlock
from fairlead.core.errors import UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.fills import make_fill
from fairlead.core.grid import floor_quantity
from fairlead.core.instruments import Instrument
from fairlead.core.intents import ReplaceIntent
from fairlead.core.orders import TERMINAL, Order, OrderStatus, OrderType, Side, TimeInForce
from fairlead.execution.corporate import GONE, orders_of, orders_to_cancel, orders_to_move, rename_order, rescale_order
from fairlead.execution.cost_kernels import slipped
from fairlead.execution.costs import ExecutionCosts
from fairlead.execution.fills import ELSEWHERE, FillPrice, Spark, spark_of
from fairlead.execution.latency import Latency, LatencyKind
from fairlead.execution.lives import AUCTIONS, OrderLives
from fairlead.execution.pricing import BarPricer, SessionClose
from fairlead.execution.requests import Request, Requests, changed_terms
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.working import Heard, Held

Afford = Callable[[Order, float, float, Callable[[float], float]], float]
"""Order, units, price and the commission of so many units -> the units that are paid for."""
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_PENDING: Final = OrderStatus.PENDING
_SUBMITTED: Final = OrderStatus.SUBMITTED
_ACKNOWLEDGED: Final = OrderStatus.ACKNOWLEDGED
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL
_CANCELLED: Final = OrderStatus.CANCELLED
_EXPIRED: Final = OrderStatus.EXPIRED
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_DAY: Final = TimeInForce.DAY
_CLS: Final = TimeInForce.CLS
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_LIMIT: Final = OrderType.LIMIT
_STOP_LIMIT: Final = OrderType.STOP_LIMIT
_TRAILING: Final = OrderType.TRAILING_STOP
_ORDINALS: Final = tuple(map(str, range(16)))
_CANCEL: Final = LatencyKind.CANCEL
_REPLACE: Final = LatencyKind.REPLACE


class Venue(OrderLives, ABC):
    """Keeps working orders through their lives; what they meet in the market is for a subclass to say.

    Parameters
    ----------
    settings : ExecutionSettings
    instruments : mapping of symbol to Instrument
    latency : Latency
    hear : callable
        Called with every change: the order, the update, and the fill that caused it, if one did.
    held : callable, optional
        What a strategy holds: needed by orders that only reduce.
    afford : callable, optional
        How much of an execution the account pays for.
    one_bar_sessions : bool
        Every row is a whole session (daily bars), so a DAY order ends with the first row it could fill in. Otherwise it ends
        with the bar that closes its session, or when the first row of a later session shows that its own is over.
    session_close : callable, optional
        When sessions close; asked only for orders that need to know.

    Attributes
    ----------
    costs : ExecutionCosts
        What executions cost.
    mids : list of float
        The middle of bid and offer at each fill, NaN where it is not known, in the order of the fills; empty on bars.
    """

    def __init__(
        self,
        settings: ExecutionSettings,
        instruments: Mapping[str, Instrument],
        latency: Latency,
        hear: Heard,
        *,
        held: Held | None = None,
        afford: Afford | None = None,
        one_bar_sessions: bool = False,
        session_close: SessionClose | None = None,
    ) -> None:
        pricer = BarPricer(settings, instruments, one_bar_sessions=one_bar_sessions, session_close=session_close)
        super().__init__(pricer, hear, held)
        self.mids: list[float] = []
        self._settings = settings
        self.costs = ExecutionCosts(settings.slippage.build(), settings.commission.build())
        # Bound once, for costs that look at nothing but the execution.
        self._flat_slippage, self._plain_charge = self.costs.flat_slippage, self.costs.plain_charge
        self._participation = settings.max_bar_participation
        self._slip_limits = settings.slippage_on_limits
        self._instruments = instruments
        self._latency = latency
        self._afford = afford
        self._requests = Requests()
        self._awake: list[tuple[Order, Spark]] = []

    def close(self) -> None:
        """Let go of whom it told, after the end of a run."""
        del self._hear
        self._held = self._afford = None

    def enter(self, block: BarBlock) -> None:
        """Take in the next block of history, before any of its rows is matched."""
        if self.costs.needs_history:
            self.costs.enter(block)

    @abstractmethod
    def match(self, block: BarBlock, row: int) -> None:
        """Let every working order meet the market between one row and the next.

        Parameters
        ----------
        block : BarBlock
        row : int
            Whose bars have just closed.
        """

    def submit(self, order: Order, children: Sequence[Order] = ()) -> None:
        """Take an order: it starts to travel now and arrives after its latency.

        Parameters
        ----------
        order : Order
        children : sequence of Order
            Exits and followers that wait for its fills.
        """
        order.arrives_ns = order.created_ns + self._latency.draw_ns(order.strategy)
        self.working[order.order_id] = order
        if order.oco_id:
            self._families.add_to_set(order)
        if children:
            self._families.add_children(order, children)
        note_change = self._note_change
        if note_change is not None:
            note_change(order.move_to(_SUBMITTED, order.created_ns))
        else:
            hear = self._hear  # a method would be found faster than what is stored; a local is as fast
            hear(order, order.move_to(_SUBMITTED, order.created_ns), None)

    def cancel(self, order_id: str, ts_ns: int, reason: str = "cancelled_by_strategy") -> None:
        """Take an order back at once.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        self._end(self._working(order_id), _CANCELLED, ts_ns, reason)

    def request_cancel(self, order_id: str, ts_ns: int) -> None:
        """Send a wish to take an order back; until it arrives, the order may fill.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        order = self._working(order_id)
        delay = self._latency.draw_ns(order.strategy, _CANCEL)
        if delay == 0:
            self._end(order, _CANCELLED, ts_ns, "cancelled_by_strategy")
            return
        if order.status is not _PENDING_CANCEL:
            self._hear(order, order.move_to(_PENDING_CANCEL, ts_ns), None)
        self._requests.add(Request(ts_ns + delay, order, None))

    def request_replace(self, change: ReplaceIntent, ts_ns: int) -> None:
        """Send a wish to change an order; until it arrives, the order works as it stands.

        Raises
        ------
        UnknownName
            If no such order is working.
        """
        order = self._working(change.order_id)
        delay = self._latency.draw_ns(order.strategy, _REPLACE)
        if delay == 0:
            self._replace(order, change, ts_ns)
        else:
            self._requests.add(Request(ts_ns + delay, order, change))

    def _working(self, order_id: str) -> Order:
        order = self.working.get(order_id)
        if order is None:
            raise UnknownName.among("working order", order_id, self.working, "It may have been filled already.")
        return order

    def _fulfil(self, until_ns: int, order: Order | None = None) -> None:
        for request in self._requests.arrived(until_ns, order):
            if request.order.is_terminal:  # hearing of one may end another
                continue
            if request.change is None:
                self._end(request.order, _CANCELLED, request.arrives_ns, "cancelled_by_strategy")
            else:
                self._replace(request.order, request.change, request.arrives_ns)

    def _replace(self, order: Order, change: ReplaceIntent, ts_ns: int) -> None:
        terms = changed_terms(order, change, self._instruments[order.symbol])
        if terms is None:
            self._note(order, ts_ns, "replace_rejected")
            return
        quantity, limit, stop = terms
        if (limit, stop) != (order.limit_price, order.stop_price) or quantity > order.quantity:
            self._requeue(order, ts_ns)
        order.quantity, order.limit_price, order.stop_price = quantity, limit, stop
        self._note(order, ts_ns, "replaced")

    def _requeue(self, order: Order, ts_ns: int) -> None:  # noqa: ARG002  venues with a queue need to know when
        """Let an order lose its place in the queue."""
        self.working[order.order_id] = self.working.pop(order.order_id)

    def _trade(self, order: Order, found: FillPrice, free: float, block: BarBlock, row: int, now: int) -> float:
        """Let an order take what it may of `free` units at a price, and return what it took."""
        instrument, in_force = self._instruments[order.symbol], order.time_in_force
        quantity, lot = order.quantity - order.filled_quantity, instrument.lot_step
        # Whole units that there is room for are on the grid of 1 as they are.
        if not (quantity <= free and lot == 1.0 and quantity.is_integer()):
            quantity = min(quantity, floor_quantity(free, lot) if free > 0.0 else 0.0)
        if order.reduce_only or in_force is _FOK:
            quantity = self._room(order, quantity, now)
            if order.is_terminal:
                return 0.0
        paid = self._execute(order, found, quantity, instrument, block, row, now) if quantity > 0.0 else 0.0
        if order.status not in TERMINAL:
            if in_force is _IOC:
                self._end(order, _CANCELLED, now, "ioc_remainder")
            elif in_force in AUCTIONS:
                self._end(order, _EXPIRED, now, "auction_over")
        return paid

    def _execute(
        self, order: Order, found: FillPrice, quantity: float, instrument: Instrument, block: BarBlock, row: int, now: int
    ) -> float:
        """Let an order take `quantity` at a price, as far as that is paid for, and return what it took."""
        ideal, slip = found.price, self._flat_slippage
        if slip is None or not self._slip_limits:
            slip = self._slip(order, quantity, ideal, block, row)
            if slip is None:
                return 0.0
        price = slipped(1 if order.side is _BUY else -1, ideal, slip)
        cells = block.cells
        session = cells.session[row]
        paid = quantity if self._afford is None else self._payable(self._afford, order, quantity, price, session)
        if paid > 0.0:
            charge = self._plain_charge
            if charge is not None:
                commission = charge(paid, price, instrument.multiplier, order.executed, order.commission)
            else:
                commission = self.costs.charge(order, paid, price, instrument.multiplier, session)
            self._fill(order, paid, ideal, price, commission, now, cells.label_ns[row])
            if self._families.used:
                spark = spark_of(order, found)
                self._react(order, paid, now, lambda child: self._start(child, order, spark, now, session))
        if paid < quantity and not order.is_terminal:
            self._refuse_rest(order, now)
        return paid

    def _refuse_rest(self, order: Order, now: int) -> None:
        if order.side is _BUY:
            self._end(order, _CANCELLED, now, "insufficient_cash")
        else:
            self._end(order, _CANCELLED, now, "not_borrowable")

    def _room(self, order: Order, quantity: float, now: int) -> float:
        """Return how much of a quantity an order may take; it ends if it may take nothing at all."""
        if order.reduce_only:
            reducible = self._reducible(order)
            if not reducible > 0.0:
                self._end(order, _CANCELLED, now, "nothing_to_reduce")
                return 0.0
            quantity = min(quantity, reducible)
        if order.time_in_force is _FOK and quantity < order.remaining:
            self._end(order, _CANCELLED, now, "fok_not_filled")
            return 0.0
        return quantity

    def _payable(self, afford: Afford, order: Order, quantity: float, price: float, session: int) -> float:
        multiplier = self._instruments[order.symbol].multiplier
        paid = afford(order, quantity, price, lambda units: self.costs.quote(order, units, price, multiplier, session))
        return 0.0 if order.time_in_force is _FOK and paid < quantity else paid

    def _reducible(self, order: Order) -> float:
        held = self._held(order.strategy, order.symbol) if self._held is not None else 0.0
        return -held * order.side.sign

    def _fill(self, order: Order, quantity: float, ideal: float, price: float, commission: float, now: int, label: int) -> None:
        update = order.record_fill(quantity, price, commission, now)
        fill = make_fill(
            (
                _ORDINALS[count] if (count := order.update_count) < len(_ORDINALS) else str(count),
                order.order_id,
                order.strategy,
                order.symbol,
                order.side,
                quantity,
                ideal,
                price,
                commission,
                now,
                label,
                order.tag,
            )
        )
        if order.status in TERMINAL:
            self._remove(order)
        hear = self._hear
        hear(order, update, fill)

    def _slip(self, order: Order, quantity: float, price: float, block: BarBlock, row: int) -> float | None:
        if not self._slip_limits and (order.order_type is _LIMIT or order.order_type is _STOP_LIMIT):
            return 0.0
        return self.costs.slip(order, quantity, price, block, row)

    def _start(self, child: Order, parent: Order, spark: Spark, now: int, session: int) -> None:
        elsewhere = child.symbol != parent.symbol
        child.arrives_ns = now
        child.day_session = session
        self.working[child.order_id] = child
        if child.oco_id:
            self._families.add_to_set(child)
        if child.order_type is _TRAILING and not elsewhere:
            self._pricer.follow(child, spark.price, spark)
        self._hear(child, child.move_to(_SUBMITTED, now), None)
        if not child.is_terminal:
            self._hear(child, child.move_to(_ACKNOWLEDGED, now), None)
        self._awake.append((child, ELSEWHERE if elsewhere else spark))

    def apply_action(self, action: CorporateAction, ts_ns: int) -> None:
        """Let a corporate action change the orders of its symbol, those that wait for a parent included."""
        orders = [*self.working.values(), *self._families.waiting()]
        if action.share_factor != 1.0:
            instrument = self._instruments[action.symbol]
            for order in orders_of(orders, action.symbol):
                # Hearing of one order may make a strategy fail, which takes its others back.
                if not order.is_terminal and not rescale_order(order, action.share_factor, instrument):
                    self._cancel_for(order, ts_ns, "nothing_left_after_split")
        for order in orders_to_cancel(orders, action):
            self._cancel_for(order, ts_ns, GONE[action.kind])
        for order in orders_to_move(orders, action):
            rename_order(order, action)
