"""The order desk: intents become sized, checked, recorded orders; fills become ledger entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fairlead.core.bars import Cursor
from fairlead.core.errors import ContractError
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id, idempotency_key, order_id
from fairlead.core.instruments import Instrument
from fairlead.core.intents import CancelIntent, OrderIntent
from fairlead.core.orders import AmountKind, Order, OrderStatus, OrderType, OrderUpdate, Side
from fairlead.core.time import to_ns
from fairlead.engine.runner import StrategyRunner
from fairlead.execution.latency import Latency
from fairlead.execution.simulated import ExecutionSettings, SimulatedExecution, on_tick
from fairlead.risk.pretrade import ProjectedExposure, Rejection, check_order
from fairlead.risk.sizing import size_intent

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_REJECTED: Final = OrderStatus.REJECTED
_MARKET: Final = OrderType.MARKET
_UNKNOWN: Final = float("nan")
_TARGET_POSITION: Final = AmountKind.TARGET_POSITION
_TARGET_WEIGHT: Final = AmountKind.TARGET_WEIGHT
_SELL: Final = Side.SELL
_BUY: Final = Side.BUY


class OrderDesk:
    """Between strategies and the venue: the one way in which an order comes to be.

    Attributes
    ----------
    execution : SimulatedExecution
        The venue.
    orders, updates, fills : list
        Everything that happened, in order.
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
    ) -> None:
        self.orders: list[Order] = []
        self.updates: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self._run_id = run_id
        self._cursor = cursor
        self._instruments = instruments
        self._ledger_changed = ledger_changed
        self._runners: dict[str, StrategyRunner] = {}
        self.execution = SimulatedExecution(execution, instruments, latency, self.hear, one_bar_sessions=one_bar_sessions)

    def enlist(self, runners: Sequence[StrategyRunner]) -> None:
        """Take in the strategies whose orders pass here."""
        self._runners = {runner.name: runner for runner in runners}

    def working(self, name: str) -> list[Order]:
        """Return the working orders of one strategy, oldest first."""
        return [order for order in self.execution.working.values() if order.strategy == name]

    def take(self, runner: StrategyRunner, intents: Sequence[OrderIntent | CancelIntent]) -> None:
        """Size, check and submit what a strategy wants.

        Cancels come first, then orders that reduce a position, so that what they free can be used; the rest in the
        strategy's own order.
        """
        now = self._cursor.known_ns
        wanted: list[OrderIntent] = []
        for intent in intents:
            if isinstance(intent, CancelIntent):
                self._cancel(runner, intent, now)
            else:
                wanted.append(intent)
        if not wanted:
            return
        exposure = ProjectedExposure(runner.ledger, self.working(runner.name) if self.execution.working else ())
        sized = self._size(runner, wanted, exposure)
        if len(sized) > 1:
            sized.sort(key=lambda pair: pair[1] == 0.0 or not exposure.reduces(pair[0].symbol, pair[1]))
        ordinals: dict[str, int] = {}
        for intent, planned in sized:
            symbol, quantity = intent.symbol, planned
            ordinal = ordinals.get(symbol, 0)
            if ordinal and _is_target(intent):
                # What came before it in the batch may have been refused.
                resized = self._quantity(runner, intent, exposure, exposure.held(symbol))
                if resized is None:
                    continue
                quantity = resized
            ordinals[symbol] = ordinal + 1
            self._submit(runner, intent, quantity, group_id(symbol, now, ordinal), exposure)

    def _size(
        self, runner: StrategyRunner, wanted: list[OrderIntent], exposure: ProjectedExposure
    ) -> list[tuple[OrderIntent, float]]:
        sized: list[tuple[OrderIntent, float]] = []
        planned: dict[str, float] = {}
        for intent in wanted:
            symbol = intent.symbol
            quantity = self._quantity(runner, intent, exposure, exposure.held(symbol) + planned.get(symbol, 0.0))
            if quantity is None:
                if symbol in planned:
                    # Reached if what comes before it leaves: seen again when that is known.
                    sized.append((intent, 0.0))
                continue
            if intent.order_type is _MARKET:
                planned[symbol] = planned.get(symbol, 0.0) + quantity
            sized.append((intent, quantity))
        return sized

    def _quantity(self, runner: StrategyRunner, intent: OrderIntent, exposure: ProjectedExposure, held: float) -> float | None:
        """Return signed units, 0.0 if less than the smallest order is wanted, None if there is nothing to do."""
        instrument = self._instruments.get(intent.symbol)
        price = exposure.price(intent.symbol) if instrument is not None else _UNKNOWN
        if instrument is None or not price > 0:
            # Left for the check, which refuses and records why. But to hold nothing of what has no price yet is no order.
            return None if instrument is not None and _is_target(intent) and intent.amount == 0 else intent.amount
        try:
            quantity, note = size_intent(
                intent, instrument, price=price, equity=exposure.equity, held=held, limits=runner.limits
            )
        except (ContractError, OverflowError):
            # Beyond any number of units: left for the check, which refuses it.
            return intent.amount
        return None if quantity == 0.0 and note != "below_min_qty" else quantity

    def _submit(
        self, runner: StrategyRunner, intent: OrderIntent, quantity: float, group: str, exposure: ProjectedExposure
    ) -> None:
        if not runner.is_running:
            # Hearing of an order, or of a cancel, made it fail.
            return
        symbol = intent.symbol
        price = exposure.price(symbol) if symbol in self._instruments else _UNKNOWN
        rejection = (
            Rejection("below_min_qty")
            if quantity == 0.0 and price > 0
            else check_order(
                symbol,
                quantity,
                intent.order_type,
                exposure=exposure,
                limits=runner.limits,
                instruments=self._instruments,
                price=price,
            )
        )
        order = self._order(runner, intent, quantity, group, self._cursor.known_ns)
        self.orders.append(order)
        if rejection is not None:
            self.hear(order, order.move_to(_REJECTED, order.created_ns, str(rejection)), None)
            return
        exposure.add(symbol, quantity, intent.order_type)
        self.execution.submit(order)

    def _order(self, runner: StrategyRunner, intent: OrderIntent, quantity: float, group: str, now: int) -> Order:
        side = Side.of(quantity or intent.amount)
        key = idempotency_key(self._run_id, runner.name, type(runner.strategy).version, intent.symbol, side, group)
        instrument = self._instruments.get(intent.symbol)
        limit, stop = intent.limit_price, intent.stop_price
        if instrument is not None:
            # Away from a better fill: a limit never pays more than asked, an entry stop never triggers sooner.
            limit = on_tick(instrument, limit, up=side is _SELL) if limit is not None else None
            stop = on_tick(instrument, stop, up=side is _BUY) if stop is not None else None
        return Order(
            order_id=order_id(key),
            idempotency_key=key,
            group_id=group,
            strategy=runner.name,
            symbol=intent.symbol,
            side=side,
            quantity=abs(quantity) or abs(intent.amount),
            order_type=intent.order_type,
            created_ns=now,
            arrives_ns=now,
            limit_price=limit,
            stop_price=stop,
            time_in_force=intent.time_in_force,
            expires_ns=to_ns(intent.expires_at) if intent.expires_at is not None else None,
            tag=intent.tag,
        )

    def _cancel(self, runner: StrategyRunner, intent: CancelIntent, now: int) -> None:
        order = self.execution.working.get(intent.order_id)
        # An order that was filled in the meantime is no error: the strategy hears of the fill.
        if order is not None and order.strategy == runner.name:
            self.execution.cancel(order.order_id, now)

    def cancel_all(self, name: str, reason: str) -> None:
        """Take back every working order of one strategy."""
        for order in self.working(name):
            # Hearing of one may make the strategy fail, which takes the others back.
            if not order.is_terminal:
                self.execution.cancel(order.order_id, self._cursor.known_ns, reason)

    def hear(self, order: Order, update: OrderUpdate, fill: Fill | None) -> None:
        """Record a change; book its fill before the strategy hears of it."""
        self.updates.append(update)
        runner = self._runners[order.strategy]
        if fill is not None:
            self.fills.append(fill)
            runner.ledger.apply(fill)
            self._ledger_changed(runner.name)
        runner.tell(order)


def _is_target(intent: OrderIntent) -> bool:
    return intent.amount_kind in (_TARGET_POSITION, _TARGET_WEIGHT)
