"""When a session's books are held against the venue's, and what becomes of a difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from fairlead.control.deskbooks import DeskBooks
from fairlead.control.gauges import SessionGauges
from fairlead.core.bars import Cursor
from fairlead.core.time import format_utc
from fairlead.engine.attendance import SessionParts
from fairlead.engine.desk import OrderDesk
from fairlead.engine.reportline import ReportLine
from fairlead.execution.reconciliation import (
    FRACTIONAL_TOLERANCE,
    Difference,
    Reconciliation,
    ReconciliationSettings,
    compare,
    is_strict,
)
from fairlead.journal import Entry, entries
from fairlead.telemetry.logs import Log

_START: Final = "start"
_SCHEDULE: Final = "schedule"
_RECONNECTED: Final = "the feed is back"
_REARM: Final = "re-arm"
_END: Final = "end"
_NONE: Final = Reconciliation(ts_ns=0, why=_START, mode="strict")
Tell: TypeAlias = Callable[[Reconciliation, Sequence[Difference]], None]
"""Given what was found, and what of it was not found the time before."""


class Reconciler:
    """Holds the books of the desk against the venue's: at the start, now and then, after the feed was gone, before a re-arm.

    What it does depends on what comes into the loop alone: no clock is read.

    Parameters
    ----------
    line : ReportLine
        Knows what the venue has told.
    settings : ReconciliationSettings
    tell : callable
        Called if there is news.

    Attributes
    ----------
    last : Reconciliation
    """

    def __init__(self, line: ReportLine, settings: ReconciliationSettings, tell: Tell) -> None:
        self.last = _NONE
        self._line, self._settings, self._tell = line, settings, tell
        self._ours = DeskBooks({})
        self._instants = 0
        self._is_due = False
        self._overtaken: set[str] = set()

    @property
    def mismatches(self) -> int:
        """Differences that were found last, and are not there for information alone."""
        return self.last.mismatches

    @property
    def is_strict(self) -> bool:
        """Whether they halt."""
        return self.last.is_strict

    def begin(self, desk: OrderDesk, now_ns: int) -> None:
        """Take in the session, before its strategies start."""
        self._ours = DeskBooks(self._line.multipliers)
        self._look(desk, now_ns, _START)

    def reconnected(self) -> None:
        """Look at the next instant, before anything is decided: while the feed was gone, anything may have happened."""
        self._is_due = True

    def instant(self, parts: SessionParts, now_ns: int) -> None:
        """Hear what is on its way, and look if it is time to."""
        self._line.settle()
        self._note_actions(parts.cursor, now_ns)
        self._instants += 1
        if self._is_due:
            self._look(parts.desk, now_ns, _RECONNECTED)
        elif self._instants % self._settings.every == 0:
            self._look(parts.desk, now_ns, _SCHEDULE)

    def agrees(self, desk: OrderDesk | None, now_ns: int) -> bool:
        """Look, and return whether the books agree; without a desk nothing can have happened since the last time."""
        if desk is not None:
            self._line.settle()
            self._look(desk, now_ns, _REARM)
        return self.last.is_clean

    def end(self, desk: OrderDesk, now_ns: int) -> None:
        """Look for the last time; the books are closed, so nothing is booked any more."""
        self._line.settle()
        self._look(desk, now_ns, _END)

    def to_dict(self) -> dict[str, Any]:
        """Return how the books stand, as an operator is told it."""
        looked = format_utc(self.last.ts_ns) if self.last.ts_ns else None
        differences = [difference.text for difference in self.last.differences]
        return {"mode": self._settings.mode, "at": looked, "differences": differences, "waiting": dict(self.last.waiting)}

    def _note_actions(self, cursor: Cursor, now_ns: int) -> None:
        """Note which fills missed a corporate action of their symbol: the ledger that books them now would be a wrong one."""
        symbols = {effective.action.symbol for effective in cursor.block.actions if effective.row == cursor.row}
        if symbols:
            missed = (fill for fill in self._line.unheard if fill.symbol in symbols and fill.ts_ns < now_ns)
            self._overtaken.update(fill.fill_id for fill in missed)

    def _may_book(self) -> bool:
        is_overtaken = self._overtaken and any(fill.fill_id in self._overtaken for fill in self._line.unheard)
        return self._settings.mode == "auto_sync" and not is_overtaken

    def _look(self, desk: OrderDesk, now_ns: int, why: str) -> None:
        before, mode = self.last, self._settings.mode
        self._is_due = False
        found, settled = self._compared(desk), tuple[Difference, ...]()
        if found and why != _END and self._may_book():
            self._line.resend()
            left = self._compared(desk)
            settled, found = tuple(difference for difference in found if difference not in left), left
        self.last = Reconciliation(
            ts_ns=now_ns, why=why, mode=mode, differences=found, settled=settled, waiting=self._line.inlet.waiting
        )
        in_a_row = 0 if self.last.is_clean else before.in_a_row + 1
        # At the end nothing can be booked: whoever believes the broker has nothing to investigate.
        halts = is_strict(mode, in_a_row, at_start=why == _START) and not (why == _END and mode == "auto_sync")
        self.last = replace(self.last, in_a_row=in_a_row, is_strict=halts)
        is_news = found != before.differences or (bool(found) and (why == _REARM or halts != before.is_strict))
        if settled or is_news:
            fresh = (*settled, *(difference for difference in found if difference not in before.differences))
            self._tell(self.last, fresh)

    def _compared(self, desk: OrderDesk) -> tuple[Difference, ...]:
        self._ours.read(desk)
        ours, theirs = self._ours.tally.books(), self._line.account.books()
        if ours.fills == theirs.fills:
            self._ours.tally.agreed()
            self._line.account.agreed()
        return compare(ours, theirs, quantity_tolerance=self._tolerance, cash_tolerance=self._settings.cash_tolerance)

    @property
    def _tolerance(self) -> float:
        given = self._settings.quantity_tolerance
        if given is not None:
            return given
        return 0.0 if self._line.is_whole else FRACTIONAL_TOLERANCE


def tell(
    found: Reconciliation,
    fresh: Sequence[Difference],
    write: Callable[[Entry], None],
    log: Log,
    gauges: SessionGauges | None,
) -> None:
    """Journal, log and count what a reconciliation has found."""
    write(entries.reconciliation(found.ts_ns, found.to_dict()))
    calm = log.warning if found.settled or found.differences else log.info
    say = log.error if found.mismatches and found.is_strict else calm
    say("reconciliation", message="; ".join(found.lines()) or "the books agree again", why=found.why)
    if gauges is not None:
        gauges.differed(fresh)
