"""Alpaca behind the seam of brokers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from fairlead.core.errors import (
    BrokerAccess,
    BrokerConnection,
    BrokerError,
    ContractError,
    OrderRejected,
    OrderUnresolved,
    UnknownName,
)
from fairlead.core.orders import TERMINAL
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.vendors.alpaca.stamps import stamp_ns
from fairlead.execution.brokers.alpaca.api import Duplicate, TradingApi
from fairlead.execution.brokers.alpaca.assets import Asset, read_asset, read_sessions, session_differences
from fairlead.execution.brokers.alpaca.inspecting import inspected
from fairlead.execution.brokers.alpaca.mapping import (
    ORDER_TYPES,
    TIMES_IN_FORCE,
    change_fields,
    exact,
    in_pair_order,
    order_fields,
    pair_fields,
    read_account,
    read_position,
)
from fairlead.execution.brokers.alpaca.naming import Name, write_name
from fairlead.execution.brokers.alpaca.orders import Orders
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings
from fairlead.execution.brokers.alpaca.stream import UpdateStream, open_stream
from fairlead.execution.brokers.alpaca.trimming import Trimming
from fairlead.execution.brokers.alpaca.updates import Updates
from fairlead.execution.brokers.endpoint import EndpointKind, alpaca_account, alpaca_endpoint
from fairlead.execution.brokers.inspection import Finding
from fairlead.execution.brokers.seam import BrokerHealth, BrokerTraits
from fairlead.execution.brokers.terms import check_terms
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerEvent,
    BrokerOrder,
    BrokerPosition,
    ChangeRequest,
    Execution,
    LinkKind,
    LinkNotice,
    OrderRequest,
)

NAME: Final = "alpaca"
_PAIR: Final = 2
_LOG: Final = logging.getLogger(__name__)
ReadT = TypeVar("ReadT")


class AlpacaBroker:
    """An account at Alpaca; see `Broker` for what each method promises.

    Parameters
    ----------
    settings : AlpacaSettings
    now_ns : callable
        The real time, nanoseconds.
    """

    def __init__(self, settings: AlpacaSettings, *, now_ns: Callable[[], int]) -> None:
        self._settings, self._now_ns = settings, now_ns
        self._heard_ns: int | None = None
        self._trouble = ""
        self._out: asyncio.Queue[BrokerEvent | None] = asyncio.Queue()
        self._stream: UpdateStream | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._api = TradingApi(settings, self._heard)
        self._orders = Orders(self._api, self._skip)
        self._trimming = Trimming(self._api, self._orders, self._remark)
        self.updates: Final = Updates(self._orders, self._trimming, self._tell, self._remark)
        """What the stream tells, and how much of it could not be read."""

    @property
    def name(self) -> str:
        """How it is called in a configuration."""
        return NAME

    @property
    def traits(self) -> BrokerTraits:
        """What it can do."""
        settings = self._settings
        return BrokerTraits(
            order_types=frozenset(ORDER_TYPES),
            times_in_force=frozenset(TIMES_IN_FORCE),
            links_exits=True,
            resizes_exits=False,
            exits_hold_units=True,
            auction_lead_s=600.0,
            is_fractional=True,
            calls_per_minute=settings.calls_per_minute,
            burst=settings.burst,
            poll_s=settings.poll_s,
        )

    # Connecting.

    async def connect(self) -> BrokerAccount:
        """Connect, and return the account.

        Raises
        ------
        BrokerAccess
            Also if address and account do not agree on whether money moves.
        """
        # One at a time: whoever disconnects meanwhile must not close half of what is being opened.
        async with self._opening:
            self._api.open()
            try:
                account = await self.account()
                self._check_kind(account)
                if self._stream is None:
                    stream = await open_stream(self._settings)
                    self._stream, self._trouble = stream, ""
                    self._heard()
                    self._reader = asyncio.create_task(self._read(stream))
                    self._notice(LinkKind.UP, account.account_id)
            except BrokerAccess:
                self._api.close()  # nothing is sent to an account that it must not be
                raise
        return account

    async def disconnect(self) -> None:
        """End the connection; a second call does nothing."""
        async with self._opening:
            stream, self._stream = self._stream, None
            reader, self._reader = self._reader, None
            try:
                if reader is not None:
                    reader.cancel()
                    await asyncio.gather(reader, return_exceptions=True)
                await self.updates.close()
                if stream is not None:
                    await stream.close()
            finally:  # also for whoever has no patience
                if stream is not None:
                    stream.abort()
                self._api.close()
                if reader is not None:
                    # Whoever listens hears the end; what is told after the next connection is for whoever listens then.
                    out, self._out = self._out, asyncio.Queue()
                    out.put_nowait(None)

    def health(self) -> BrokerHealth:
        """Return how it stands, without asking it."""
        return BrokerHealth(self._stream is not None, self._heard_ns, self._trouble)

    async def events(self) -> AsyncIterator[BrokerEvent]:
        """Yield what is told, until `disconnect`."""
        out = self._out
        while (event := await out.get()) is not None:
            yield event

    # Wishes.

    async def submit(self, requests: Sequence[OrderRequest]) -> Sequence[BrokerOrder]:
        """Send an order, or two linked exits as one order of the class `oco`."""
        check_terms(requests, self.traits, NAME)
        if len(requests) == _PAIR:
            first, second = in_pair_order(*requests)
            name = Name(first.reference, second.reference)
            fields = pair_fields(first, second, write_name(name))
        elif len(requests) == 1:
            name = Name(requests[0].reference)
            fields = order_fields(requests[0], write_name(name))
        else:
            raise OrderRejected(f"Alpaca takes one order or two linked exits, not {len(requests)}; nothing was sent.")
        self._orders.lineage.expect(name)
        try:
            with self._watching_keys():
                self._orders.lineage.learn(await self._api.send(fields))
        except Duplicate:
            # It has been sent before, and what has become of it is the answer.
            return await self._as_sent(requests, self._orders.find)
        return await self._as_sent(requests, self._orders.here)

    async def _as_sent(
        self, requests: Sequence[OrderRequest], find: Callable[[str], Awaitable[BrokerOrder | None]]
    ) -> list[BrokerOrder]:
        """Return orders that Alpaca has; if they cannot be shown, that is no reason to think that it has not."""
        try:
            found = [await find(request.reference) for request in requests]
        except BrokerError as exc:
            raise OrderUnresolved(f"Alpaca has the order, and it cannot be shown yet: {exc}") from exc
        orders = [order for order in found if order is not None]
        if len(orders) < len(requests):
            raise OrderUnresolved("Alpaca has the order, and does not show all of it yet.")
        return orders

    async def cancel(self, reference: str) -> None:
        """Ask for an order to be taken back."""
        broker_id = self._orders.lineage.newest(reference) or (await self._orders.known(reference)).broker_id
        with self._watching_keys():
            try:
                await self._api.cancel(broker_id)
            except OrderRejected:
                # Replaced meanwhile by somebody else, it is another order there.
                order = await self._orders.find(reference)
                if order is None or order.status in TERMINAL or order.broker_id == broker_id:
                    raise
                await self._api.cancel(order.broker_id)

    async def replace(self, change: ChangeRequest) -> BrokerOrder:
        """Replace an order under its reference: at Alpaca the new one has an id of its own, and has filled nothing."""
        orders, lineage = self._orders, self._orders.lineage
        order = await orders.known(change.reference)
        if order.status in TERMINAL:
            raise OrderRejected(f"the order cannot be changed any more: it is {order.status.value}.")
        is_linked = lineage.raw(order.broker_id).is_linked
        if is_linked and change.quantity is not None:
            raise OrderRejected("Alpaca does not change the quantity of linked exits.")
        quantity = None
        if not is_linked and (change.quantity is not None or order.filled > 0):
            # Left out, the new one would be for all of the old one's units again, those that are filled included.
            whole = exact(order.quantity) if change.quantity is None else change.quantity
            quantity = whole - exact(order.filled)
            if quantity <= 0:
                raise OrderRejected(f"the order has filled {order.filled:g} already and cannot become one of {whole}.")
        name = lineage.next_name(order.broker_id)
        try:
            with self._watching_keys():
                raw = await self._api.change(order.broker_id, change_fields(change, quantity, name))
        except Duplicate:
            found = await self._api.named(name)
            if found is None or found.replaces != order.broker_id or found.status == "rejected":
                raise
            raw = found
        try:
            await orders.take(raw)
            if quantity is not None:
                self._trimming.expect(change.reference, exact(order.filled) + quantity)
                # What the old one has filled since it was asked about would come on top.
                await orders.take_nested(order.broker_id)
                await self._trimming.trim(change.reference)
        except BrokerError as exc:
            raise OrderUnresolved(f"the order was replaced, and cannot be shown yet: {exc}") from exc
        return lineage.order(lineage.newest(change.reference) or raw.broker_id)

    # Questions.

    async def find(self, reference: str) -> BrokerOrder | None:
        """Return the order with our reference, and if it was replaced the one that goes on for it."""
        with self._watching_keys():
            return await self._orders.find(reference)

    async def open_orders(self) -> Sequence[BrokerOrder]:
        """Return every order of the account that can still fill, also of others."""
        with self._watching_keys():
            return await self._orders.open()

    async def executions(self, since_ns: int) -> Sequence[Execution]:
        """Return what was executed at or after an instant, in the order in which it happened."""
        with self._watching_keys():
            return await self._orders.executions(since_ns)

    async def positions(self) -> Sequence[BrokerPosition]:
        """Return what the account holds."""
        with self._watching_keys():
            rows = await self._api.ask("/positions")
        positions = [_readable(read_position, row) for row in (rows or ())]
        return tuple(position for position in positions if position.quantity)

    async def account(self) -> BrokerAccount:
        """Return the account as it stands."""
        with self._watching_keys():
            raw = await self._api.ask("/account")
        return _readable(read_account, raw)

    async def asset(self, symbol: str) -> Asset:
        """Return what Alpaca says of a symbol.

        Raises
        ------
        UnknownName
            If it has none of that name.
        """
        with self._watching_keys():
            raw = await self._api.look(f"/assets/{quote(symbol, safe='')}")
        if raw is None:
            raise UnknownName(f"Alpaca has no asset {symbol!r}. Check the spelling: classes of shares are written as in BRK.B.")
        return _readable(read_asset, raw)

    async def inspect(self) -> Sequence[Finding]:
        """Return what Alpaca says of the account, and of what the keys cover."""
        with self._watching_keys():
            return await inspected(await self.account(), self._settings)

    async def clock_ns(self) -> int:
        """Return Alpaca's clock when it answered, nanoseconds since the epoch."""
        with self._watching_keys():
            raw = await self._api.ask("/clock")
        return _readable(lambda told: stamp_ns(told.get("timestamp")), raw)

    async def cancel_others(self, broker_ids: Sequence[str]) -> None:
        """Ask for orders to be taken back, by Alpaca's ids; one that has ended is left as it is."""
        with self._watching_keys():
            for broker_id in broker_ids:
                with contextlib.suppress(OrderRejected):
                    await self._api.cancel(broker_id)

    async def calendar_differences(self, first: dt.date, last: dt.date, calendar: str = "XNYS") -> list[str]:
        """Return where Alpaca's sessions between two dates differ from a calendar's: a text for each, none if they agree."""
        with self._watching_keys():
            rows = await self._api.calendar(first, last)
        return session_differences(_readable(read_sessions, rows), ExchangeCalendar.get(calendar), first, last)

    # Inside.

    def _check_kind(self, account: BrokerAccount) -> None:
        """Refuse an account that is not of the kind that the address is for."""
        place, kind = alpaca_endpoint(self._settings.base_url).kind.value, alpaca_account(account.account_id).value
        if place != kind and place in {EndpointKind.LIVE, EndpointKind.PAPER}:
            raise BrokerAccess(
                f"{self._settings.base_url} is for {place} trading, and account {account.account_id} is a {kind} one. "
                "Give the keys that belong to the address."
            )

    async def _read(self, stream: UpdateStream) -> None:
        """Take what the stream says until it ends; that is told, and whoever listens connects again."""
        try:
            async for message in stream.messages():
                self._heard()
                self.updates.take(message)
        except BrokerConnection as exc:
            self._lost(str(exc))
        except Exception as exc:  # noqa: BLE001  told, logged, and the line is given up
            # A mistake of ours must not leave a stream that nobody reads.
            _LOG.exception("the stream of Alpaca cannot be read any more")
            stream.abort()
            self._lost(f"the stream of orders cannot be read any more: {exc}")

    def _lost(self, text: str) -> None:
        self._stream, self._trouble = None, text
        self._notice(LinkKind.DOWN, text)

    @contextlib.contextmanager
    def _watching_keys(self) -> Iterator[None]:
        """Tell it, beside raising it, if keys that were accepted are not any more."""
        try:
            yield
        except BrokerAccess as exc:
            if self._stream is not None and self._trouble != str(exc):
                self._trouble = str(exc)
                self._notice(LinkKind.REFUSED, str(exc))
            raise

    def _heard(self) -> None:
        self._heard_ns = self._now_ns()

    def _notice(self, kind: LinkKind, text: str) -> None:
        self._tell(LinkNotice(kind, self._now_ns(), text))

    def _tell(self, event: BrokerEvent) -> None:
        self._out.put_nowait(event)

    def _skip(self, exc: ContractError) -> None:
        self.updates.skip(exc)

    def _remark(self, text: str) -> None:
        self._notice(LinkKind.REMARK, text)


def _readable(read: Callable[[Any], ReadT], raw: Any) -> ReadT:
    """Return what an answer says; one that cannot be read is none."""
    try:
        return read(raw)
    except ContractError as exc:
        raise BrokerConnection(f"Alpaca's answer cannot be read: {exc}") from exc
