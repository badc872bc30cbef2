"""What a feed brings, put together by instant: what came, in the order in which it came, decides, and nothing else.

A session gathers while its feed goes on, a recording is gathered when it is read: one class, so that both find the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_SECOND, BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.aggregation import BarBuilder
from fairlead.data.live.feed import FeedNotice, MarketEvent, NoticeKind, Received
from fairlead.data.live.settings import AggregationSettings

GRACE_S: Final = 2.0
_AT_THE_END: Final = 2**62
"""An instant that everything precedes: when nothing more comes, every bar is over."""

Instant: TypeAlias = dict[int, Bar]
"""The bars of one instant, by column."""


class GatheringRule(Settings):
    """What decides how the events of a feed become instants.

    Parameters
    ----------
    bar_size : BarSize
        Of the bars that come or are made.
    calendar : str
        The exchange's.
    symbols : tuple of str
        Sorted; an instant at which each has a bar is complete.
    grace_s : float
        Seconds to wait for the rest of an instant once some of it is there; infinite where later ones are sure to come.
    aggregate : AggregationSettings, optional
        Bars are made of what comes; None if they come as they are.
    """

    bar_size: BarSize
    calendar: str = Field(min_length=1)
    symbols: tuple[str, ...] = ()
    grace_s: float = Field(default=GRACE_S, ge=0, allow_inf_nan=True)
    aggregate: AggregationSettings | None = None


class Gathering:
    """Puts what a feed brings together by instant.

    An instant is over when every symbol has its bar, when a bar of a later one comes, or when nothing has come for
    `GatheringRule.grace_s`: by the stamps of receipt, or by a wait (`silence`). Bars that are made are there when their
    closing instant has passed, by the stamps of what comes or by a wait. While the feed is disconnected a wait says nothing:
    what is missing may be brought later. What comes when its instant is over is late: it is counted and told, and not used.

    Parameters
    ----------
    rule : GatheringRule

    Attributes
    ----------
    late : int
        Bars that were late.
    over_ns : int
        The newest instant that is over.

    Raises
    ------
    ConfigurationError
        If bars are to be made that are not intraday.
    UnknownName
        If there is no such calendar.
    """

    def __init__(self, rule: GatheringRule) -> None:
        self.late = 0
        self.over_ns = 0
        self._rule = rule
        self._grace_ns = rule.grace_s * NS_PER_SECOND
        self._columns = {symbol: i for i, symbol in enumerate(rule.symbols)}
        self._foreign: set[str] = set()
        self._late_parts = 0
        self._builder: BarBuilder | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what is not over: whoever gathered it has ended, and what was missing then is brought again."""
        rule = self._rule
        self._pending: Instant = {}
        self._newest_ns = 0  # when the newest bar was received
        self._waited_s = 0.0  # how long nothing has come since, in waits
        self._heard_ns = 0  # when anything was received
        self._still_s = 0.0
        self._market_ns = 0  # the newest stamp of the exchange
        self._is_down = False
        if rule.aggregate is not None:
            self._late_parts = self.late_parts
            self._builder = BarBuilder(rule.bar_size, ExchangeCalendar.get(rule.calendar), rule.aggregate)

    def go_on_after(self, instant: Instant) -> None:
        """Take an instant for over that another gathering has put together."""
        self.over_ns = _stamp(instant)

    @property
    def late_parts(self) -> int:
        """Trades, quotes or shorter bars that came when their bar was over."""
        return self._late_parts + (0 if self._builder is None else self._builder.late)

    def take(self, received: Received) -> list[Instant | FeedNotice]:
        """Take what came next, and return the instants that are over now, and notices of what is not used, in their order."""
        event, received_ns = received
        found: list[Instant | FeedNotice] = []
        if self._pending and not self._is_down and self._has_waited(received_ns):
            found += self._finish(self._pending_until, received_ns)
        self._heard_ns, self._still_s = received_ns, 0.0
        if isinstance(event, FeedNotice):
            found += self._hear(event, received_ns)
        elif self._builder is not None:
            found += self._build(self._builder, event, received_ns)
        elif isinstance(event, Bar):
            found += self._add(event, received_ns)
        return found

    def silence(self, seconds: float) -> Received | None:
        """Learn that nothing has come for so many seconds more.

        Returns
        -------
        Received or None
            If something is over by that, the mark of it: to be taken, and kept, as if it had come.
        """
        self._waited_s += seconds
        self._still_s += seconds
        if self._is_down:
            return None
        due_ns = None if self._builder is None else self._builder.due_ns
        # Time goes on from the exchange's newest stamp, whatever the clock of this machine says of it.
        if due_ns is not None and due_ns + self._grace_ns <= self._market_ns + self._still_s * NS_PER_SECOND:
            return self._mark(due_ns)
        return self._mark(self._pending_until) if self._pending and self._waited_s >= self._rule.grace_s else None

    def closed(self) -> Received | None:
        """Learn that nothing more will come, though no feed has said so; return as `silence` does."""
        return self._mark(self._pending_until) if self._pending else None

    @property
    def _pending_until(self) -> int:
        """What a builder's time must be for all the rest of the current instant to be made."""
        return _stamp(self._pending) + (0 if self._builder is None else self._builder.grace_ns)

    def _begin_wait(self, received_ns: int) -> None:
        # A clock that was put back says nothing about how long ago something came.
        self._newest_ns, self._waited_s = max(self._newest_ns, received_ns), 0.0

    def _has_waited(self, received_ns: int) -> bool:
        waited_ns = received_ns - self._newest_ns
        return waited_ns >= self._grace_ns and waited_ns > 0

    def _finish(self, until_ns: int, received_ns: int) -> list[Instant | FeedNotice]:
        """Return what is over when nothing more comes until an instant."""
        made = [] if self._builder is None else self._builder.advance(until_ns)
        return [*self._add_all(made, received_ns), *self._rest()]

    def _mark(self, until_ns: int) -> Received:
        waited_ns = round(self._still_s * NS_PER_SECOND)
        return Received(FeedNotice(NoticeKind.QUIET, until_ns), self._heard_ns + waited_ns)

    def _hear(self, notice: FeedNotice, received_ns: int) -> list[Instant | FeedNotice]:
        match notice.kind:
            case NoticeKind.DISCONNECTED:
                self._is_down = True
            case NoticeKind.CONNECTED:
                # What was missed is asked for now: it gets as long as if it had just become late.
                self._is_down = False
                self._begin_wait(received_ns)
            case NoticeKind.QUIET | NoticeKind.ENDED:
                return self._finish(notice.known_ns if notice.kind is NoticeKind.QUIET else _AT_THE_END, received_ns)
        return []

    def _build(self, builder: BarBuilder, event: MarketEvent, received_ns: int) -> list[Instant | FeedNotice]:
        self._market_ns = max(self._market_ns, event.known_ns)
        late = builder.late
        found = self._add_all(builder.add(event), received_ns)
        if self._pending and _stamp(self._pending) <= builder.passed_ns:
            found += self._rest()
        # The 1st, 2nd, 4th, ...: a feed that is always late must not fill a journal.
        if builder.late > late and (count := self.late_parts) & (count - 1) == 0:
            kind = type(event).__name__.lower()
            text = f"{event.symbol}: a {kind} came when its bar was over; it is not in it ({count} so far)"
            found.append(FeedNotice(NoticeKind.GAP, event.known_ns, text))
        return found

    def _add_all(self, bars: Iterable[Bar], received_ns: int) -> list[Instant | FeedNotice]:
        return [found for bar in bars for found in self._add(bar, received_ns)]

    def _add(self, bar: Bar, received_ns: int) -> list[Instant | FeedNotice]:
        """Take in a bar, and return the instants that are over now."""
        column = self._columns.get(bar.symbol)
        if column is None:
            return self._refuse(bar)
        self._begin_wait(received_ns)
        current_ns = _stamp(self._pending) if self._pending else self.over_ns + 1
        if bar.known_ns < current_ns:
            self.late += 1
            delay_s = (received_ns - bar.known_ns) / NS_PER_SECOND
            text = f"{bar.symbol}: a bar came {delay_s:.1f} s after its end, when its instant was over; it is not used"
            return [FeedNotice(NoticeKind.GAP, bar.known_ns, text)]
        found: list[Instant | FeedNotice] = []
        if bar.known_ns > current_ns:
            found += self._rest()
        self._pending[column] = bar
        if len(self._pending) == len(self._columns):
            found += self._rest()
        return found

    def _refuse(self, bar: Bar) -> list[Instant | FeedNotice]:
        if bar.symbol in self._foreign:
            return []
        self._foreign.add(bar.symbol)
        text = f"{bar.symbol}: a bar came, and it is not one of the session's {len(self._columns)} symbols; none is used"
        return [FeedNotice(NoticeKind.GAP, bar.known_ns, text)]

    def _rest(self) -> list[Instant]:
        """Return what there is of the current instant, which is over then."""
        if not self._pending:
            return []
        pending, self._pending = self._pending, {}
        self.over_ns = _stamp(pending)
        return [pending]


def _stamp(instant: Instant) -> int:
    return next(iter(instant.values())).known_ns
