"""The server itself: sockets, the handshake, and whom each message goes to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.core.time import to_datetime
from fairlead.data.live.feed import MarketEvent
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.faults import PracticeFaults, Telling
from fairlead.practice.market import PracticeMarket
from fairlead.practice.turns import stop_listening
from fairlead.practice.tws.asked import Fields
from fairlead.practice.tws.book import OrderBook
from fairlead.practice.tws.client import NOBODY, Client
from fairlead.practice.tws.codes import Asked, Code, Told
from fairlead.practice.tws.feeds import MarketDesk
from fairlead.practice.tws.listings import Listings
from fairlead.practice.tws.money import MoneyDesk, merged
from fairlead.practice.tws.orders import OrderDesk
from fairlead.practice.tws.rate import RateWatch
from fairlead.practice.tws.settings import LOWEST_VERSION, TwsSettings
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.wire import FrameReader

_LOG: Final = logging.getLogger(__name__)
_READ: Final = 1 << 16
_STRIKES: Final = 3
_FARMS: Final = (
    (Code.FARM_OK, "Market data farm connection is OK:usfarm"),
    (Code.HISTORY_FARM_OK, "HMDS data farm connection is OK:ushmds"),
    (Code.DEFINITION_FARM_OK, "Sec-def data farm connection is OK:secdefnj"),
)
_TOO_MANY: Final = "Max rate of messages per second has been exceeded"
_LINK_BACK: Final = "Connectivity between IB and Trader Workstation has been restored"
LINK_LOST: Final = "Connectivity between IB and Trader Workstation has been lost."


class TwsServer:
    """A server over one account. Everything about it happens in one asyncio loop.

    Parameters
    ----------
    account : SimulatedAccount
    settings : TwsSettings, optional
    now_ns : callable
        The server's clock, in nanoseconds.
    elapsed : callable
        Seconds of a clock that never goes back, by which the rate of messages is measured.
    market : PracticeMarket, optional
        What the account's orders meet, and clients hear of. Whoever has it lets it run, in the same loop.
    faults : PracticeFaults, optional
        What befalls the news that clients are told.
    """

    def __init__(
        self,
        account: SimulatedAccount,
        settings: TwsSettings | None = None,
        *,
        now_ns: Callable[[], int],
        elapsed: Callable[[], float] = time.monotonic,
        market: PracticeMarket | None = None,
        faults: PracticeFaults | None = None,
    ) -> None:
        self.account = account
        self.settings = TwsSettings() if settings is None else settings
        self.switches = TwsSwitches()
        self.clients: dict[int, Client] = {}
        self.has_begun = asyncio.Event()
        """Whether a client has been let in."""
        self.violations = 0
        """How often more was sent than is allowed."""
        self._now_ns, self._elapsed = now_ns, elapsed
        self._listings = Listings(account.symbols, account.instruments)
        self._is_changed = False
        self.money = MoneyDesk(account, self._listings, lambda: f"{to_datetime(now_ns()):%H:%M}")
        self.orders = OrderDesk(
            account.account_id,
            account.currency,
            self._listings,
            self.settings,
            self.switches,
            self.clients,
            now_ns,
            self._note_change,
        )
        self.book = OrderBook(account, self._listings, self.switches, self.orders, holds_stops=self.settings.holds_stops)
        self.orders.book = self.book
        self.market = market
        self.feeds = MarketDesk(market, self._listings, self.settings, self.switches, now_ns, elapsed)
        if market is not None:
            market.serve(account)
            market.listen(self._hear_market)
        self._faults = PracticeFaults() if faults is None else faults
        self._connections = 0
        self._answers = merged(
            self.orders.answers, self.money.answers, self.feeds.answers, {Asked.CURRENT_TIME: self._current_time}
        )
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = self.settings.port

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.settings.host

    @property
    def port(self) -> int:
        """Where it listens; the same after it was stopped and started again."""
        return self._port

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        ConfigurationError
            If the address cannot be used.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self._port)
        except OSError as exc:
            raise ConfigurationError.of("port", "be free to listen on", self._port, exc.strerror or str(exc)) from exc
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections and listen no more; a second call does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        await stop_listening(server)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def settle(self) -> None:
        """Tell clients what has happened since the last time; after anything that was done to the account."""
        self.orders.settle()
        if self._is_changed and not self.switches.is_cut_off:
            self._is_changed = False
            self.money.tell_changes(self.clients.values())
        for client in list(self.clients.values()):
            client.settle()

    def notify(self, code: int, text: str, request_id: int = -1) -> None:
        """Tell everybody a notice."""
        for client in list(self.clients.values()):
            client.error(request_id, code, text)

    def lose_link(self) -> None:
        """Lose the broker's own servers (1100): orders wait, and what happens meanwhile is not told afterwards either."""
        self.settle()
        self.switches.is_cut_off = True
        self.notify(Code.LINK_LOST, LINK_LOST)

    def restore_link(self, *, is_data_lost: bool = False) -> None:
        """Reach them again: 1102, or 1101 if clients must subscribe anew."""
        self.settle()
        self.switches.is_cut_off = False
        if is_data_lost:
            self.feeds.forget()
            self.notify(Code.LINK_BACK_DATA_LOST, f"{_LINK_BACK}- data lost.")
        else:
            self.notify(Code.LINK_BACK, f"{_LINK_BACK}- data maintained.")
        self.orders.send_waiting()
        self.settle()

    async def go_down(self, *, forgets_ids: bool = False) -> None:
        """Go down for the night: 1100, every socket closed, and nobody listens until `start`."""
        self.notify(Code.LINK_LOST, LINK_LOST)
        if forgets_ids:
            self.book.forget_ids()
        await self.stop()

    def send_raw(self, data: bytes) -> None:
        """Send everybody bytes as they are: a frame that is none, or one that never ends."""
        for client in list(self.clients.values()):
            client.write(data)

    def drop(self, client_id: int | None = None) -> None:
        """Break the connection of a client, or of all."""
        for client in list(self.clients.values()):
            if client_id in (None, client.client_id):
                client.close()

    def to_dict(self) -> dict[str, Any]:
        """Return what survives a restart, as plain data."""
        return {"account": self.account.to_dict(), "book": self.book.to_dict()}

    @classmethod
    def of(
        cls,
        data: Mapping[str, Any],
        settings: TwsSettings | None = None,
        *,
        now_ns: Callable[[], int],
        elapsed: Callable[[], float] = time.monotonic,
        market: PracticeMarket | None = None,
        faults: PracticeFaults | None = None,
    ) -> Self:
        """Return the server that `to_dict` made plain."""
        account = SimulatedAccount.of(data["account"], now_ns=now_ns)
        server = cls(account, settings, now_ns=now_ns, elapsed=elapsed, market=market, faults=faults)
        server.book.take_from(data["book"])
        return server

    def _hear_market(self, event: MarketEvent) -> None:
        self.settle()  # what became of orders at this instant goes before its prices
        self.feeds.hear(event)

    def _note_change(self) -> None:
        self._is_changed = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._greet(reader, writer)
        except (ContractError, ConnectionError) as exc:
            _LOG.warning("a client was not let in: %s", exc)
        except asyncio.CancelledError:
            writer.transport.abort()  # what nobody reads any more is waited for by nobody
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        while (versions := frames.greeting()) is None:
            data = await reader.read(_READ)
            if not data:
                return
            frames.feed(data)
        if versions.highest < LOWEST_VERSION:
            raise ContractError.of("version", f"be {LOWEST_VERSION} or later", versions.highest)
        client = Client(
            min(versions.highest, self.settings.version),
            writer.write,
            writer.close,
            asyncio.get_running_loop().call_later,
            self.switches,
            Telling(self._faults.model_copy(update={"seed": self._faults.seed + self._connections})),
        )
        self._connections += 1
        client.send(client.version, f"{to_datetime(self._now_ns()):%Y%m%d %H:%M:%S} UTC")
        try:
            await self._listen(reader, writer, frames, client)
        except (ContractError, ConnectionError) as exc:
            _LOG.warning("client %s was shut out: %s", client.client_id, exc)
        finally:
            self.feeds.forget(client)
            if self.clients.get(client.client_id) is client:
                del self.clients[client.client_id]

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: FrameReader, client: Client
    ) -> None:
        watch = RateWatch(self.settings.messages_per_s, self._elapsed)
        while True:
            while (fields := frames.next()) is not None:
                if not watch.allows():
                    self._count_violation(client, watch)
                elif self._answer(client, fields):
                    return
            await writer.drain()
            data = await reader.read(_READ)
            if not data or writer.is_closing():
                return
            frames.feed(data)

    def _count_violation(self, client: Client, watch: RateWatch) -> None:
        self.violations += 1
        text = f"{_TOO_MANY}:max={watch.limit} rec={watch.limit + 1} ({watch.strikes})"
        client.error(-1, Code.RATE, text)
        if watch.strikes >= _STRIKES:
            client.close()

    def _answer(self, client: Client, fields: list[str]) -> bool:
        """Answer a message; return whether the client is shut out for it."""
        try:
            number = Fields(fields).whole()
            rest = Fields(fields[1:])
            if client.client_id == NOBODY:
                return self._begin(client, number, rest)
            answer = self._answers.get(number)
            if answer is None:
                client.error(-1, Code.UNREADABLE, f"Error reading request. Unknown or unsupported message id: {number}")
                return False
            self.switches.calls.append(Asked(number).name.lower())
            if self.switches.take("too_many"):
                client.error(-1, Code.RATE, f"{_TOO_MANY}:max={self.settings.messages_per_s} rec=51 (1)")
            elif not self.switches.is_deaf:
                answer(client, rest)
        except ContractError as exc:
            client.error(-1, Code.UNREADABLE, f"Error reading request. {exc}")
        self.settle()
        return False

    def _begin(self, client: Client, number: int, fields: Fields) -> bool:
        if number != Asked.START_API:
            raise ContractError.of("first message", "be startApi", number)
        fields.skip(1)
        client_id = fields.whole()
        if client_id in self.clients or client_id < 0:
            client.error(
                -1, Code.CLIENT_ID_TAKEN, "Unable to connect as the client id is already in use. Retry with a unique client id."
            )
            return True
        client.client_id = client_id
        self.clients[client_id] = client
        self.has_begun.set()
        self.money.tell_accounts(client)
        client.send(Told.NEXT_VALID_ID, 1, self.book.next_id(client_id))
        for code, text in _FARMS:
            client.error(-1, code, text)
        if self.switches.is_cut_off:
            client.error(-1, Code.LINK_LOST, LINK_LOST)
        return False

    def _current_time(self, client: Client, _fields: Fields) -> None:
        client.send(Told.CURRENT_TIME, 1, self._now_ns() // 1_000_000_000)
