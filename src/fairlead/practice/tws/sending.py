"""How orders come to the account: at once, with their family, or when what they hang on has filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import OrderRole
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import ChangeRequest, OrderRequest
from fairlead.practice.tws.codes import Code
from fairlead.practice.tws.records import Held, Printed
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.translation import decimal_of, request_of, roles_of

_CANCELS: Final = 1


class Voice(Protocol):
    """Who tells clients what becomes of their orders."""

    def order(self, held: Held) -> None:
        """Tell an order and where it stands."""

    def printed(self, held: Held, printed: Printed) -> None:
        """Tell an execution."""

    def error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        """Tell what went wrong."""


class Sending:
    """Gives orders to the account, with those that belong to them.

    Parameters
    ----------
    account : SimulatedAccount
    switches : TwsSwitches
    voice : Voice
    open_orders : callable
        The orders of a client, or of all, that have not ended.
    sent : callable
        Told of an order that the account has a name for now.
    """

    def __init__(
        self,
        account: SimulatedAccount,
        switches: TwsSwitches,
        voice: Voice,
        open_orders: Callable[[int | None], list[Held]],
        sent: Callable[[Held], None],
    ) -> None:
        self._account, self._switches, self._voice = account, switches, voice
        self._open, self._sent = open_orders, sent

    def transmit(self, held: Held, parent: Held | None) -> None:
        """Let an order work, with its parent and the other children of that; a child waits for its parent to fill."""
        held.is_transmitted = True
        if parent is None:
            self._send([held])
            return
        family = self._children(parent)
        for child in family:
            child.is_transmitted = True
        if not parent.is_transmitted:
            parent.is_transmitted = True
            self._send([parent])
        if parent.is_done:
            self.follow(parent)
            return
        for child in family:
            if child.why_held != "child":
                child.status, child.why_held = "PreSubmitted", "child"
                self._voice.order(child)

    def send_waiting(self) -> None:
        """Send what could not be sent while the broker's own servers were not reached."""
        for held in self._open(None):
            if held.is_transmitted and not held.broker_id and not held.ticket.parent_id:
                self._send([held])

    def follow(self, parent: Held) -> None:
        """Let the children of an order that has ended work for what it filled, or end with it."""
        children = self._children(parent)
        if not parent.filled:
            for child in children:
                self.end(child, "Cancelled", "parent order was cancelled")
            return
        for child in children:
            child.ticket.quantity = min(child.ticket.quantity, parent.filled)
        wanted = [child for child in children if child.is_transmitted]
        if wanted:
            self._send(wanted)

    def reduce(self, held: Held, executed: float) -> list[Held]:
        """Take what an order filled off the others of its group, where the group is one that does so; return those that end."""
        ticket, over = held.ticket, []
        if not ticket.oca_group or ticket.oca_type == _CANCELS:
            return []
        for other in self._open(None):
            if other is held or other.ticket.oca_group != ticket.oca_group:
                continue
            left = other.ticket.quantity - executed
            if left <= other.filled:
                over.append(other)
                continue
            other.ticket.quantity = left
            if other.broker_id:
                self._account.replace(other.broker_id, ChangeRequest(reference=other.reference, quantity=decimal_of(left)))
        return over

    def end(self, held: Held, status: str, reason: str) -> None:
        """End an order that the account does not have."""
        held.status, held.why_held, held.completed = status, "", f"{status}: {reason}" if reason else status
        code, word = (Code.REJECTED, "rejected") if status == "Inactive" else (Code.CANCELLED, "Canceled")
        self._voice.error(held.client_id, held.order_id, code, f"Order {word} - reason:{reason}")
        self._voice.order(held)
        self.follow(held)

    def _children(self, parent: Held) -> list[Held]:
        if not parent.order_id:
            return []
        return [h for h in self._open(parent.client_id) if h.ticket.parent_id == parent.order_id and not h.broker_id]

    def _send(self, orders: Sequence[Held]) -> None:
        if self._switches.is_cut_off:
            return
        try:
            requests = [self._request(held, role) for held, role in zip(orders, roles_of(orders), strict=True)]
            given = self._account.submit(requests)
        except OrderRejected as exc:
            for held in orders:
                self.end(held, "Inactive", str(exc))
            return
        for held, order in zip(orders, given, strict=True):
            held.broker_id = order.broker_id
            self._sent(held)

    def _request(self, held: Held, role: OrderRole) -> OrderRequest:
        ticket = held.ticket
        group = ticket.oca_group if ticket.oca_type == _CANCELS else ""
        request = request_of(ticket, held.reference, held.listing.symbol, ticket.quantity, group)
        return request if role is OrderRole.NONE else replace(request, role=role)
