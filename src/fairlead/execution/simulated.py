"""The simulated venue: working orders meet bars (architecture §4, domain rules 4.3, 6.8, 6.13)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from fairlead.core.bars import BarBlock
from fairlead.core.orders import Order, OrderRole, OrderStatus, Side
from fairlead.execution.fills import FillPhase, FillPrice
from fairlead.execution.pricing import MISSED
from fairlead.execution.venue import Venue

_Candidate: TypeAlias = tuple[int, float, int, int, Order, FillPrice]
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_CANCELLED: Final = OrderStatus.CANCELLED
_BUY: Final = Side.BUY
_AT_OPEN: Final = FillPhase.OPEN
_AT_STOP: Final = FillPhase.STOP
_FOLLOWER: Final = OrderRole.FOLLOWER
_YOUNGER: Final = 1 << 40
_NOBODY: Final[AbstractSet[str]] = frozenset()


class SimulatedExecution(Venue):
    """Fills working orders from bars; see `Venue` for the parameters."""

    _woken = 0

    def match(self, block: BarBlock, row: int) -> None:
        """Let every working order meet the bars of one row.

        Orders that could fill are served by phase (open, stops, limits, close) and then by age; what one takes from a bar's
        volume is gone for the next.
        """
        now, session = int(block.known_ns[row]), int(block.session[row])
        touched: AbstractSet[str] = _NOBODY
        if self._requests:
            self._fulfil(int(block.label_ns[row]))
            touched = self._requests.touched(now)
        candidates = self._candidates(block, row, touched)
        consumed: dict[int, float] = {}
        served = 0
        while served < len(candidates):
            order, found = candidates[served][4:]
            served += 1
            if not order.is_terminal:
                self._serve(order, found, block, row, consumed)
            if self._awake:
                self._wake(candidates, served, block, row)
        if self._requests:
            self._fulfil(now)
        self._pricer.trail(block, row)
        if self.working:
            self._end_day(now, session)

    def _candidates(self, block: BarBlock, row: int, touched: AbstractSet[str]) -> list[_Candidate]:
        now, session = int(block.known_ns[row]), int(block.session[row])
        candidates: list[_Candidate] = []
        for age, order in enumerate(list(self.working.values())):
            # Hearing of one order may make a strategy fail, which takes its others back.
            if order.is_terminal or not self._has_arrived(order, now, session):
                continue
            found = self._pricer.price(order, block, row)
            if found is None:
                continue
            if found is MISSED:
                self._miss(order, now)
            # A request that arrives inside the bar comes after its open and before whatever else happens in it.
            elif found.phase is _AT_OPEN or order.order_id not in touched:
                candidates.append(_ranked(order, found, age, block, row))
        if len(candidates) > 1:
            candidates.sort()
            if self._families.used and self._settings.oco_same_bar == "no_fill":
                self._drop_ambiguous(candidates, now)
        return candidates

    def _serve(self, order: Order, found: FillPrice, block: BarBlock, row: int, consumed: dict[int, float]) -> None:
        column = block.columns[order.symbol]
        taken = consumed.get(column, 0.0)
        free = self._participation * float(block.volume[row, column]) - taken
        consumed[column] = taken + self._trade(order, found, free, block, row, int(block.known_ns[row]))

    def _wake(self, candidates: list[_Candidate], served: int, block: BarBlock, row: int) -> None:
        awake, self._awake = self._awake, []
        for child, spark in awake:
            if child.is_terminal or not (self._settings.allow_same_bar_exit or child.role is _FOLLOWER):
                continue
            found = self._pricer.price_after(child, spark, block, row)
            if found is not None:
                # Younger than all that was there before, and in the order in which they woke up.
                self._woken += 1
                insort(candidates, (int(found.phase), 0.0, 0, _YOUNGER + self._woken, child, found), lo=served)

    def _drop_ambiguous(self, candidates: list[_Candidate], now: int) -> None:
        reached: dict[str, list[Order]] = {}
        for phase, _, _, _, order, _ in candidates:
            if order.oco_id and phase == _AT_STOP:
                reached.setdefault(order.oco_id, []).append(order)
        for orders in reached.values():
            for order in orders if len(orders) > 1 else ():
                if not order.is_terminal:
                    self._end(order, _CANCELLED, now, "ambiguous_no_fill")


def _ranked(order: Order, found: FillPrice, age: int, block: BarBlock, row: int) -> _Candidate:
    if order.oco_id and found.phase is _AT_STOP:
        # Of two stops of a set the one nearer to the open was reached first; a tie goes to the buy (domain rule R5).
        open_ = float(block.open[row, block.columns[order.symbol]])
        return int(found.phase), abs(found.price - open_), 0 if order.side is _BUY else 1, age, order, found
    return int(found.phase), 0.0, 0, age, order, found
