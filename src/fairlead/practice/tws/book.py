"""The orders of a server: what clients sent, under their own numbers, over the account that works them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import TERMINAL, OrderStatus
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import BrokerOrder, Execution
from fairlead.practice.tws.admission import NO_DEFINITION, check_change, check_ticket
from fairlead.practice.tws.asked import Ticket
from fairlead.practice.tws.codes import Code
from fairlead.practice.tws.listings import Listing, Listings
from fairlead.practice.tws.records import Held, Printed
from fairlead.practice.tws.sending import Sending, Voice
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.translation import STOPS, change_of, status_of, ticket_by_hand

_FIRST_PERM: Final = 1_000_000_001
_PERMS_OF_A_SERIAL: Final = 1_000_000
_BY_HAND: Final = 0


class OrderBook:
    """Orders by the numbers of the protocol.

    Parameters
    ----------
    account : SimulatedAccount
    listings : Listings
    switches : TwsSwitches
    voice : Voice
    holds_stops : bool
        Whether a stop is PreSubmitted until it fills.
    """

    def __init__(
        self, account: SimulatedAccount, listings: Listings, switches: TwsSwitches, voice: Voice, *, holds_stops: bool
    ) -> None:
        self._account, self._listings, self._switches, self._voice = account, listings, switches, voice
        self._holds_stops = holds_stops
        self._heard: list[BrokerOrder | Execution] = []
        self._by_perm: dict[int, Held] = {}
        self._by_key: dict[tuple[int, int], Held] = {}
        self._by_broker_id: dict[str, Held] = {}
        self._by_reference: dict[str, Held] = {}
        self._open: dict[int, Held] = {}
        self._told: list[tuple[Held, Printed]] = []
        self._standing: dict[str, dict[str, Execution]] = {}
        self._used: dict[int, set[int]] = {}
        self._next_perm = _FIRST_PERM + account.serial * _PERMS_OF_A_SERIAL
        self.duplicates = 0
        """How often a reference was sent that the account had already."""
        self._sending = Sending(account, switches, voice, self.open, self._keep)
        account.listen(self._heard.append)

    # What clients ask for.

    def next_id(self, client_id: int) -> int:
        """Return the number from which on a client's orders have not been numbered yet."""
        return max(self._used.get(client_id, ()), default=0) + 1

    def forget_ids(self) -> None:
        """Begin to number orders from 1 again. Those that work keep their numbers, so that the same will be given twice."""
        self._used.clear()

    def is_new(self, client_id: int, ticket: Ticket) -> bool:
        """Return whether a ticket is an order that there is not yet, rather than the change of one."""
        return (client_id, ticket.order_id) not in self._by_key

    def place(self, client_id: int, ticket: Ticket, listing: Listing | None) -> None:
        """Take a new order, or the change of one whose number it has."""
        old = self._by_key.get((client_id, ticket.order_id))
        if old is not None and not old.is_done:
            self._change(old, ticket, listing)
            return
        if ticket.order_id in self._used.get(client_id, ()):
            if old is not None and old.status == "Filled":
                self._voice.error(client_id, ticket.order_id, Code.CHANGE_OF_DONE, "Cannot modify a filled order.")
            else:
                self._voice.error(client_id, ticket.order_id, Code.DUPLICATE_ID, "Duplicate order id")
            return
        self._used.setdefault(client_id, set()).add(ticket.order_id)
        fault = check_ticket(ticket, listing, self._account.account_id)
        if fault is None and ticket.parent_id and (client_id, ticket.parent_id) not in self._by_key:
            fault = Code.NO_PARENT, f"Can't find order with ID ={ticket.parent_id}"
        if fault is not None or listing is None:
            self._voice.error(client_id, ticket.order_id, *(fault or (Code.NO_CONTRACT, NO_DEFINITION)))
            return
        held = Held(
            ticket=ticket,
            client_id=client_id,
            listing=listing,
            perm_id=self._next_perm,
            reference=self._free_reference(ticket.order_ref),
        )
        self._next_perm += 1
        self._keep(held)
        if ticket.transmit:
            self._transmit(held)

    def cancel(self, client_id: int, order_id: int, reason: str = "") -> None:
        """Take an order of a client back, and those that hang on it."""
        held = self._by_key.get((client_id, order_id))
        if held is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            self._voice.error(client_id, order_id, Code.CANCEL_UNKNOWN, text)
        elif held.is_done:
            text = f"OrderId {order_id} that needs to be cancelled can not be cancelled, state: {held.status}."
            self._voice.error(client_id, order_id, Code.CANCEL_OF_DONE, text)
        else:
            self.take_back(held, reason)

    def cancel_all(self) -> None:
        """Take every order back, whoever sent it."""
        for held in self.open():
            if not held.is_done:
                self.take_back(held, "")

    def take_back(self, held: Held, reason: str) -> None:
        """Take an order back that has not ended."""
        if not held.broker_id:
            self._sending.end(held, "Cancelled", reason)
            return
        order = self._account.order(held.broker_id)
        if order.status in TERMINAL:
            return  # and that is about to be told
        wanted = min(self._switches.fills_in_cancel, order.quantity - order.filled)
        if wanted > 0:
            self._switches.fills_in_cancel = 0.0
            self._account.execute(held.broker_id, wanted, self._price_of(held))
            self.settle()
        if held.is_done:
            self.cancel(held.client_id, held.order_id)
            return
        if self._account.order(held.broker_id).status in TERMINAL:
            return
        held.status = "PendingCancel"
        self._voice.order(held)
        self._account.cancel(held.broker_id, reason)

    # What is asked about them.

    def open(self, client_id: int | None = None) -> list[Held]:
        """Return the orders that have not ended, of a client or of all, oldest first."""
        for perm_id in [perm_id for perm_id, held in self._open.items() if held.is_done]:
            del self._open[perm_id]
        return [held for held in self._open.values() if client_id in (None, held.client_id)]

    def done(self) -> list[Held]:
        """Return the orders that have ended, oldest first."""
        return [held for held in self if held.is_done]

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._by_perm.values()))

    def find(self, reference: str) -> Held | None:
        """Return the order that the account has under a reference."""
        return self._by_reference.get(reference)

    def of_broker(self, broker_id: str) -> Held:
        """Return the order that the account has under its own name."""
        return self._by_broker_id[broker_id]

    def executions(self) -> list[tuple[Held, Printed]]:
        """Return every execution as it was told, corrections too, oldest first."""
        return list(self._told)

    # What happens to them.

    def settle(self) -> None:
        """Tell what the account has said since the last time, and do what follows from it."""
        while self._heard:
            news = self._heard.pop(0)
            held = self._by_broker_id.get(news.broker_id) or self._by_hand(news)
            if isinstance(news, Execution):
                held.last_price = news.price
                self._voice.printed(held, self._print(held, news))
                for other in self._sending.reduce(held, news.quantity) if not news.replaces else ():
                    self.take_back(other, "oca")
            else:
                self._take_over(held, news)

    def _print(self, held: Held, execution: Execution) -> Printed:
        standing = self._standing.setdefault(execution.broker_id, {})
        stem = execution.execution_id.rpartition(".")[0]
        standing.pop(stem, None)
        if not execution.is_bust:
            standing[stem] = execution
        shares = sum(one.quantity for one in standing.values())
        value = sum(one.quantity * one.price for one in standing.values())
        printed = Printed(execution, shares, value / shares if shares else 0.0)
        self._told.append((held, printed))
        return printed

    def _take_over(self, held: Held, news: BrokerOrder) -> None:
        if news.status is OrderStatus.SUBMITTED:
            return
        is_first = held.status == "PendingSubmit"
        held.filled, held.average_price, held.ts_ns = news.filled, news.average_price, news.ts_ns
        was_done = held.is_done
        held.status, held.why_held = status_of(news.status), ""
        if held.status == "Submitted":
            if is_first:
                held.status = "PreSubmitted"
                self._voice.order(held)
                held.status = "Submitted"
            if self._holds_stops and held.ticket.order_type in STOPS and not held.filled:
                held.status, held.why_held = "PreSubmitted", "trigger"
            held.status = self._switches.unknown_status or held.status
        if held.is_done:
            held.completed = held.status if held.status == "Filled" else f"{held.status} by {news.reason or 'Trader'}"
        if held.status == "Inactive":
            self._voice.error(held.client_id, held.order_id, Code.REJECTED, f"Order rejected - reason:{news.reason}")
        self._voice.order(held)
        if held.status == "Cancelled" and not was_done:
            self._voice.error(held.client_id, held.order_id, Code.CANCELLED, f"Order Canceled - reason:{news.reason}")
        if held.is_done and not was_done:
            self._sending.follow(held)

    def _transmit(self, held: Held) -> None:
        self._sending.transmit(held, self._by_key.get((held.client_id, held.ticket.parent_id)))

    def send_waiting(self) -> None:
        """Send what could not be sent while the broker's own servers were not reached."""
        self._sending.send_waiting()

    def _change(self, held: Held, ticket: Ticket, listing: Listing | None) -> None:
        fault = check_change(held, ticket, listing)
        if fault is not None:
            self._voice.error(held.client_id, held.order_id, *fault)
            return
        if not held.broker_id:
            held.ticket = ticket
            if ticket.transmit and not held.is_transmitted:
                self._transmit(held)
            return
        change = change_of(held.reference, held.ticket, ticket)
        if change is not None:
            try:
                self._account.replace(held.broker_id, change)
            except OrderRejected as exc:
                self._voice.error(held.client_id, held.order_id, Code.CHANGE_MISMATCH, f"Order cannot be modified: {exc}")
                return
        held.ticket.quantity, held.ticket.limit, held.ticket.aux = ticket.quantity, ticket.limit, ticket.aux
        if change is None:
            self._voice.order(held)

    def _by_hand(self, news: BrokerOrder | Execution) -> Held:
        order = self._account.order(news.broker_id)
        listing = self._listings.of(order.symbol)
        ticket = ticket_by_hand(order, listing, self._account.account_id)
        held = Held(
            ticket=ticket,
            client_id=_BY_HAND,
            listing=listing,
            perm_id=self._next_perm,
            reference=order.reference,
            broker_id=order.broker_id,
            is_transmitted=True,
        )
        self._next_perm += 1
        self._keep(held)
        return held

    def _keep(self, held: Held) -> None:
        self._by_perm[held.perm_id] = self._open[held.perm_id] = held
        if held.reference:
            self._by_reference[held.reference] = held
        if held.order_id:
            self._by_key[held.client_id, held.order_id] = held
        if held.broker_id:
            self._by_broker_id[held.broker_id] = held

    def _free_reference(self, wanted: str) -> str:
        if not wanted or (self.find(wanted) is None and self._account.find(wanted) is None):
            return wanted
        self.duplicates += 1
        return f"{wanted}#{self._next_perm}"

    def _price_of(self, held: Held) -> float:
        mark = self._account.marks.get(held.listing.symbol, 0.0)
        return held.ticket.limit or mark or held.ticket.aux or 1.0

    # What survives a restart.

    def to_dict(self) -> dict[str, Any]:
        """Return what the account does not keep, as plain data."""
        used = {str(client): sorted(ids) for client, ids in self._used.items()}
        return {"orders": [held.to_dict() for held in self], "used": used, "next_perm": self._next_perm}

    def take_from(self, data: Mapping[str, Any]) -> None:
        """Take back what `to_dict` made plain."""
        for kept in data["orders"]:
            self._keep(Held.of(kept, self._listings))
        self._used = {int(client): set(ids) for client, ids in data["used"].items()}
        self._next_perm = data["next_perm"]
        for execution in self._account.executions():
            self._print(self._by_broker_id[execution.broker_id], execution)
