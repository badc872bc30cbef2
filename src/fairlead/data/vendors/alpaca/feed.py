"""Market data as it happens, from Alpaca's stream; what a lost line has missed is fetched by REST."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import Field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fairlead.core.errors import (
    BrokerAccess,
    BrokerConnection,
    ConfigurationError,
    ContractError,
    DataError,
    FairleadError,
    PacingViolation,
    UnknownName,
)
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, BarSize
from fairlead.data.live.feed import FeedState, MarketEvent, NoticeKind, NowNs, Sleep
from fairlead.data.live.kinds import FeedKind
from fairlead.data.live.settings import LiveDataSettings, WebSocketSettings
from fairlead.data.live.websocket import WebSocketFeed
from fairlead.data.vendors.alpaca.decoding import KINDS, AlpacaDecoder
from fairlead.data.vendors.alpaca.pages import AlpacaPages
from fairlead.data.vendors.alpaca.settings import STREAM_URL, AlpacaData, Channel
from fairlead.data.vendors.alpaca.stamps import stamp_text

_LARGEST: Final = 1 << 22
_CLOSE_S: Final = 1.0
_SHOWN: Final = 30
_NEAR: Final = 5
_OVERLAP_NS: Final = 2 * NS_PER_SECOND
"""Events of different symbols may come a little out of order."""
_REFUSED_KEYS: Final = frozenset({401, 402})
_REFUSED_DATA: Final = frozenset({405, 409, 410})
_TIMEFRAME: Final = "1Min"


class AlpacaFeed(WebSocketFeed):
    """Bars, quotes and trades of Alpaca.

    Alpaca numbers nothing: what is missing is known only where the line was. After each loss the time since the last event is
    asked for by REST before the stream goes on. Each kind of a symbol's events comes in the order of the exchange's stamps; a
    bar comes when Alpaca has made it, after trades that are younger than its end.

    Parameters
    ----------
    settings : WebSocketSettings
        Where the stream is, and how a lost line is sought again.
    alpaca : AlpacaData
    channels : sequence of {'bars', 'quotes', 'trades'}
    api_key, api_secret : str
    ends_at_close : bool
        The feed ends with the session that it began in, or that comes next.
    grace_s : float
        Seconds after the close.
    now_ns, uniform, sleep, check_s
        See `WebSocketFeed`.
    """

    def __init__(
        self,
        settings: WebSocketSettings,
        alpaca: AlpacaData,
        channels: Sequence[Channel],
        *,
        api_key: str,
        api_secret: str,
        ends_at_close: bool = False,
        grace_s: float = 5.0,
        now_ns: NowNs,
        uniform: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
        check_s: float = 1.0,
    ) -> None:
        super().__init__(settings, now_ns=now_ns, uniform=uniform, sleep=sleep, check_s=check_s)
        self._channels = tuple(channels)
        self._keys = {"key": api_key, "secret": api_secret}
        self._pages = AlpacaPages(alpaca, api_key, api_secret)
        self._reader = AlpacaDecoder(self._calendar)
        self._ends_at_close, self._grace_ns = ends_at_close, round(grace_s * NS_PER_SECOND)
        self._known: frozenset[str] | None = None
        self._last: dict[tuple[type, str], tuple[int, list[MarketEvent]]] = {}
        self._from: dict[Channel, int] = {}
        self._first: dict[Channel, int] = {}
        self._newest: dict[Channel, int] = {}
        self._is_caught_up = False

    @property
    def state(self) -> FeedState:
        """How it stands now."""
        return self._book.snapshot()

    async def subscribe(self, symbols: Sequence[str], since_ns: int | None = None) -> None:
        """Ask for the events of `symbols`, instead of those that were asked for before; see `LiveFeed.subscribe`.

        Raises
        ------
        UnknownName
            If Alpaca trades no such symbol.
        DataError
            If it is not connected, or the symbols cannot be looked up.
        """
        if self._socket is None:
            raise DataError("this feed is not connected. Call connect() first.")
        await self._check(symbols)
        former, self._symbols = self._symbols, tuple(sorted(set(symbols)))
        self._after_ns, self._last = since_ns, {}
        self._first, self._newest = {}, {}
        self._from = {} if since_ns is None else dict.fromkeys(self._channels, since_ns)
        await self._send_subscription()
        # Only now, so that of what stays nothing is missed.
        if gone := sorted({*former} - {*self._symbols}):
            await self._ask_for("unsubscribe", gone)

    async def close(self) -> None:
        """Close the connection; a second call does nothing."""
        await super().close()
        self._pages.close()

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
                await _answer(socket, "connected")
                await socket.send(json.dumps({"action": "auth", **self._keys}))
                await _answer(socket, "authenticated")
            except BaseException:
                socket.transport.abort()
                raise
        self._socket, self._since_ns, self._is_caught_up = socket, self._now_ns(), False
        self._book.connected = True

    async def _send_subscription(self) -> None:
        self._is_caught_up = False
        if self._symbols:
            await self._ask_for("subscribe", self._symbols)

    async def _ask_for(self, action: str, symbols: Sequence[str]) -> None:
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # whoever reads notices, and subscribes again
                wanted = {channel: list(symbols) for channel in self._channels}
                await self._socket.send(json.dumps({"action": action, **wanted}))

    async def _take(self, text: str | bytes) -> bool:
        """Take one frame: a list of messages. It never ends the feed: that is the calendar's."""
        try:
            messages = json.loads(text)
            if not isinstance(messages, list):
                raise ContractError.of("frame", "be a list of messages", text[:80])
        except (ValueError, RecursionError) as exc:
            self._skip(exc if isinstance(exc, ContractError) else ContractError.of("frame", "be JSON", text[:80]))
            return False
        for message in messages:
            if self._ending:
                break
            try:
                await self._take_message(message)
            except ContractError as exc:
                self._skip(exc)
        return False

    async def _take_message(self, message: Any) -> None:
        kind = message.get("T") if isinstance(message, dict) else None
        if isinstance(kind, str) and kind in KINDS:
            if message.get("S") not in self._symbols:
                raise ContractError.of("S", "be a symbol that was subscribed to", message.get("S"))
            event = self._reader.event(KINDS[kind], message["S"], message)
            if event is not None:
                self._backoff.succeed()
                await self._deliver(KINDS[kind], event)
        elif kind == "subscription":
            if not self._is_caught_up and set(message.get(self._channels[0]) or ()) == set(self._symbols):
                await self._catch_up()
                self._is_caught_up = True
        elif kind == "error":
            raise _refusal(message)
        elif kind not in {"success", "c", "x", "s", "l", "u", "d", "n", "o", "i"}:
            raise ContractError.of("T", "be a kind of message", kind)

    async def _catch_up(self, until_ns: int | None = None) -> None:
        """Fetch what happened since the last event, or since the instant that was asked for."""
        events: list[tuple[Channel, MarketEvent]] = []
        # One end for all: what happens while this asks comes on the stream, and each kind of it in its turn.
        until_ns = self._now_ns() if until_ns is None else until_ns
        for channel in self._channels:
            since_ns = self._from.get(channel)
            if since_ns is None:
                self._from[channel] = self._now_ns()  # what a line that is lost before the first event has missed
                continue
            try:
                found = await self._missed(channel, since_ns)
            except FairleadError as exc:
                self._book.gaps += 1
                self._book.lost += 1  # nobody knows how many there were
                await self._notice(NoticeKind.GAP, f"{channel} since {stamp_text(since_ns)} cannot be had: {exc}")
                continue
            events += [(channel, event) for event in found if since_ns < event.known_ns <= until_ns]
        for channel, event in sorted(events, key=lambda one: (one[1].known_ns, one[0] == "bars", one[1].symbol)):
            await self._deliver(channel, event)

    async def _missed(self, channel: Channel, since_ns: int) -> list[MarketEvent]:
        fields = {"start": stamp_text(since_ns - BarSize.M1.ns if channel == "bars" else since_ns)}
        if channel == "bars":
            fields["timeframe"] = _TIMEFRAME
        found = []
        async for symbol, row in self._pages.rows(channel, self._symbols, fields):
            try:
                event = self._reader.event(channel, symbol, row)
            except ContractError as exc:
                self._skip(exc)
                continue
            if event is not None:
                found.append(event)
        return found

    async def _deliver(self, channel: Channel, event: MarketEvent) -> None:
        """Hand an event on, unless it has been, or comes behind a younger one of its kind and symbol."""
        if self._after_ns is not None and event.known_ns <= self._after_ns:
            return
        key = (type(event), event.symbol)
        last_ns, same = self._last.get(key, (-1, []))
        if event.known_ns < last_ns or (event.known_ns == last_ns and event in same):
            self._book.duplicates += 1
            return
        self._last[key] = event.known_ns, [*same, event] if event.known_ns == last_ns else [event]
        self._follow(channel, event.known_ns)
        now_ns = self._now_ns()
        await self._out.put(self._book.note(event, now_ns))
        if self._book.stale and not self._age.is_stale(now_ns, self._book.last_event_ns):
            self._book.stale = False
            await self._notice(NoticeKind.FRESH, event.symbol)

    def _follow(self, channel: Channel, known_ns: int) -> None:
        """Note from when on a channel is asked for after a loss: what came twice is told apart, what never came is not."""
        first_ns = self._first.setdefault(channel, known_ns)
        self._from[channel] = max(first_ns, self._newest.get(channel, 0) - _OVERLAP_NS, known_ns - _OVERLAP_NS) - 1
        self._newest[channel] = max(self._newest.get(channel, 0), known_ns)

    async def _watch(self) -> None:
        """Look at the data's age, and at the close if the feed ends with it."""
        if not self._ends_at_close:
            await super()._watch()
            return
        close_ns = self._closing()
        watching = asyncio.ensure_future(super()._watch())
        try:
            while self._now_ns() < close_ns + self._grace_ns:
                await self._sleep(self._check_s)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        self._ending = True
        if self._symbols:
            await self._catch_up(close_ns)
        await self._notice(NoticeKind.ENDED, "the session is over")

    def _closing(self) -> int:
        now_ns = self._now_ns()
        parts = self._calendar.segments_between(now_ns - NS_PER_DAY, now_ns + 14 * NS_PER_DAY)
        return next(int(close) for close in parts.close_ns if close >= now_ns)

    async def _check(self, symbols: Sequence[str]) -> None:
        if self._known is None:
            try:
                self._known = await self._pages.symbols()
            except (BrokerAccess, BrokerConnection, PacingViolation) as exc:
                raise DataError(f"symbols cannot be looked up at Alpaca: {exc}") from exc
        for symbol in symbols:
            if symbol not in self._known:
                names = self._known if len(self._known) <= _SHOWN else difflib.get_close_matches(symbol, self._known, _NEAR)
                raise UnknownName.among("symbol at Alpaca", symbol, names)


async def _answer(socket: ClientConnection, wanted: str) -> None:
    """Wait for an answer of success.

    Raises
    ------
    DataError
        If the keys are refused, or do not cover the feed.
    ContractError
        If something else is said.
    """
    try:
        messages = json.loads(await socket.recv())
        message = messages[0]
        if message["T"] == "error":
            raise _refusal(message)
        if (message["T"], message["msg"]) != ("success", wanted):
            raise ContractError.of("answer", f"be {wanted!r}", message)
    except (ValueError, KeyError, IndexError, TypeError) as exc:
        if isinstance(exc, ContractError):
            raise
        raise ContractError.of("answer", f"be {wanted!r}", "something that cannot be read") from exc


def _refusal(message: Any) -> FairleadError:
    code, text = message.get("code"), message.get("msg")
    if code in _REFUSED_KEYS:
        return DataError(f"Alpaca's stream refuses the keys: {text} ({code}). Check them.")
    if code in _REFUSED_DATA:
        return DataError(f"Alpaca's stream refuses the subscription: {text} ({code}). Ask for less, or for source iex.")
    return ContractError(f"Alpaca's stream says: {text} ({code})")


class AlpacaKind(FeedKind, AlpacaData):
    """Alpaca's stream.

    Parameters
    ----------
    channels : tuple of {'bars', 'quotes', 'trades'}
        What to listen to beside what bars are made of.
    ends_at_close : bool
        The feed ends with its session.
    grace_s : float
        Seconds after the close.
    """

    channels: tuple[Channel, ...] = ()
    ends_at_close: bool = False
    grace_s: float = Field(default=5.0, ge=0, le=600)

    def open(self, data: LiveDataSettings, now_ns: NowNs) -> AlpacaFeed:
        """Return a feed that is not connected yet.

        Raises
        ------
        ConfigurationError
            If the keys are missing, or bars are wanted that Alpaca does not send.
        """
        if not data.api_key or not data.api_secret:
            raise ConfigurationError.of(
                "data.api_key", "be given for feed: alpaca, with data.api_secret", None, "Such as ${ALPACA_API_KEY}."
            )
        if data.aggregate is None and data.bar_size is not BarSize.M1:
            remedy = "Let longer ones be made: aggregate: {source: bars}."
            raise ConfigurationError.of("data.bar_size", "be 1min for feed: alpaca", data.bar_size.value, remedy)
        made_of: Channel = "bars" if data.aggregate is None else data.aggregate.source
        names = [name for name in WebSocketSettings.model_fields if name in type(data).model_fields and name != "url"]
        given = {name: getattr(data, name) for name in names} | {"bar_size": BarSize.M1}
        return AlpacaFeed(
            WebSocketSettings(url=f"{(data.url or STREAM_URL).rstrip('/')}/v2/{self.source}", **given),
            AlpacaData(**{name: getattr(self, name) for name in AlpacaData.model_fields}),
            tuple(dict.fromkeys((made_of, *self.channels))),
            api_key=data.api_key,
            api_secret=data.api_secret,
            ends_at_close=self.ends_at_close,
            grace_s=self.grace_s,
            now_ns=now_ns,
        )
