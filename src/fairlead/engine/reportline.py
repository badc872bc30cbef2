"""The way of a report from the simulated venue to the order desk, in sessions in real time: account, channel, inlet, desk.

A backtest has none of it: there the venue tells the desk itself. Here the two know different things for as long as a report is
on its way, as with a broker, and what each of them knows can be held against the other.

The venue changes an `Order` as it goes, and then tells of it. A report that is late is only told late: whoever looks at the
order itself sees it as it is at the venue, while ledger, record and strategies have what was told. With a broker the order
changes when the report comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from fairlead.core.bars import BarBlock
from fairlead.core.fills import Fill
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderUpdate
from fairlead.execution.reports import Report, ReportInlet
from fairlead.execution.tally import Tally
from fairlead.execution.working import Heard


class Channel(Protocol):
    """Carries reports; it may delay, repeat, reorder and lose them."""

    def send(self, report: Report) -> Iterable[Report]:
        """Take a report, and return what arrives at once."""

    def rest(self) -> Iterable[Report]:
        """Return what arrives before the instant is over; asked again until nothing does."""


class StraightChannel:
    """Carries each report at once."""

    def send(self, report: Report) -> Iterable[Report]:
        """Return the report."""
        return (report,)

    def rest(self) -> Iterable[Report]:
        """Return nothing."""
        return ()


class ReportLine:
    """Stands between a venue and a desk.

    Parameters
    ----------
    channel : Channel, optional

    Attributes
    ----------
    account : Tally
        What the venue knows.
    inlet : ReportInlet
    is_whole : bool
        Whether every symbol trades in whole units.
    """

    def __init__(self, channel: Channel | None = None) -> None:
        self.account = Tally()
        self.inlet = ReportInlet()
        self.multipliers: Mapping[str, float] = {}
        self.is_whole = True
        self._channel = channel or StraightChannel()
        self._hear: Heard
        self._untold: dict[tuple[str, int], Report] = {}
        self._ahead: dict[tuple[str, int], Fill] = {}

    def connect(self, hear: Heard, instruments: Mapping[str, Instrument]) -> Heard:
        """Take in who is to hear, and return what the venue is to tell."""
        self._hear = hear
        self.multipliers = {symbol: instrument.multiplier for symbol, instrument in instruments.items()}
        self.is_whole = all(instrument.lot_step.is_integer() for instrument in instruments.values())
        self.account = Tally(self.multipliers)
        return self._told

    def close(self) -> None:
        """Let go of who heard, after the end of a run."""
        del self._hear

    def note(self, order: Order, update: OrderUpdate, fill: Fill | None) -> None:
        """Take in what the desk itself says of an order that works: it has its place among the venue's reports."""
        self._take(Report(order, update, fill))

    def settling(self, match: Callable[[BarBlock, int], None]) -> Callable[[BarBlock, int], None]:
        """Return `match`, followed by the arrival of what it caused."""

        def settled(block: BarBlock, row: int) -> None:
            match(block, row)
            self.settle()

        return settled

    def settle(self) -> None:
        """Let everything arrive that arrives in this instant."""
        while reports := tuple(self._channel.rest()):
            for report in reports:
                self._take(report)

    def resend(self) -> None:
        """Ask the venue again for what it has told and nobody has heard, and hear it now, in the order in which it happened."""
        for key, report in list(self._untold.items()):
            # What is held already comes by itself, once the gap before it is closed.
            if key in self._untold and not self.inlet.holds(*key):
                self._take(report)

    @property
    def unheard(self) -> Sequence[Fill]:
        """The fills that the venue has made and no ledger has yet, in the order in which they happened."""
        return tuple(self._ahead.values())

    def ahead(self, strategy: str) -> Sequence[Fill]:
        """Return the fills of a strategy that the venue has made and its ledger does not have yet."""
        if not self._ahead:
            return ()
        return [fill for fill in self._ahead.values() if fill.strategy == strategy]

    def _told(self, order: Order, update: OrderUpdate, fill: Fill | None) -> None:
        report = Report(order, update, fill)
        self.account.changed(order, update)
        self._untold[report.key] = report
        if fill is not None:
            self.account.filled(fill)
            self._ahead[report.key] = fill
        for arrived in self._channel.send(report):
            self._take(arrived)

    def _take(self, report: Report) -> None:
        for passed in self.inlet.take(report):
            # Before it is heard: hearing of it may make the venue ask what is held.
            self._untold.pop(passed.key, None)
            self._ahead.pop(passed.key, None)
            hear = self._hear
            hear(*passed)
