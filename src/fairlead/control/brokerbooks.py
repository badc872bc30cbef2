"""A session's books held against a real broker's: ledger, broker and executions, three ways (domain rules 8.14, 14.6).

The broker's side comes as an answer that was on its way while things went on happening. So what differs once is asked again,
and counts when it is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final, Protocol, TypeAlias

from fairlead.control.deskbooks import DeskBooks
from fairlead.control.gaps import Gap, StandingGaps
from fairlead.control.reconciling import Tell
from fairlead.core.orders import OrderStatus
from fairlead.core.time import NS_PER_SECOND, format_utc
from fairlead.engine.attendance import SessionParts
from fairlead.engine.desk import OrderDesk
from fairlead.execution.brokers.accounting import EVERYBODY, books_of, standing, together
from fairlead.execution.brokers.words import Snapshot
from fairlead.execution.reconciliation import (
    FRACTIONAL_TOLERANCE,
    Difference,
    DifferenceKind,
    Reconciliation,
    ReconciliationSettings,
    compare,
    is_strict,
)
from fairlead.execution.tally import Books, Holding, WorkingOrder

Adopt: TypeAlias = Callable[[str, float, float], None]

CONFIRM: Final = "again"
SCHEDULE: Final = "schedule"
REARM: Final = "re-arm"
END: Final = "end"
START: Final = "start"
_ORPHAN: Final = DifferenceKind.ORPHAN_ORDER
_HELD: Final = frozenset({DifferenceKind.QUANTITY_MISMATCH, DifferenceKind.MISSING_LOCAL, DifferenceKind.MISSING_BROKER})
_EXECUTED: Final = frozenset({DifferenceKind.MISSED_FILL, DifferenceKind.UNKNOWN_FILL, DifferenceKind.FILL_MISMATCH})
_MOST_CROSSED: Final = 20
"""So many answers in a row may have crossed an execution before what they differ in counts all the same."""
_PLACES: Final = 9
"""To so many decimals units differ: a sum of parts has other last bits each time."""
_UNHEARD: Final = frozenset({OrderStatus.PENDING, OrderStatus.SUBMITTED, OrderStatus.PENDING_CANCEL})


class Heard(Protocol):
    """Who knows what a broker has told."""

    def booked_as(self, execution_id: str) -> str | None:
        """Return under which name an execution is booked; None if it counts no more."""

    def is_ending(self, order_id: str) -> bool:
        """Return whether an order is over, and executions before that are still to come."""


class BrokerBooks:
    """Compares, whenever the broker's books come; asks for them now and then.

    Parameters
    ----------
    settings : ReconciliationSettings
    tell : callable
        Called if there is news.
    ask : callable
        Asks the broker for its books, and says what for.
    cancel : callable
        Takes back an order at the broker that is in nobody's books.
    adopt : callable
        Books so many signed units of a symbol at a price, as the broker holds them and no execution says why; what cannot be
        booked stays a difference.

    Attributes
    ----------
    last : Reconciliation
    is_whole : bool
        Whether every symbol trades in whole units.
    is_known : bool
        Whether the broker's books have been seen at all.
    commission_s : float
        How long after an execution its commission may be told: until then cash says nothing.
    """

    def __init__(
        self,
        settings: ReconciliationSettings,
        tell: Tell,
        ask: Callable[[str], None],
        cancel: Callable[[str], None],
        adopt: Adopt,
    ) -> None:
        self.last = Reconciliation(ts_ns=0, why=START, mode=settings.mode)
        self.is_known = False
        self.commission_s = 0.0
        self.is_whole = True
        self._is_last_asked = self._is_last_known = False
        self._settings, self._tell, self._ask, self._cancel, self._adopt = settings, tell, ask, cancel, adopt
        self._ours = DeskBooks({})
        self._heard: Heard
        self._opening_cash: float | None = None
        self._instants = 0
        self._doubtful: frozenset[str] = frozenset()
        self._doubted_ns = 0
        self._crossed, self._is_asked = 0, False
        self._standing = StandingGaps(settings.stands_s)

    @property
    def mismatches(self) -> int:
        """Differences that were found last, and are not there for information alone."""
        return self.last.mismatches

    @property
    def is_strict(self) -> bool:
        """Whether they halt."""
        return self.last.is_strict

    def begin(self, parts: SessionParts, multipliers: dict[str, float], heard: Heard) -> None:
        """Take in the session, and who knows what has been heard."""
        self._heard = heard
        self._ours = DeskBooks(multipliers)
        self._ours.read(parts.desk)

    def instant(self) -> None:
        """Ask, if it is time to."""
        self._instants += 1
        if self._instants % self._settings.every == 0:
            self._ask(SCHEDULE)

    def is_last_awaited(self) -> bool:
        """Ask for the last time, if that has not been done, and return whether the answer is still to come."""
        if not self._is_last_asked:
            self._is_last_asked = True
            self._ask(END)
        return not self._is_last_known

    def agrees(self) -> bool:
        """Return whether the books agreed when they were last compared, and have them compared once more."""
        self._ask(REARM)
        return self.is_known and self.last.is_clean and not self._standing.look_ns

    def is_due(self, now_ns: int) -> bool:
        """Return whether a position has differed for so long by now that it is to be looked at once more."""
        return self._standing.is_due(now_ns)

    def pass_time(self, now_ns: int) -> None:
        """Ask for the books if `is_due`."""
        if self.is_due(now_ns):
            self._standing.asked(now_ns)
            self._confirm()

    def compare(self, snapshot: Snapshot, why: str, desk: OrderDesk, now_ns: int) -> None:
        """Hold our books against what the broker shows."""
        before, mode = self.last, self._settings.mode
        found = self._compared(snapshot, desk)
        if self._awaits_commission(desk, now_ns):
            found = tuple(difference for difference in found if difference.kind is not DifferenceKind.CASH_MISMATCH)
        doubtful = frozenset(difference.text for difference in found if difference.kind is not DifferenceKind.PRICE_MISMATCH)
        is_older = snapshot.ts_ns < self._doubted_ns or (snapshot.ts_ns == self._doubted_ns and why != CONFIRM)
        if doubtful and self._doubtful and is_older:
            return  # asked for before anything was in doubt, it confirms nothing: what was asked for then is on its way
        if doubtful and self._crossed < _MOST_CROSSED and desk.fills and desk.fills[-1].ts_ns > snapshot.ts_ns:
            # An execution was booked while the answer was on its way: positions may be of before it, and cash of after.
            self._crossed += 1
            if why == CONFIRM or not self._is_asked:
                self._confirm()
            return
        self._crossed, self._is_asked = 0, False
        # What an execution explains, or should, is not explained away.
        believes = mode == "auto_sync" and not any(difference.kind in _EXECUTED for difference in found)
        self._standing.seen(self._gaps(found, snapshot, desk) if believes else (), now_ns)
        # Only where nothing was ever ordered can nothing have happened while the answer was on its way.
        if doubtful and (self.is_known or desk.orders) and not doubtful & self._doubtful:
            self._doubtful, self._doubted_ns = doubtful, now_ns
            self._confirm()
            return
        self._doubtful = doubtful
        may_come = bool(desk.orders) and not self._is_last_asked
        if may_come and self._standing.are_awaited(now_ns):
            return
        self.is_known = True
        settled: tuple[Difference, ...] = ()
        if believes and doubtful and (not may_come or self._standing.have_stood(now_ns)):
            left = self._believed(found, snapshot, desk)
            settled, found = tuple(difference for difference in found if difference not in left), left
        self._is_last_known = self._is_last_asked and why in {END, CONFIRM}
        self._ours.tally.agreed()
        self.last = Reconciliation(ts_ns=now_ns, why=why, mode=mode, differences=found, settled=settled)
        in_a_row = 0 if self.last.is_clean else before.in_a_row + 1
        halts = is_strict(mode, in_a_row, at_start=not before.ts_ns)
        self.last = replace(self.last, in_a_row=in_a_row, is_strict=halts)
        self._take_back(found)
        if settled or found != before.differences or (found and halts != before.is_strict):
            fresh = tuple(difference for difference in found if difference not in before.differences)
            self._tell(self.last, (*settled, *fresh))

    def to_dict(self) -> dict[str, Any]:
        """Return how the books stand, as an operator is told it."""
        looked = format_utc(self.last.ts_ns) if self.last.ts_ns else None
        differences = [difference.text for difference in self.last.differences]
        return {"mode": self._settings.mode, "at": looked, "differences": differences, "waiting": {}}

    @property
    def _tolerance(self) -> float:
        given = self._settings.quantity_tolerance
        if given is not None:
            return given
        return 0.0 if self.is_whole else FRACTIONAL_TOLERANCE

    def _awaits_commission(self, desk: OrderDesk, now_ns: int) -> bool:
        since_ns = now_ns - round(self.commission_s * NS_PER_SECOND)
        recent = takewhile(lambda fill: fill.ts_ns >= since_ns, reversed(desk.fills))
        return self.commission_s > 0.0 and any(fill.commission == 0.0 for fill in recent)

    def _confirm(self) -> None:
        self._is_asked = True
        self._ask(CONFIRM)

    def _compared(self, snapshot: Snapshot, desk: OrderDesk) -> tuple[Difference, ...]:
        ours, theirs = self._both(snapshot, desk)
        return compare(ours, theirs, quantity_tolerance=self._tolerance, cash_tolerance=self._settings.cash_tolerance)

    def _believed(self, found: tuple[Difference, ...], snapshot: Snapshot, desk: OrderDesk) -> tuple[Difference, ...]:
        """Believe the broker, and return what is left: its positions are booked, and its cash is what is counted from."""
        for (symbol, units), price in self._gaps(found, snapshot, desk).items():
            self._adopt(symbol, units, price)
        left = self._compared(snapshot, desk)
        if any(difference.kind in _HELD for difference in left):
            return left
        self._opening_cash = None
        return self._compared(snapshot, desk)

    def _gaps(self, found: tuple[Difference, ...], snapshot: Snapshot, desk: OrderDesk) -> dict[Gap, float]:
        """Return what the broker holds more of each symbol, and at which average price."""
        ours, theirs = self._both(snapshot, desk)
        nothing, gaps = Holding(0.0, 0.0), {}
        for symbol in [difference.symbol for difference in found if difference.kind in _HELD]:
            mine, held = ours.positions.get((EVERYBODY, symbol), nothing), theirs.positions.get((EVERYBODY, symbol), nothing)
            gaps[symbol, round(held.quantity - mine.quantity, _PLACES)] = held.average_price or mine.average_price
        return gaps

    def _both(self, snapshot: Snapshot, desk: OrderDesk) -> tuple[Books, Books]:
        self._ours.read(desk)
        ours = together(self._ours.tally.books())
        spent = sum(ours.cash.values())
        if self._opening_cash is None:
            self._opening_cash = snapshot.account.cash - spent
        theirs = books_of(snapshot, self._ours.orders.get, snapshot.account.cash - self._opening_cash)
        # Of what has left a moment ago the broker's word is on its way, or being asked for.
        ours, theirs = (replace(books, orders=self._heard_of(books.orders)) for books in (ours, theirs))
        fills = standing(ours.fills)
        # A broker keeps executions for as long as it does: what it shows must be booked, and what is booked as it shows it.
        booked = {fill.execution_id for fill in self._ours.tally.fills.values()}
        named = {place: fill for name, fill in theirs.fills.items() if (place := self._heard.booked_as(name)) is not None}
        shown = {name: fill for name, fill in named.items() if name in fills or name not in booked}
        mine = {name: fill for name, fill in fills.items() if name in named}
        ours = Books(positions=ours.positions, cash=ours.cash or {"": 0.0}, orders=ours.orders, fills=mine)
        return ours, Books(positions=theirs.positions, cash=theirs.cash, orders=theirs.orders, fills=shown)

    def _heard_of(self, orders: Mapping[str, WorkingOrder]) -> dict[str, WorkingOrder]:
        told = self._ours.tally.last
        unheard = {name for name in orders if name in self._ours.orders and (name not in told or told[name].status in _UNHEARD)}
        return {name: order for name, order in orders.items() if name not in unheard and not self._heard.is_ending(name)}

    def _take_back(self, found: tuple[Difference, ...]) -> None:
        if self._settings.mode != "strict":
            return
        for difference in found:
            if difference.kind is _ORPHAN:
                self._cancel(difference.subject.removeprefix("order "))
