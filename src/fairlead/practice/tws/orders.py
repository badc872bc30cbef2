"""What clients ask about orders and executions, and what they are told of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from fairlead.core.time import to_datetime
from fairlead.practice.tws.asked import Fields, read_ticket
from fairlead.practice.tws.book import OrderBook
from fairlead.practice.tws.client import Client
from fairlead.practice.tws.codes import Asked, Code, Told
from fairlead.practice.tws.layouts import commission, completed_order, execution, open_order, order_status
from fairlead.practice.tws.listings import Listings
from fairlead.practice.tws.records import Held, Printed
from fairlead.practice.tws.settings import TwsSettings
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.translation import read_moment

READ_ONLY = "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode."


class OrderDesk:
    """Answers everything about orders, and is the voice of the book.

    Parameters
    ----------
    account_id, currency : str
    listings : Listings
    settings : TwsSettings
    switches : TwsSwitches
    clients : mapping of int to Client
        Who is connected, by client id; read whenever something is told.
    now_ns : callable
        The server's clock.
    changed : callable
        Called when positions and money have changed.
    """

    def __init__(
        self,
        account_id: str,
        currency: str,
        listings: Listings,
        settings: TwsSettings,
        switches: TwsSwitches,
        clients: Mapping[int, Client],
        now_ns: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self._account_id, self._currency = account_id, currency
        self._listings, self._settings, self._switches, self._clients = listings, settings, switches, clients
        self._now_ns, self._changed = now_ns, changed
        self._waiting: list[Callable[[], None]] = []
        self._unpaid: list[tuple[Held, Printed]] = []
        self.book: OrderBook
        """Given after this was made, as each needs the other."""
        self.answers: dict[int, Callable[[Client, Fields], None]] = {
            Asked.PLACE_ORDER: self._place,
            Asked.CANCEL_ORDER: self._cancel,
            Asked.GLOBAL_CANCEL: self._cancel_all,
            Asked.OPEN_ORDERS: self._open_orders,
            Asked.ALL_OPEN_ORDERS: self._all_open_orders,
            Asked.AUTO_OPEN_ORDERS: lambda _client, _fields: None,
            Asked.COMPLETED_ORDERS: self._completed_orders,
            Asked.EXECUTIONS: self._executions,
            Asked.IDS: self._ids,
        }

    # The voice of the book.

    def order(self, held: Held) -> None:
        """Tell whoever sent an order where it stands."""
        client = self._hearer(held.client_id)
        if client is not None:
            client.tell(*open_order(client.version, held))
            for _ in range(self._settings.repeats):
                client.tell(*order_status(held))

    def printed(self, held: Held, printed: Printed) -> None:
        """Tell whoever sent an order that it was executed; what that has cost comes after the order's own change."""
        self._changed()
        client = self._hearer(held.client_id)
        if client is not None:
            client.tell(*self._execution(client, -1, held, printed))
        self._unpaid.append((held, printed))

    def error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        """Tell a client what went wrong with an order."""
        client = self._hearer(client_id)
        if client is not None:
            client.tell_error(request_id, code, text)

    def settle(self) -> None:
        """Tell everything that has happened since the last time."""
        self.book.settle()
        if self._switches.holds_commissions:
            return
        unpaid, self._unpaid = self._unpaid, []
        for held, printed in unpaid:
            client = self._hearer(held.client_id)
            if client is not None and not printed.execution.is_bust:
                client.tell(*commission(printed, self._currency))

    def _hearer(self, client_id: int) -> Client | None:
        return None if self._switches.is_cut_off else self._clients.get(client_id)

    # What is asked.

    def _place(self, client: Client, fields: Fields) -> None:
        ticket, switches = read_ticket(fields, client.version), self._switches
        if self._is_read_only:
            client.tell_error(ticket.order_id, Code.INVALID, READ_ONLY)
        elif switches.take("loses_orders"):
            client.close()
        elif switches.refuses_orders:
            client.tell_error(ticket.order_id, Code.REJECTED, f"Order rejected - reason:{switches.refuses_orders}")
        elif switches.refusals:
            client.tell_error(ticket.order_id, *switches.refusals.pop(0))
        else:
            if switches.take("loses_answers"):
                client.is_muted = True
                client.close()
            listing = self._listings.find(ticket.contract)
            is_new = self.book.is_new(client.client_id, ticket)
            self._do(lambda: self.book.place(client.client_id, ticket, listing), is_new=is_new)

    def _cancel(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        order_id = fields.whole()
        if client.version >= 169:
            fields.skip(1)
        if self._is_read_only:
            client.tell_error(order_id, Code.INVALID, READ_ONLY)
        else:
            self._do(lambda: self.book.cancel(client.client_id, order_id))

    def _cancel_all(self, client: Client, _fields: Fields) -> None:
        if self._is_open_to(client):
            self._do(self.book.cancel_all)

    def _do(self, action: Callable[[], None], *, is_new: bool = False) -> None:
        # A new order waits in the book, where it can be seen; everything else waits here.
        if self._switches.is_cut_off and not is_new:
            self._waiting.append(action)
        else:
            action()

    def send_waiting(self) -> None:
        """Do what could not be done while the broker's own servers were not reached."""
        self.book.send_waiting()
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()

    def _open_orders(self, client: Client, _fields: Fields) -> None:
        if self._is_open_to(client):
            self._list(client, self.book.open(client.client_id))

    def _all_open_orders(self, client: Client, _fields: Fields) -> None:
        if self._is_open_to(client):
            self._list(client, self.book.open())

    def _list(self, client: Client, orders: list[Held]) -> None:
        for held in orders:
            client.send(*open_order(client.version, held))
            client.send(*order_status(held))
        client.send(Told.OPEN_ORDER_END, 1)

    def _completed_orders(self, client: Client, fields: Fields) -> None:
        is_of_api = fields.truth()
        if not self._is_open_to(client):
            return
        for held in self.book.done():
            if self._is_today(held.ts_ns) and (held.order_id or not is_of_api):
                client.send(*completed_order(client.version, held, self._stamp(held.ts_ns)))
        client.send(Told.COMPLETED_ORDERS_END)

    def _executions(self, client: Client, fields: Fields) -> None:
        fields.skip(1)
        request_id, of_client = fields.whole(), fields.whole()
        account, since, symbol, kind, exchange, side = (fields.text() for _ in range(6))
        since_ns = read_moment(since, self._settings.zone) if since else 0
        if since_ns is None:
            client.error(request_id, Code.INVALID, f"Error validating request.-'bN' : cause - Invalid time '{since}'")
            return
        for held, printed in self.book.executions():
            wanted = (
                of_client in (0, held.client_id)
                and account in ("", self._account_id)
                and symbol in ("", held.listing.their_symbol)
                and kind in ("", held.listing.kind)
                and exchange in ("", "SMART")
                and side[:1].upper() in ("", held.ticket.action[0])
                and printed.execution.ts_ns >= since_ns
                and self._is_today(printed.execution.ts_ns)
            )
            if wanted:
                client.send(*self._execution(client, request_id, held, printed))
                if not printed.execution.is_bust and not self._switches.holds_commissions:
                    client.send(*commission(printed, self._currency))
        client.send(Told.EXECUTIONS_END, 1, request_id)

    def _ids(self, client: Client, _fields: Fields) -> None:
        client.send(Told.NEXT_VALID_ID, 1, self.book.next_id(client.client_id))

    def _is_open_to(self, client: Client) -> bool:
        if self._is_read_only:
            client.error(-1, Code.INVALID, READ_ONLY)
        return not self._is_read_only

    @property
    def _is_read_only(self) -> bool:
        return self._switches.is_read_only or self._switches.refuses_keys

    def _execution(self, client: Client, request_id: int, held: Held, printed: Printed) -> tuple[object, ...]:
        stamp = self._stamp(printed.execution.ts_ns)
        return execution(client.version, request_id, held, printed, self._account_id, stamp)

    def _stamp(self, ts_ns: int) -> str:
        zone = self._settings.zone
        return f"{self._local(ts_ns):%Y%m%d %H:%M:%S} {zone}"

    def _is_today(self, ts_ns: int) -> bool:
        return self._local(ts_ns).date() == self._local(self._now_ns()).date()

    def _local(self, ts_ns: int) -> dt.datetime:
        return to_datetime(ts_ns).astimezone(ZoneInfo(self._settings.zone))
