"""The simulated venue: working orders meet bars (architecture §4, domain rules 4.3, 6.8, 6.13)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from fairlead.core.bars import BarBlock
from fairlead.core.orders import TERMINAL, Order, OrderRole, OrderStatus, Side
from fairlead.execution.fills import FillPhase, FillPrice
from fairlead.execution.kernels import distance_rank
from fairlead.execution.pricing import MISSED
from fairlead.execution.venue import Venue

Candidate: TypeAlias = tuple[int, int, Order, FillPrice]
"""Phase, age, and what is to be served: in the order of the first two."""
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
        cells = block.cells
        now, session = cells.known_ns[row], cells.session[row]
        if len(self.working) == 1 and not (self._requests.waiting or self._families.used):
            self._meet_alone(block, row, now, session)
        else:
            touched: AbstractSet[str] = _NOBODY
            if self._requests.waiting:
                self._fulfil(cells.label_ns[row])
                touched = self._requests.touched(now)
            self._meet(list(self.working.values()), block, row, now, touched)
            if self._requests.waiting:
                self._fulfil(now)
        if self._pricer.trailing:
            self._pricer.trail(block, row)
        if self.working:
            self._end_day(now, session)

    def _meet_alone(self, block: BarBlock, row: int, now: int, session: int) -> None:
        # What `_meet` does, for an order that has nobody to be served before or after.
        (order,) = self.working.values()
        if not self._has_arrived(order, now, session):
            return
        found = self._pricer.price(order, block, row)
        if found is MISSED:
            self._miss(order, now)
        elif found is not None:
            free = self._participation * block.cells.volume[row, block.columns[order.symbol]]
            self._trade(order, found, free, block, row, now)

    def _meet(self, orders: Sequence[Order], block: BarBlock, row: int, now: int, touched: AbstractSet[str]) -> None:
        candidates = self._candidates(orders, block, row, now, touched)
        if not candidates:
            return
        columns, volume = block.columns, block.cells.volume
        consumed: dict[int, float] = {}
        served = 0
        while served < len(candidates):
            _, _, order, found = candidates[served]
            served += 1
            if order.status not in TERMINAL:
                column = columns[order.symbol]
                taken = consumed.get(column, 0.0)
                free = self._participation * volume[row, column] - taken
                consumed[column] = taken + self._trade(order, found, free, block, row, now)
            if self._awake:
                self._wake(candidates, served, block, row)

    def _candidates(
        self, orders: Sequence[Order], block: BarBlock, row: int, now: int, touched: AbstractSet[str]
    ) -> list[Candidate]:
        session = block.cells.session[row]
        price = self._pricer.price
        candidates: list[Candidate] = []
        changed = self._change(block, row, touched) if touched else {}
        for age, order in enumerate(orders):
            # Hearing of one order may make a strategy fail, which takes its others back.
            if order.status in TERMINAL or not self._has_arrived(order, now, session):
                continue
            found = price(order, block, row)
            if changed and order.order_id in changed:
                found = self._pricer.price_changed(order, *changed[order.order_id], found, block, row)
            if found is None:
                continue
            if found is MISSED:
                self._miss(order, now)
            else:
                candidates.append((found.phase, age, order, found))
        if len(candidates) > 1:
            candidates.sort()
            if self._families.used:
                self._rank_sets(candidates, block, row, now)
        return candidates

    def _change(self, block: BarBlock, row: int, touched: AbstractSet[str]) -> dict[str, tuple[FillPrice | None, int]]:
        """Let requests that arrive inside a bar reach the orders that its open does not fill: the rest of it comes after them.

        Returns where each order that was changed would have filled as it was, and when it was changed.
        """
        now, session = block.cells.known_ns[row], block.cells.session[row]
        changed: dict[str, tuple[FillPrice | None, int]] = {}
        for order in [order for order in self.working.values() if order.order_id in touched]:
            if order.is_terminal or not self._has_arrived(order, now, session):
                continue
            before = self._pricer.price(order, block, row)
            if before is None or (before is not MISSED and before.phase is not _AT_OPEN):
                changed[order.order_id] = before, self._requests.last(order, now)
                self._fulfil(now, order)
        return changed

    def _wake(self, candidates: list[Candidate], served: int, block: BarBlock, row: int) -> None:
        awake, self._awake = self._awake, []
        for child, spark in awake:
            if child.is_terminal or not (self._settings.allow_same_bar_exit or child.role is _FOLLOWER):
                continue
            now, session = block.cells.known_ns[row], block.cells.session[row]
            if self._has_expired(child, now, session):
                continue
            found = self._pricer.price_after(child, spark, block, row)
            if found is MISSED:
                self._miss(child, now)
            elif found is not None:
                # Younger than all that was there before, and in the order in which they woke up.
                self._woken += 1
                insort(candidates, (found.phase, _YOUNGER + self._woken, child, found), lo=served)

    def _rank_sets(self, candidates: list[Candidate], block: BarBlock, row: int, now: int) -> None:
        reached: dict[str, list[int]] = {}
        for place, (phase, _, order, _) in enumerate(candidates):
            if order.oco_id and phase == _AT_STOP:
                reached.setdefault(order.oco_id, []).append(place)
        for places in reached.values():
            if len(places) < 2:
                continue
            stops = [(order, found) for _, _, order, found in (candidates[place] for place in places)]
            if self._settings.oco_same_bar == "no_fill":
                for order, _ in stops:
                    if not order.is_terminal:
                        self._end(order, _CANCELLED, now, "ambiguous_no_fill")
                continue
            # They change places among each other: to be in a set moves nobody else in the queue.
            stops.sort(key=lambda stop: _reached_first(stop[0], stop[1], block, row))
            for place, (order, found) in zip(places, stops, strict=True):
                candidates[place] = (candidates[place][0], candidates[place][1], order, found)


def _reached_first(order: Order, found: FillPrice, block: BarBlock, row: int) -> tuple[int, int]:
    # Of two stops of a set the one nearer to the open was reached first; a tie goes to the buy (domain rule R5).
    open_ = block.cells.open[row, block.columns[order.symbol]]
    return distance_rank(found.price, open_), 0 if order.side is _BUY else 1
