"""A feed that speaks the project's own protocol over a websocket, and outlives what happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from fairlead.contracts.market_messages import BarMessage, TickMessage
from fairlead.core.errors import ContractError, DataError, UnknownName
from fairlead.core.time import NS_PER_SECOND, BarSize, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live.age import DataAge
from fairlead.data.live.backoff import Backoff
from fairlead.data.live.continuity import Continuity, Item
from fairlead.data.live.decoding import Decoder
from fairlead.data.live.feed import FeedBook, FeedNotice, FeedState, NoticeKind, NowNs, Received, Sleep
from fairlead.data.live.protocol import (
    Backfill,
    End,
    ErrorMessage,
    Heartbeat,
    ServerMessage,
    Subscribe,
    Subscribed,
    Welcome,
    read_server,
    text_of,
)
from fairlead.data.live.settings import WebSocketSettings

_LOG: Final = logging.getLogger(__name__)
_LARGEST: Final = 1 << 22
_BUFFERED: Final = 4_096
_CLOSE_S: Final = 1.0
_ALARM: Final = 3  # failures in a row after which it is an error, not a warning (domain rule 14.5)
_UNREACHABLE: Final = (OSError, WebSocketException, TimeoutError, ContractError)


class WebSocketFeed:
    """Market data from a server of the project's protocol.

    A lost connection is sought again, with exponential backoff and full jitter; what was missed meanwhile is asked for, so that
    events come once and in order. A socket that stays open without data counts as lost when the data is too old. What cannot
    be read is counted, logged and skipped.

    Parameters
    ----------
    settings : WebSocketSettings
    now_ns : callable
        The clock that stamps what arrives and by which data ages.
    uniform : callable, optional
        Random numbers in [0, 1) for the jitter; None for the system's.
    sleep : callable
        Waits between attempts and between looks at the data's age.
    check_s : float
        Seconds between those looks.
    """

    def __init__(
        self,
        settings: WebSocketSettings,
        *,
        now_ns: NowNs,
        uniform: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
        check_s: float = 1.0,
    ) -> None:
        self._settings = settings
        self._now_ns = now_ns
        self._sleep = sleep
        self._check_s = check_s
        self._backoff = Backoff(settings.reconnect, random.SystemRandom().random if uniform is None else uniform)
        self._calendar = ExchangeCalendar.get(settings.calendar)
        self._expect_bars(settings.bar_size or BarSize.M1)
        self._book = FeedBook()
        self._stream = Continuity(settings.reorder_window)
        self._socket: ClientConnection | None = None
        self._welcome: Welcome | None = None
        self._symbols: tuple[str, ...] = ()
        self._after_ns: int | None = None
        self._is_begun = False
        self._since_ns = 0
        self._ending = False
        self._closed = False
        self._error: Exception | None = None
        self._out: asyncio.Queue[Received | None] = asyncio.Queue(_BUFFERED)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def state(self) -> FeedState:
        """How it stands now."""
        book, sequencer = self._book, self._stream.sequencer
        book.gaps, book.lost, book.duplicates = sequencer.gaps, sequencer.lost, sequencer.duplicates
        return book.snapshot()

    async def connect(self) -> None:
        """Open the connection.

        Raises
        ------
        DataError
            If the server cannot be reached in `ReconnectSettings.first_attempts` attempts, or is of another kind.
        """
        self._closed = False
        self._out = asyncio.Queue(_BUFFERED)
        for left in reversed(range(self._settings.reconnect.first_attempts)):
            try:
                await self._open()
            except ContractError as exc:
                raise DataError(f"{self._settings.url} cannot be used: {exc}") from exc
            except _UNREACHABLE as exc:
                delay = self._failed(exc)
                if not left:
                    raise DataError(
                        f"cannot reach {self._settings.url}: {_reason(exc)}. Start the server, or correct data.url."
                    ) from exc
                await self._sleep(delay)
            else:
                return

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        """Ask for the events of `symbols`, instead of those that were asked for before; see `LiveFeed.subscribe`.

        Raises
        ------
        UnknownName
            If the server has no such symbol.
        DataError
            If it was never connected.
        """
        if self._welcome is None:
            raise DataError("this feed is not connected. Call connect() first.")
        for symbol in symbols:
            if symbol not in self._welcome.symbols:
                raise UnknownName.among(f"symbol at {self._settings.url}", symbol, self._welcome.symbols)
        self._symbols = tuple(sorted(set(symbols)))
        self._after_ns, self._is_begun = since_ns, False
        await self._send_subscription()

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Yield events and notices until the session ends or the feed is closed."""
        if self._closed:
            return
        self._tasks = [asyncio.create_task(self._until_over(work)) for work in (self._read(), self._watch())]
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
        socket, self._socket = self._socket, None
        try:
            await self._stop_tasks()
            if socket is not None:
                await socket.close()
        finally:
            if socket is not None:
                socket.transport.abort()  # for whoever has no patience for the farewell
        while not self._out.empty():
            self._out.get_nowait()
        self._out.put_nowait(None)

    async def _stop_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(task for task in self._tasks if task is not current), return_exceptions=True)

    async def _open(self) -> None:
        async with asyncio.timeout(self._settings.reconnect.timeout_s):
            socket = await connect(
                self._settings.url,
                compression=None,
                max_size=_LARGEST,
                open_timeout=None,
                close_timeout=_CLOSE_S,
                proxy=None,
            )
            try:
                welcome = _welcome(await socket.recv(), self._settings)
            except BaseException:
                socket.transport.abort()
                raise
        self._socket, self._welcome = socket, welcome
        if welcome.bar_size is not self._bar_size:
            self._expect_bars(welcome.bar_size)
        self._since_ns = self._now_ns()
        self._stream.disconnect()
        self._book.connected = True

    def _expect_bars(self, bar_size: BarSize) -> None:
        self._bar_size = bar_size
        self._age = DataAge(self._calendar, bar_size, self._settings.max_age_s)
        self._decoder = Decoder(self._calendar, bar_size)

    async def _read(self) -> None:
        """Read until the end, through as many connections as it takes."""
        await self._notice(NoticeKind.CONNECTED, self._settings.url)
        while True:
            if self._socket is None:
                await self._reopen()
            elif await self._read_socket(self._socket):
                return
            else:
                self._socket = None
                self._book.connected = False
                await self._notice(NoticeKind.DISCONNECTED, self._settings.url)
                await self._sleep(self._backoff.fail())

    async def _until_over(self, work: Coroutine[None, None, None]) -> None:
        """Do some work to its end, and end the events with it."""
        try:
            await work
        except Exception as exc:  # noqa: BLE001  whatever it is, it is raised where the events are read
            self._error = exc
        await self._out.put(None)

    async def _read_socket(self, socket: ClientConnection) -> bool:
        """Read until the connection breaks (False) or the session is over (True)."""
        try:
            while True:
                if await self._take(await socket.recv()):
                    return True
        except ConnectionClosed as exc:
            _LOG.warning("connection to %s lost: %s", self._settings.url, exc)
            return False

    async def _reopen(self) -> None:
        while True:
            try:
                await self._open()
                await self._send_subscription()
            except _UNREACHABLE as exc:
                await self._sleep(self._failed(exc))
            else:
                self._book.reconnects += 1
                await self._notice(NoticeKind.CONNECTED, self._settings.url)
                return

    async def _send_subscription(self) -> None:
        if self._socket is not None and self._symbols:
            with contextlib.suppress(ConnectionClosed):  # whoever reads notices, and subscribes again
                # Once it has begun, what was missed is known by its number.
                since = None if self._after_ns is None or self._is_begun else to_datetime(self._after_ns)
                await self._socket.send(text_of(Subscribe(symbols=self._symbols, since=since)))

    def _failed(self, exc: BaseException) -> float:
        self._book.failures += 1
        delay = self._backoff.fail()
        level = logging.ERROR if self._backoff.failures >= _ALARM else logging.WARNING
        _LOG.log(level, "cannot reach %s: %s; next attempt in %.1f s", self._settings.url, _reason(exc), delay)
        return delay

    async def _take(self, text: str | bytes) -> bool:
        """Take one message, and return whether it ends the session."""
        try:
            message = read_server(text)
            await self._hand_on(self._items_of(message))
            await self._ask(at_once=self._ending or not isinstance(message, BarMessage | TickMessage))
        except ContractError as exc:
            self._skip(exc)
        if self._ending and self._stream.is_whole:
            await self._notice(NoticeKind.ENDED, "the session is over")
            return True
        return False

    def _items_of(self, message: ServerMessage) -> list[Item]:
        """Return what a message brings into order."""
        match message:
            case BarMessage() | TickMessage():
                if message.symbol not in self._symbols:
                    raise ContractError.of("symbol", "be one that was subscribed to", message.symbol)
                self._backoff.succeed()
                return self._stream.event(message)
            case Heartbeat():
                self._backoff.succeed()
                return self._stream.beat(message.next_number)
            case Subscribed():
                if self._welcome is None or set(message.symbols) != set(self._symbols):
                    return []  # the answer to a subscription that was replaced meanwhile
                self._is_begun = True
                return self._stream.begin(self._welcome.producer_id, message.symbols, message.next_number, message.first_number)
            case Backfill():
                return self._stream.answer(message)
            case ErrorMessage():
                _LOG.warning("%s refused: %s", self._settings.url, message.message)
                return self._stream.refused(message.request_id, message.message, message.oldest_number)
            case End():
                self._stream.sequencer.announce(message.next_number)
                self._ending = True
                return []
            case Welcome():
                raise ContractError.of("message", "not be a second welcome", message.producer_id)

    async def _ask(self, *, at_once: bool) -> None:
        request = self._stream.request(at_once=at_once)
        if request is not None and self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # asked again after the reconnection
                await self._socket.send(text_of(request))

    async def _hand_on(self, items: Sequence[Item]) -> None:
        """Hand on what is in order; decoded only now, since one side of a quote completes the one before it."""
        for item in items:
            if isinstance(item, str):
                _LOG.error("%s: %s", self._settings.url, item)
                await self._notice(NoticeKind.GAP, item)
                continue
            try:
                event = self._decoder.event(item)
            except ContractError as exc:
                self._skip(exc)
                continue
            if event is None or (self._after_ns is not None and event.known_ns <= self._after_ns):
                continue
            now_ns = self._now_ns()
            await self._out.put(self._book.note(event, now_ns))
            if self._book.stale and not self._age.is_stale(now_ns, self._book.last_event_ns):
                self._book.stale = False
                await self._notice(NoticeKind.FRESH, event.symbol)

    async def _notice(self, kind: NoticeKind, text: str) -> None:
        now_ns = self._now_ns()
        await self._out.put(Received(FeedNotice(kind, now_ns, text), now_ns))

    def _skip(self, exc: ContractError) -> None:
        self._book.malformed += 1
        count = self._book.malformed
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, ...: a broken sender must not fill the disk with log lines
            _LOG.warning("message %d of %s skipped as malformed: %s", count, self._settings.url, exc)

    async def _watch(self) -> None:
        """Look at the data's age from time to time; a socket that brings none is given up."""
        while True:
            await self._sleep(self._check_s)
            now_ns = self._now_ns()
            if not self._age.is_stale(now_ns, self._book.last_event_ns):
                continue
            if not self._book.stale:
                self._book.stale = True
                age_s = self._age.age_ns(now_ns, self._book.last_event_ns) / NS_PER_SECOND
                _LOG.error("%s is stale: no data for %.0f s of the session", self._settings.url, age_s)
                await self._notice(NoticeKind.STALE, f"no data for {age_s:.0f} s of the session")
            # A new connection gets as long as an old one to bring something.
            if self._socket is not None and now_ns - self._since_ns > self._age.limit_ns:
                self._socket.transport.abort()


def _welcome(text: str | bytes, settings: WebSocketSettings) -> Welcome:
    message = read_server(text)
    if not isinstance(message, Welcome):
        raise ContractError.of("first message", "be a welcome", getattr(message, "type", "a market event"))
    for name, wanted, found in (
        ("bar_size", (settings.bar_size or message.bar_size).value, message.bar_size.value),
        ("calendar", settings.calendar, message.calendar),
    ):
        if wanted != found:
            raise ContractError.of(f"data.{name}", f"be {found!r} as at the server", wanted)
    return message


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
