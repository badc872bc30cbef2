"""The inlet for a broker's reports: each is passed on once and in its order's order, however it comes (domain rule 12.3).

Brokers and the wires to them tell things twice and late. What stands behind the inlet never sees that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from fairlead.core.fills import Fill
from fairlead.core.orders import TERMINAL, Order, OrderUpdate
from fairlead.data.live.sequencing import Sequencer

_FIRST: Final = 1
"""The number of an order's first report."""


class Report(NamedTuple):
    """What a broker says of an order.

    Parameters
    ----------
    order : Order
        Ours: found by the reference that the broker gives back.
    update : OrderUpdate
        What has become of it. Its `seq` numbers the reports of this order 1, 2, 3, ...
    fill : Fill, optional
        The execution that brought it about.
    """

    order: Order
    update: OrderUpdate
    fill: Fill | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Order and number: two reports with the same key are one."""
        return self.update.order_id, self.update.seq


class ReportInlet:
    """Takes reports in any order and any number of times; gives each out once, those of an order by their numbers.

    What comes too early is held until the gap before it is closed. A fill whose `fill_id` was given out before is taken off
    its report: a broker may tell an execution again under another number. Of different orders, whatever comes first is first.

    Attributes
    ----------
    duplicates : int
        Reports and fills that came again.
    """

    def __init__(self) -> None:
        self.duplicates = 0
        self._open: dict[str, Sequencer[Report]] = {}
        self._over: dict[str, int] = {}
        self._ready: deque[Report] = deque()
        self._fills: set[str] = set()

    def take(self, report: Report) -> Iterator[Report]:
        """Take in a report, and return what can be passed on now, in order; it must be walked to its end.

        Whoever acts on one report may cause the next, and have it taken before this walk goes on: the inner walk then brings
        what is left of the outer one first.
        """
        order_id, number = report.key
        if number < self._over.get(order_id, _FIRST):
            self.duplicates += 1
            return self._walk()
        reports = self._open.get(order_id)
        if reports is None:
            reports = self._open[order_id] = Sequencer(self._over.pop(order_id, _FIRST))
        known = reports.duplicates
        self._ready.extend(reports.accept(number, report))
        self.duplicates += reports.duplicates - known
        self._forget(order_id, reports)
        return self._walk()

    def holds(self, order_id: str, number: int) -> bool:
        """Whether a report has come and waits for one before it."""
        reports = self._open.get(order_id)
        return reports is not None and reports.holds(number)

    @property
    def waiting(self) -> Mapping[str, int]:
        """Orders of which something has come too early, and the number of the report that they wait for."""
        gaps = ((order_id, reports.missing) for order_id, reports in self._open.items())
        return {order_id: missing.first for order_id, missing in sorted(gaps) if missing is not None}

    def _walk(self) -> Iterator[Report]:
        while self._ready:
            yield self._once(self._ready.popleft())

    def _once(self, report: Report) -> Report:
        if report.fill is None:
            return report
        fill_id = report.fill.fill_id
        if fill_id in self._fills:
            self.duplicates += 1
            return report._replace(fill=None)
        self._fills.add(fill_id)
        return report

    def _forget(self, order_id: str, reports: Sequencer[Report]) -> None:
        # Of an order that is over a number is enough: it tells a report that comes again from news.
        last = self._ready[-1] if self._ready else None
        if last is not None and last.update.order_id == order_id and last.update.status in TERMINAL and not reports.held:
            del self._open[order_id]
            self._over[order_id] = reports.expected
