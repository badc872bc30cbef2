"""Bars from Interactive Brokers as they happen: five seconds at a time, put together here, and what was missed asked for."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Final

from fairlead.core.errors import BrokerAccess, BrokerConnection, BrokerError, ConfigurationError, DataError, UnknownName
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_SECOND
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.age import DataAge
from fairlead.data.live.aggregation import BarBuilder
from fairlead.data.live.backoff import Backoff
from fairlead.data.live.feed import FeedBook, FeedNotice, FeedState, NoticeKind, NowNs, Received, Sleep
from fairlead.data.live.settings import AggregationSettings, LiveDataSettings
from fairlead.data.vendors.ibkr.bars import SIZES, bar_of, seconds_text
from fairlead.data.vendors.ibkr.codes import CodeAction, rule_of
from fairlead.data.vendors.ibkr.contracts import Contracts
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings
from fairlead.data.vendors.ibkr.messages import BarTold, DataKind, Fault, Lost, Message
from fairlead.data.vendors.ibkr.pacing import MOST_LINES, HistoricalPacing
from fairlead.data.vendors.ibkr.wire import BadAnswer, Wire

_LOG: Final = logging.getLogger(__name__)
_TRADES: Final = "TRADES"
_SHORT_NS: Final = 5 * NS_PER_SECOND
_LIVE: Final = 1
_ALARM: Final = 3
_UNUSABLE: Final = frozenset({CodeAction.NO_DATA, CodeAction.DATA_BACK_OFF})


class IbkrFeed:
    """Bars of trades in regular hours; see `fairlead.data.live.feed.LiveFeed`. It ends when it is closed.

    A bar of which a part was missed, because the subscription began or was lost in it, is asked for when it is over. What
    cannot be had is told as a gap.

    Parameters
    ----------
    endpoint : EndpointSettings
    data : LiveDataSettings
    now_ns : callable
    uniform : callable, optional
        Random numbers in [0, 1) for the jitter; None for the system's.
    sleep, elapsed : callable
        Waits; and seconds of a clock that never goes back.
    check_s : float
        Seconds between looks at the data's age.
    """

    def __init__(
        self,
        endpoint: EndpointSettings,
        data: LiveDataSettings,
        *,
        now_ns: NowNs,
        uniform: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
        elapsed: Callable[[], float] = time.monotonic,
        check_s: float = 1.0,
    ) -> None:
        if data.bar_size not in SIZES or not data.bar_size.is_intraday:
            known = ", ".join(size.value for size in SIZES if size.is_intraday)
            raise ConfigurationError.of("bar_size", f"be one of {known} from this feed", data.bar_size.value)
        if data.aggregate is not None:
            raise ConfigurationError.of("aggregate", "be left out: this feed makes its bars itself", data.aggregate.source)
        self._endpoint, self._data = endpoint, data
        self._now_ns, self._sleep, self._elapsed, self._check_s = now_ns, sleep, elapsed, check_s
        self._where = f"{endpoint.host}:{endpoint.port}"
        self._backoff = Backoff(data.reconnect, random.SystemRandom().random if uniform is None else uniform)
        self._calendar = ExchangeCalendar.get(data.calendar)
        self._age = DataAge(self._calendar, data.bar_size, data.max_age_s)
        self._contracts = Contracts(endpoint.contracts)
        self._pacing = HistoricalPacing()
        self._book = FeedBook()
        self._wire: Wire | None = None
        self._symbols: tuple[str, ...] = ()
        self._after: dict[str, int | None] = {}
        self._lines: dict[int, str] = {}
        self._since: dict[str, int] = {}
        self._unusable = ""
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._out: asyncio.Queue[Received | None] = asyncio.Queue()
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._error: Exception | None = None
        self._begin_bars()

    @property
    def state(self) -> FeedState:
        """How it stands now."""
        return self._book.snapshot()

    async def connect(self) -> None:
        """Open the connection.

        Raises
        ------
        DataError
            If the gateway cannot be reached in `ReconnectSettings.first_attempts` attempts, or has another account.
        """
        self._closed = False
        self._out = asyncio.Queue()
        for left in reversed(range(self._data.reconnect.first_attempts)):
            try:
                await self._open()
            except BrokerAccess as exc:
                raise DataError(f"the gateway at {self._where} cannot be used: {exc}") from exc
            except BrokerConnection as exc:
                delay = self._failed(exc)
                if not left:
                    raise DataError(f"cannot reach the gateway at {self._where}: {exc}") from exc
                await self._sleep(delay)
            else:
                return

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        """Ask for the bars of `symbols`, instead of those that were asked for before; see `LiveFeed.subscribe`.

        Raises
        ------
        UnknownName
            If the gateway has no such symbol.
        DataError
            If it was never connected, or more is wanted than may be followed at once.
        """
        wire, wanted = self._wire, tuple(sorted(set(symbols)))
        if wire is None:
            raise DataError("this feed is not connected. Call connect() first.")
        if len(wanted) > MOST_LINES:
            raise DataError(f"{len(wanted)} symbols were asked for, and {MOST_LINES} lines of market data are allowed at once.")
        try:
            for symbol in wanted:
                await self._contracts.of(wire, symbol)
        except UnknownName as exc:
            known = sorted({*self._contracts.known, *self._data.symbols} - {symbol})
            raise UnknownName.among(f"symbol at {self._where}", symbol, known) from exc
        except BrokerError as exc:
            raise DataError(f"the gateway at {self._where} did not answer: {exc}") from exc
        self._symbols = wanted
        self._after = dict.fromkeys(wanted, since_ns)
        self._begin_bars()
        await self._follow(wire)

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield bars and notices until the feed is closed."""
        if self._closed:
            return
        self._tasks = [asyncio.create_task(self._until_over(work)) for work in (self._work(), self._watch())]
        try:
            while (received := await self._out.get()) is not None:
                yield received
        finally:
            self._book.connected = False
            await self._stop_tasks()
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._closed = True
        self._book.connected = False
        await self._stop_tasks()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        while not self._out.empty():
            self._out.get_nowait()
        self._out.put_nowait(None)

    # Connecting.

    async def _open(self) -> None:
        wire = Wire(self._endpoint, self._inbox.put_nowait, self._now_ns)
        managed = await wire.open(self._endpoint.client_id)
        try:
            self._endpoint.choose_account(managed)
        except BrokerAccess:
            wire.close()
            raise
        self._wire = wire
        self._book.connected = True

    async def _reopen(self) -> None:
        delay = self._backoff.fail()
        while True:
            await self._sleep(delay)
            try:
                await self._open()
                if self._wire is not None and self._symbols:
                    await self._follow(self._wire)
            except BrokerError as exc:
                delay = self._failed(exc)
            else:
                self._book.reconnects += 1
                self._notice(NoticeKind.CONNECTED, self._where)
                return

    async def _follow(self, wire: Wire) -> None:
        """Subscribe, and then ask for what was before."""
        for request_id in self._lines:
            wire.leave_bars(request_id)
        now_ns = self._now_ns()
        self._lines = {}
        for symbol in self._symbols:
            contract = await self._contracts.of(wire, symbol)
            self._lines[wire.follow_bars(contract, what=_TRADES, within_hours=True)] = symbol
            self._since[symbol] = now_ns
        found = [bar for symbol in self._symbols for bar in await self._missed(wire, symbol, now_ns)]
        for bar in sorted(found, key=lambda bar: (bar.known_ns, bar.symbol)):
            self._deliver(bar)

    async def _missed(self, wire: Wire, symbol: str, until_ns: int) -> list[Bar]:
        after_ns = self._after[symbol]
        if after_ns is None or after_ns >= until_ns:
            return []
        try:
            return await self._history(wire, symbol, after_ns, until_ns)
        except (BrokerError, DataError) as exc:
            if isinstance(exc, BadAnswer) and "no data" in str(exc).lower():
                return []
            self._notice(NoticeKind.GAP, f"{symbol}: what was missed cannot be had: {exc}")
            return []

    async def _history(self, wire: Wire, symbol: str, after_ns: int, until_ns: int) -> list[Bar]:
        """Return the bars that ended after one instant, and not after another."""
        contract, size = await self._contracts.of(wire, symbol), self._data.bar_size
        duration = seconds_text(after_ns - size.ns, until_ns)
        request = (duration, until_ns)
        while (wait := self._pacing.wait_s(self._elapsed(), symbol, request)) > 0 or self._pacing.is_full:
            await self._sleep(max(wait, 0.05))
        self._pacing.begin(self._elapsed(), symbol, request)
        try:
            told = await wire.history(
                contract, end="", duration=duration, bar_size=SIZES[size], what=_TRADES, within_hours=True
            )
        finally:
            self._pacing.end()
        bars = (self._whole(bar_of(each, symbol, size.ns)) for each in told)
        return [bar for bar in bars if after_ns < bar.known_ns <= until_ns]

    def _whole(self, bar: Bar) -> Bar:
        """Return a bar that ends with its segment if it would reach beyond that."""
        parts = self._calendar.segments_between(bar.label_ns, bar.label_ns)
        closes = [int(close) for close in parts.close_ns if bar.label_ns < close < bar.known_ns]
        return bar._replace(known_ns=closes[0]) if closes else bar

    # Working.

    async def _work(self) -> None:
        """Take in what comes, one after the other, through as many connections as it takes."""
        self._notice(NoticeKind.CONNECTED, self._where)
        while True:
            message = await self._inbox.get()
            if isinstance(message, BarTold):
                await self._take(message)
            elif isinstance(message, Lost):
                await self._lost(message.text)
            elif isinstance(message, Fault):
                await self._fault(message)
            elif isinstance(message, DataKind) and message.kind != _LIVE and message.request_id in self._lines:
                self._spoil(f"{self._lines[message.request_id]}: market data of kind {message.kind} instead of live")

    async def _take(self, told: BarTold) -> None:
        symbol = self._lines.get(told.request_id)
        if symbol is None:
            return
        self._backoff.succeed()
        self._mend()
        try:
            short = bar_of(told, symbol, _SHORT_NS)
        except DataError as exc:
            self._skip(exc)
            return
        for bar in self._builder.add(short):
            await self._finish(bar)

    async def _finish(self, bar: Bar) -> None:
        """Hand on a bar that is over; one of which a part was missed is asked for."""
        if bar.label_ns >= self._since.get(bar.symbol, 0):
            self._deliver(bar)
            return
        wire, after_ns = self._wire, max(bar.label_ns, self._after.get(bar.symbol) or 0)
        if wire is None or after_ns >= bar.known_ns:
            return
        try:
            found = await self._history(wire, bar.symbol, after_ns, bar.known_ns)
        except (BrokerError, DataError) as exc:
            found = []
            _LOG.warning("%s: a bar of which a part was missed cannot be had: %s", bar.symbol, exc)
        if not found:
            self._book.lost += 1
            self._notice(NoticeKind.GAP, f"{bar.symbol}: a part of a bar was missed, and the bar cannot be had")
        for whole in found:
            self._deliver(whole)

    async def _lost(self, text: str) -> None:
        self._wire, self._lines = None, {}
        self._book.connected = False
        _LOG.warning("connection to %s lost: %s", self._where, text)
        self._notice(NoticeKind.DISCONNECTED, f"{self._where}: {text}")
        self._begin_bars()
        await self._reopen()

    async def _fault(self, fault: Fault) -> None:
        rule = rule_of(fault.code)
        text = f"{rule.meaning} ({fault.code}): {fault.text}"
        if rule.action is CodeAction.PAUSE:
            self._book.connected = False
            self._notice(NoticeKind.DISCONNECTED, text)
        elif rule.action in {CodeAction.RESUBSCRIBE, CodeAction.RECONCILE}:
            self._book.connected = True
            self._notice(NoticeKind.CONNECTED, text)
            await self._renew()
        elif (rule.action in _UNUSABLE and (fault.request_id in self._lines or fault.request_id < 0)) or (
            rule.action is CodeAction.DISABLE and fault.request_id in self._lines
        ):
            self._spoil(text)
        else:
            _LOG.info("%s: %s", self._where, text)

    async def _renew(self) -> None:
        """Subscribe again, and ask for what was missed: whether it was kept or lost, a second line costs nothing."""
        if self._wire is None or not self._symbols:
            return
        self._begin_bars()
        try:
            await self._follow(self._wire)
        except BrokerError as exc:
            self._notice(NoticeKind.GAP, f"what was missed cannot be had: {exc}")

    def _begin_bars(self) -> None:
        self._builder = BarBuilder(self._data.bar_size, self._calendar, AggregationSettings(source="bars"))

    def _deliver(self, bar: Bar) -> None:
        after_ns = self._after.get(bar.symbol)
        if bar.symbol not in self._after or (after_ns is not None and bar.known_ns <= after_ns):
            return
        self._after[bar.symbol] = bar.known_ns
        now_ns = self._now_ns()
        self._out.put_nowait(self._book.note(bar, now_ns))
        if self._book.stale and not self._unusable and not self._age.is_stale(now_ns, self._book.last_event_ns):
            self._notice(NoticeKind.FRESH, bar.symbol)

    # Telling.

    def _spoil(self, text: str) -> None:
        """Say that the data cannot be used: until live data come again it counts as stale."""
        if not self._unusable:
            _LOG.error("%s cannot be used: %s", self._where, text)
            self._unusable = text
            self._notice(NoticeKind.STALE, f"unusable: {text}")

    def _mend(self) -> None:
        if self._unusable:
            self._unusable = ""
            if not self._age.is_stale(self._now_ns(), self._book.last_event_ns):
                self._notice(NoticeKind.FRESH, self._where)

    def _notice(self, kind: NoticeKind, text: str) -> None:
        now_ns = self._now_ns()
        self._out.put_nowait(self._book.note_notice(FeedNotice(kind, now_ns, text), now_ns))

    def _skip(self, exc: Exception) -> None:
        self._book.malformed += 1
        _LOG.warning("a bar of %s skipped as malformed: %s", self._where, exc)

    def _failed(self, exc: BaseException) -> float:
        self._book.failures += 1
        delay = self._backoff.fail()
        level = logging.ERROR if self._backoff.failures >= _ALARM else logging.WARNING
        _LOG.log(level, "cannot reach %s: %s; next attempt in %.1f s", self._where, exc, delay)
        return delay

    async def _watch(self) -> None:
        """Look at the data's age from time to time."""
        while True:
            await self._sleep(self._check_s)
            now_ns = self._now_ns()
            if self._age.is_stale(now_ns, self._book.last_event_ns) and not self._book.stale:
                age_s = self._age.age_ns(now_ns, self._book.last_event_ns) / NS_PER_SECOND
                self._notice(NoticeKind.STALE, f"no data for {age_s:.0f} s of the session")

    async def _until_over(self, work: Coroutine[None, None, None]) -> None:
        """Do some work to its end, and end the bars with it."""
        try:
            await work
        except Exception as exc:  # noqa: BLE001  whatever it is, it is raised where the events are read
            self._error = exc
        self._out.put_nowait(None)

    async def _stop_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(task for task in self._tasks if task is not current), return_exceptions=True)
