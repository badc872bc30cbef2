"""Ways from a venue to a desk that are not straight, and an attendant that has one and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from fairlead.core.orders import OrderUpdate
from fairlead.engine.attendance import SessionParts
from fairlead.engine.record import RunRecord
from fairlead.engine.reportline import Channel, ReportLine
from fairlead.execution.reports import Report


class Scrambled:
    """Lets reports wait, come twice and overtake each other within an instant."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._waiting: list[Report] = []
        self.again = 0

    def send(self, report: Report) -> Iterable[Report]:
        copies = self._dice.choice((1, 1, 2, 3))
        self.again += copies - 1
        self._waiting += [report] * copies
        return self._some(self._dice.random() * 0.5)

    def rest(self) -> Iterable[Report]:
        return self._some(1.0)

    def _some(self, share: float) -> list[Report]:
        self._dice.shuffle(self._waiting)
        count = round(share * len(self._waiting))
        arrived, self._waiting = self._waiting[:count], self._waiting[count:]
        return arrived


class Losing:
    """Loses the reports that a test says."""

    def __init__(self, is_lost: Callable[[Report], bool]) -> None:
        self._is_lost = is_lost
        self.lost: list[Report] = []
        self.late: list[Report] = []
        """What a test puts here arrives after all."""

    def send(self, report: Report) -> Iterable[Report]:
        if self._is_lost(report):
            self.lost.append(report)
            return ()
        return (report,)

    def rest(self) -> Iterable[Report]:
        late, self.late[:] = tuple(self.late), ()
        return late


class Onlooker:
    """Attends a session and changes nothing, but that its reports take such a way."""

    def __init__(self, channel: Channel | None = None) -> None:
        self.line = ReportLine(channel)
        self.ledgers: dict[str, tuple[float, dict[str, float]]] = {}
        self.parts: SessionParts | None = None

    def begin(self, parts: SessionParts) -> None:
        self.parts = parts

    def instant(self, row: int) -> None:
        self.line.settle()

    def wanted(self, runner, intents):
        return intents

    def acted(self, runner):
        pass

    def veto(self, strategy: str, *, only_reduces: bool) -> str | None:
        return None

    def end(self) -> None:
        self.line.settle()
        for runner in self.parts.runners:
            held = {symbol: p.quantity for symbol, p in sorted(runner.ledger.positions.items()) if p.quantity}
            self.ledgers[runner.name] = runner.ledger.cash, held


def by_order(updates: Sequence[OrderUpdate]) -> dict[str, list[OrderUpdate]]:
    """The updates of each order, in the order in which they were told."""
    told: dict[str, list[OrderUpdate]] = {}
    for update in updates:
        told.setdefault(update.order_id, []).append(update)
    return told


def same_life(found: RunRecord, expected: RunRecord) -> None:
    """Both runs made the same orders, told of each the same in the same order, and filled the same, each fill once."""
    assert [o.order_id for o in found.orders] == [o.order_id for o in expected.orders]
    assert [(o.status, o.filled_quantity, o.reason) for o in found.orders] == [
        (o.status, o.filled_quantity, o.reason) for o in expected.orders
    ]
    assert by_order(found.updates) == by_order(expected.updates)
    assert sorted(found.fills) == sorted(expected.fills)
