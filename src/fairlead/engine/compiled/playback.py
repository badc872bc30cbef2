"""A compiled run told as the event loop tells it: its tape is played back through real orders, ledger and curves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from fairlead.core.bars import BarBlock
from fairlead.core.errors import DataError
from fairlead.core.events import CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import Order, OrderStatus, OrderUpdate
from fairlead.core.portfolio import Portfolio
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.history import LoadedHistory
from fairlead.engine.compiled.layout import Books
from fairlead.engine.compiled.runs import CompiledRun
from fairlead.engine.digest import run_digest
from fairlead.engine.equity import CurveRecorder
from fairlead.engine.notes import PriceNotes
from fairlead.engine.ordering import OrderMaker
from fairlead.engine.record import AppliedAction, RunRecord, StrategyOutcome
from fairlead.execution.corporate import rescale_order
from fairlead.risk.pretrade import REASONS as CHECKS
from fairlead.risk.rejection import Rejection
from fairlead.sdk.decisions import POSITION
from fairlead.sdk.kernel_strategy import KernelStrategy

_STATUSES: Final = {
    at.SUBMITTED: OrderStatus.SUBMITTED,
    at.ACKNOWLEDGED: OrderStatus.ACKNOWLEDGED,
    at.CANCELLED: OrderStatus.CANCELLED,
    at.REJECTED: OrderStatus.REJECTED,
    at.EXPIRED: OrderStatus.EXPIRED,
}
_ROW: Final = 5
"""Column of the tape: where the run stood."""
_BOOKED: Final = (at.FILL, at.ACTION)


def record_of(history: LoadedHistory, strategy: KernelStrategy, run: CompiledRun) -> RunRecord:
    """Return the record of a run that kept its tape: that which the event loop leaves, to the bit.

    Raises
    ------
    DataError
        If the ledger that the tape is played back to does not end with the cash of the compiled one: a fault of Fairlead.
    """
    return _Playback(history, strategy, run).record()


@dataclass(slots=True)
class _Playback:
    history: LoadedHistory
    strategy: KernelStrategy
    run: CompiledRun
    orders: list[Order] = field(default_factory=list)
    updates: list[OrderUpdate] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    applied: list[AppliedAction] = field(default_factory=list)
    market_actions: list[CorporateAction] = field(default_factory=list)
    _exits: dict[int, OrderIntent] = field(default_factory=dict)

    @property
    def books(self) -> Books:
        assert self.run.books is not None, "the run kept its tape"
        return self.run.books

    @property
    def allocation_name(self) -> str:
        return self.history.plan.allocations[0].name

    def record(self) -> RunRecord:
        plan, capital = self.history.plan, self.history.plan.allocations[0].capital
        instruments = {i.symbol: i for i in self.history.instruments}
        multipliers = {symbol: i.multiplier for symbol, i in instruments.items() if i.multiplier != 1.0}
        ledger = Portfolio(capital, {}, multipliers)
        maker = OrderMaker(plan.run_id, instruments)
        curves, notes = CurveRecorder({self.allocation_name: ledger}), PriceNotes()
        ints = self.books.tape_ints
        count, place, done = int(self.run.counts[at.EVENTS]), 0, 0
        for block in self.history.blocks:
            curves.open_block(block)
            shift = block.start - done
            end = done + len(block) - block.start
            while place < count and ints[place, _ROW] < end:
                row = int(ints[place, _ROW])
                self._apply(place, ledger, maker, block, row + shift)
                if ints[place, 0] in _BOOKED:
                    curves.mark_changed(self.allocation_name)
                place += 1
                if curves.changed and (place == count or ints[place, _ROW] != row):
                    curves.note_changes(row + shift)
            curves.close_block(block)
            notes.take(block, self.orders, self.fills)
            done = end
        for order, day in zip(self.orders, self.books.ints[:, at.DAY].tolist(), strict=False):
            order.day_session = day if day >= 0 else None
        if ledger.cash != float(self.run.money[at.CASH]):
            raise DataError.of("cash of a compiled run", "be that of its fills", (float(self.run.money[at.CASH]), ledger.cash))
        account, by_strategy = curves.curves()
        return RunRecord(
            run_id=plan.run_id,
            initial_cash=capital,
            strategies=(
                StrategyOutcome(self.allocation_name, type(self.strategy).version, self.strategy.params, capital, "completed"),
            ),
            account=account,
            by_strategy=by_strategy,
            prices=curves.prices(),
            orders=self.orders,
            updates=self.updates,
            fills=self.fills,
            applied_actions=self.applied,
            market_actions=self.market_actions,
            bars=self.history.bars,
            digest=run_digest(self.orders, self.updates, self.fills),
            execution_prices=notes.prices(),
        )

    def _apply(self, place: int, ledger: Portfolio, maker: OrderMaker, block: BarBlock, row: int) -> None:
        kind, order, when, code, more, _ = self.books.tape_ints[place].tolist()
        numbers = self.books.tape_floats[place].tolist()
        if kind == at.CREATE:
            self._create(order, when, code, numbers, maker)
        elif kind == at.MOVE:
            self._move(order, when, code, more, numbers, maker)
        elif kind == at.FILL:
            self._fill(order, when, numbers, ledger, block, row)
        elif kind == at.ACTION:
            self._act(self.history.actions[order], ledger, block, row)
        elif kind == at.RESCALE:
            own = self.orders[order]
            rescale_order(own, numbers[0], self.history.instruments[block.columns[own.symbol]])
        elif kind == at.GROW:
            self.orders[order].quantity += numbers[0]
        else:
            twin = self.orders[order]
            twin.quantity = max(twin.filled_quantity, twin.quantity - numbers[0])

    def _create(self, index: int, now: int, column: int, numbers: list[float], maker: OrderMaker) -> None:
        signed, kind, amount, stop, target = numbers
        symbol = self.history.symbols[column]
        make = OrderIntent.target_position if kind == POSITION else OrderIntent.target_weight
        intent = make(symbol, amount)
        if stop == stop or target == target:
            intent = intent.with_exits(
                stop_loss=None if stop != stop else stop, take_profit=None if target != target else target
            )
            self._exits[index] = intent
        assert index == len(self.orders), "orders are created in the order of their places"
        self.orders.append(maker.order(self.strategy, self.allocation_name, intent, signed, group_id(symbol, now, 0), now))

    def _move(self, index: int, when: int, status: int, reason: int, numbers: list[float], maker: OrderMaker) -> None:
        order = self.orders[index]
        if status == at.SUBMITTED:
            order.arrives_ns = int(self.books.ints[index, at.ARRIVES])
            if index in self._exits:
                self.orders += maker.exits(order, self.strategy, self._exits[index].exits)
        if reason >= at.FIRST_CHECK:
            measured, limit = numbers[:2]
            text = str(Rejection(CHECKS[reason - at.FIRST_CHECK], measured, limit))
        else:
            text = at.REASONS[reason]
        self.updates.append(order.move_to(_STATUSES[status], when, text))

    def _fill(self, index: int, now: int, numbers: list[float], ledger: Portfolio, block: BarBlock, row: int) -> None:
        quantity, ideal, price, fee, _ = numbers
        order = self.orders[index]
        self.updates.append(order.record_fill(quantity, price, fee, now))
        fill = Fill(
            str(order.update_count),
            order.order_id,
            order.strategy,
            order.symbol,
            order.side,
            quantity,
            ideal,
            price,
            fee,
            now,
            int(block.label_ns[row]),
            order.tag,
        )
        self.fills.append(fill)
        ledger.apply(fill)

    def _act(self, action: CorporateAction, ledger: Portfolio, block: BarBlock, row: int) -> None:
        now, symbol = int(block.known_ns[row]), action.symbol
        self.market_actions.append(replace(action, ex_session=int(block.session[row])))
        before = ledger.quantity(symbol)
        if before == 0.0:
            return
        cash = 0.0
        if action.share_factor != 1.0:
            ledger.apply_split(symbol, action.share_factor, now)
        else:
            cash = ledger.apply_dividend(symbol, action.value)
        self.applied.append(AppliedAction(now, self.allocation_name, action, before, ledger.quantity(symbol), cash))
