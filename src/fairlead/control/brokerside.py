"""The broker's part in a live session: what it reports, how the way to it stands, and whether its books are ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fairlead.control.brokerbooks import BrokerBooks
from fairlead.control.brokerport import SessionPort
from fairlead.control.reconciling import Tell
from fairlead.control.scribe import Scribe
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order
from fairlead.data.closing import session_hours
from fairlead.engine.attendance import SessionParts
from fairlead.execution.brokers.calls import Cancel
from fairlead.execution.brokers.reports import BrokerReport, ReportKind
from fairlead.execution.brokers.venue import BrokerVenue
from fairlead.execution.brokers.words import LinkKind, LinkNotice, Snapshot
from fairlead.execution.brokers.yielding import STUCK_S
from fairlead.execution.reconciliation import ReconciliationSettings
from fairlead.execution.working import Heard, Held
from fairlead.journal import entries

_FAILED: Final = frozenset({LinkKind.DOWN, LinkKind.REFUSED})
_RESTORED: Final = frozenset({LinkKind.RESTORED, LinkKind.RESTORED_LOST})
_GOOD: Final = frozenset({LinkKind.UP, LinkKind.RESTORED, LinkKind.REMARK})
NOT_REACHED: Final = "the broker has not been reached yet"
ADOPTED: Final = "auto_sync"
"""The tag of an order that nobody gave: what it holds was found at the broker."""
DOUBLE_FILL: Final = "oco_double_fill"
STUCK: Final = "order_waits"


class BrokerSide:
    """Takes in what a broker tells, in the session's own thread.

    Parameters
    ----------
    port : SessionPort
    settings : ReconciliationSettings
    tell : callable
        Told what a comparison of the books has found.
    scribe : Scribe
    now_ns : callable
        The session's idea of now.

    Attributes
    ----------
    books : BrokerBooks
    problem : str
        Why no order may leave that adds risk; empty if it may.
    venue : BrokerVenue
    """

    def __init__(
        self, port: SessionPort, settings: ReconciliationSettings, tell: Tell, scribe: Scribe, now_ns: Callable[[], int]
    ) -> None:
        self.problem, self._is_cut = NOT_REACHED, True
        self.venue: BrokerVenue
        self.books = BrokerBooks(settings, tell, port.ask_books, lambda name: port.begin(Cancel(name)), self._adopt)
        self._port, self._scribe, self._now_ns = port, scribe, now_ns
        self._adopted = 0
        self._early: list[BrokerReport] = []
        self._parts: SessionParts | None = None

    def open_venue(self, instruments: Mapping[str, Instrument], hear: Heard, held: Held) -> BrokerVenue:
        """Open the venue of the session's orders."""
        self._multipliers = {symbol: instrument.multiplier for symbol, instrument in instruments.items()}
        self.books.is_whole = all(instrument.lot_step.is_integer() for instrument in instruments.values())
        self.books.commission_s = self._port.traits.commission_s
        hours = {symbol: session_hours(instrument.calendar) for symbol, instrument in instruments.items()}
        self.venue = BrokerVenue(self._port, instruments, hear, held, self._now_ns, hours.__getitem__)
        self.venue.double_fill = self._close_double
        self.venue.stuck = self._stuck
        return self.venue

    def begin(self, parts: SessionParts) -> list[BrokerReport]:
        """Take in the session, and return what was told before it had any data."""
        self._parts = parts
        self.books.begin(parts, self._multipliers, self.venue)
        early, self._early = self._early, []
        return early

    def hold(self, report: BrokerReport) -> None:
        """Keep what is told before there is any data."""
        self._early.append(report)

    def take(self, report: BrokerReport) -> bool:
        """Take in what is told, and return whether the connection has failed by it."""
        if report.kind is ReportKind.LINK:
            return self._link(LinkNotice(LinkKind(report.data["kind"]), report.data["ts_ns"], report.data["text"]))
        if report.kind is ReportKind.BOOKS:
            parts = self._session
            self.books.compare(Snapshot.of(report.data["snapshot"]), report.data["why"], parts.desk, self._now_ns())
        else:
            self.venue.report(report)
        return False

    def veto(self) -> str:
        """Return why no order may leave that adds risk; empty if it may."""
        if self.problem:
            return f"{self._port.name}: {self.problem}"
        if not self.books.is_known:
            return f"{self._port.name}: the books have not been held against the broker's yet"
        return ""

    def resumed(self) -> None:
        """Forget how the way stood: a restart makes it anew."""
        self.problem, self._is_cut = NOT_REACHED, True

    def caught_up(self) -> None:
        """Ask for what nobody was there to hear."""
        if self._parts is not None:
            self.venue.caught_up()

    @property
    def _session(self) -> SessionParts:
        if self._parts is None:
            raise RuntimeError("the broker is heard before the session has begun")
        return self._parts

    def _link(self, notice: LinkNotice) -> bool:
        text = notice.text or notice.kind.value
        log, kind = self._scribe.log, notice.kind
        self._scribe.write(entries.note(self._now_ns(), f"broker {kind}: {notice.text}"))
        if kind in _FAILED:
            self.problem = f"{'not accepted' if kind is LinkKind.REFUSED else 'cannot be reached'}: {text}"
            self._is_cut = True
        elif kind is LinkKind.DEGRADED:
            self.problem = self.problem if self._is_cut else text
        elif kind is LinkKind.UP or (kind in _RESTORED and not self._is_cut):
            # A line that was lost is only whole again when what was missed has been heard.
            self.problem, self._is_cut = "", False
        level = log.error if kind in _FAILED else log.info if kind in _GOOD else log.warning
        level("broker_link", message=text, kind=kind.value)
        return kind in _FAILED

    def _adopt(self, symbol: str, units: float, price: float) -> None:
        """Book what the broker holds and no execution says why, if it is plain which strategy's it is."""
        parts = self._session
        runners = list(parts.runners)
        among = [runner for runner in runners if runner.ledger.quantity(symbol)] or runners
        if symbol not in self._multipliers or len(among) > 1:
            return
        self._adopted += 1
        order = parts.desk.adopt(among[0], symbol, units, f"{ADOPTED}_{self._adopted}")
        self.venue.adopt(order, price)

    def _stuck(self, order: Order, others: Sequence[Order]) -> None:
        """Tell that what would close or protect a position cannot leave."""
        names = ", ".join(other.order_id for other in others)
        text = (
            f"{order.symbol}: {order.role or 'order'} {order.order_id} has waited for over {STUCK_S} s: the broker holds its "
            f"units for {names}, and has not said that this is cancelled. See fairlead broker orders."
        )
        facts = {"event": STUCK, "order_id": order.order_id}
        self._scribe.write(entries.note(self._now_ns(), text, facts, strategy=order.strategy, symbol=order.symbol))
        self._scribe.log.error(STUCK, message=text, strategy=order.strategy)

    def _close_double(self, order: Order, units: float) -> None:
        """Close what the second order of a set has filled before its cancel came (domain rule 4.3)."""
        parts = self._session
        (runner,) = [runner for runner in parts.runners if runner.name == order.strategy]
        text = f"{order.symbol}: {units:.12g} filled twice in one set; they are closed"
        self._scribe.write(
            entries.note(self._now_ns(), text, {"event": DOUBLE_FILL}, strategy=order.strategy, symbol=order.symbol)
        )
        self._scribe.log.error(DOUBLE_FILL, message=text, strategy=order.strategy)
        parts.desk.liquidate(runner, order.symbol, -order.side.sign * units, tag=f"{DOUBLE_FILL}_{order.update_count}")
