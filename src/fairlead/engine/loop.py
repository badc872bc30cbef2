"""The event loop: one, synchronous, deterministic (architecture §4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from fairlead.core.bars import BarBlock, Cursor
from fairlead.core.errors import RiskLimitError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.engine.accounts import Accounts
from fairlead.engine.actions import OwedShares, Terms, check_other, part, terms_of
from fairlead.engine.clock import HistoricalClock
from fairlead.engine.desk import MARGIN_CALL, OrderDesk
from fairlead.engine.equity import CurveRecorder
from fairlead.engine.record import AppliedAction
from fairlead.engine.runner import StrategyRunner
from fairlead.engine.stages import Stage
from fairlead.execution.corporate import GONE
from fairlead.telemetry.timers import StageTimers

_RESCALES: Final = (ActionKind.SPLIT, ActionKind.STOCK_DIVIDEND)


class EventLoop:
    """Walks history one instant at a time; stages happen in the order of `Stage`.

    Attributes
    ----------
    bars : int
        Bars delivered so far.
    applied_actions : list of AppliedAction
        Corporate actions that met a position.
    market_actions : list of CorporateAction
        All that took effect, each dated with the session in which it did.
    """

    def __init__(
        self,
        cursor: Cursor,
        clock: HistoricalClock,
        desk: OrderDesk,
        curves: CurveRecorder,
        timers: StageTimers,
        enter_features: Callable[[BarBlock], None],
        accounts: Accounts | None = None,
        monitors: Sequence[Callable[[int], None]] = (),
    ) -> None:
        self.bars = 0
        self.applied_actions: list[AppliedAction] = []
        self.market_actions: list[CorporateAction] = []
        self._cursor = cursor
        self._clock = clock
        self._desk = desk
        self._runners: Sequence[StrategyRunner] = ()
        self._curves = curves
        self._steps: list[Callable[[int], None]] = []
        self._due: list[CorporateAction | OwedShares] = []
        self._match = timers.wrap(Stage.EXECUTION.name.lower(), desk.match)
        self._act = timers.wrap(Stage.CORPORATE_ACTIONS.name.lower(), self._apply_actions)
        self._record = timers.wrap(Stage.RECORD.name.lower(), curves.close_block)
        self._enter_features = timers.wrap("features", enter_features)
        self._wrap_step = timers.wrap
        self._accounts = accounts
        self._monitors = monitors

    def enlist(self, runners: Sequence[StrategyRunner]) -> None:
        """Take the strategies in; they are served in this order."""
        self._runners = runners

    def close(self) -> None:
        """Let go of the strategies after the last block."""
        for runner in self._runners:
            runner.close()
        self._runners = self._monitors = ()
        self._steps.clear()
        del self._act

    def strategy_failed(self, runner: StrategyRunner) -> None:
        """Take a failed strategy out of the loop, and its orders out of the market. Its positions stay."""
        self._desk.cancel_all(runner.name, "strategy_failed")
        self._refresh_steps()

    def run_block(self, block: BarBlock) -> None:
        """Deliver every row of a block from its `start` on."""
        self._enter(block)
        cursor, effective, accounts = self._cursor, _by_row(block), self._accounts
        # A row at which nothing may happen costs nothing: where accounts are watched, every row is one of the others.
        watched = range(block.start, len(block)) if accounts is not None else ()
        action_rows = sorted({*effective, *watched}, reverse=True)
        next_action = action_rows.pop() if action_rows else -1
        due, working, changed, steps = self._due, self._desk.execution.working, self._curves.changed, self._steps
        meet, alone = self._meeting(block), self._alone()
        rows = iter(self._clock.rows(block))
        for row in rows:
            cursor.row = row
            if row == next_action:
                due += effective.get(row, ())
                next_action = action_rows.pop() if action_rows else -1
                if accounts is not None:
                    accounts.pass_nights(self._runners, self._curves.mark_changed)
            if due:
                self._act(block, row)
            if working or changed:
                meet(row)
            for step in steps:
                step(row)
            if alone is not None and alone.can_walk and not due:
                # Up to the next action there is nobody to wait for: the strategy takes the rows itself.
                ahead = rows if next_action < 0 else islice(rows, next_action - row - 1)
                alone.walk(ahead, cursor, working, changed, meet)
        self._record(block)

    def _enter(self, block: BarBlock) -> None:
        self._cursor.block = block
        self._cursor.row = block.start
        self._desk.execution.enter(block)
        self._enter_features(block)
        for runner in self._runners:
            runner.enter(block)
        self._refresh_steps()
        self._curves.open_block(block)
        self.bars += int((block.close[block.start :] == block.close[block.start :]).sum())

    def _meeting(self, block: BarBlock) -> Callable[[int], None]:
        """Return what comes before the strategies in a row: orders meet its bars, and changes of ledgers are noted."""
        working, changed = self._desk.execution.working, self._curves.changed
        match, note_changes = self._match, self._curves.note_changes

        def meet(row: int) -> None:
            if working:
                match(block, row)
            if changed:
                note_changes(row)

        return meet

    def _alone(self) -> StrategyRunner | None:
        """Return the strategy whose step is all that a row takes, if nobody times or records it."""
        runner = self._runners[0] if len(self._runners) == 1 else None
        return runner if runner is not None and runner.can_walk and self._steps == [runner.step] else None

    def _call_margins(self, _row: int) -> None:
        accounts = self._accounts
        if accounts is None:
            return
        for runner in self._runners:
            calls = accounts.calls(runner)
            if not calls or self._desk.called(runner.name):
                continue
            self._desk.cancel_all(runner.name, MARGIN_CALL)
            if accounts.stops_on_call:
                runner.halt(RiskLimitError(accounts.describe(runner)))
                continue
            for call in calls:
                self._desk.liquidate(runner, call.symbol, call.quantity)

    def _refresh_steps(self) -> None:
        # In place, and never shorter: a strategy may fail while the loop walks the list, and its neighbour must not be skipped.
        margins = [self._call_margins] if self._accounts is not None else []
        self._steps[:] = [*self._monitors, *margins] + [
            self._wrap_step(f"{Stage.MARKET.name.lower()}:{runner.name}", runner.step) for runner in self._runners
        ]

    def _apply_actions(self, block: BarBlock, row: int) -> None:
        now, session = int(block.known_ns[row]), int(block.session[row])
        ready, self._due[:] = part(self._due, block, row)
        for entry in ready:
            if isinstance(entry, OwedShares):
                self._deliver(entry, block, row)
                continue
            check_other(entry, self._desk.gone)
            self.market_actions.append(replace(entry, ex_session=session))
            terms = terms_of(entry, block, row, self.market_actions)
            self._apply_to_orders(entry, now)
            for runner in self._runners:
                self._apply_to(runner, entry, terms, now)
                runner.tell_action(entry)

    def _apply_to_orders(self, action: CorporateAction, now: int) -> None:
        if action.ends_symbol:
            self._desk.gone[action.symbol] = GONE[action.kind]
        self._desk.execution.apply_action(action, now)

    def _apply_to(self, runner: StrategyRunner, action: CorporateAction, terms: Terms, now: int) -> None:
        ledger, symbol = runner.ledger, action.symbol
        before = ledger.quantity(symbol)
        if before == 0.0:
            return
        cash = received = 0.0
        if action.kind in _RESCALES:
            ledger.apply_split(symbol, action.share_factor, now)
        elif action.kind is ActionKind.DIVIDEND:
            cash = ledger.apply_dividend(symbol, action.value)
        elif action.ends_symbol:
            cash, received = ledger.convert(symbol, action.other, terms.ratio, terms.cash, terms.fraction)
        elif terms.is_priced:
            received = ledger.hand_out(symbol, action.other, terms.ratio, terms.fraction)
        else:
            self._due.append(OwedShares(runner, action, before * terms.ratio))
            return
        self._curves.mark_changed(runner.name)
        after, fraction = ledger.quantity(symbol), terms.fraction if received else 0.0
        self.applied_actions.append(AppliedAction(now, runner.name, action, before, after, cash, received, fraction))

    def _deliver(self, owed: OwedShares, block: BarBlock, row: int) -> None:
        runner, action = owed.runner, owed.action
        price = float(block.open[row, block.columns[action.other]])
        value = runner.ledger.receive(action.other, owed.quantity, price)
        self._curves.mark_changed(runner.name)
        now, held = int(block.known_ns[row]), runner.ledger.quantity(action.symbol)
        self.applied_actions.append(
            AppliedAction(now, runner.name, action, held, held, 0.0, other_quantity=owed.quantity, in_kind=value)
        )


def _by_row(block: BarBlock) -> dict[int, list[CorporateAction]]:
    effective: dict[int, list[CorporateAction]] = {}
    for e in block.actions:
        if e.row >= block.start:
            effective.setdefault(e.row, []).append(e.action)
    return effective
