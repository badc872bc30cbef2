"""What the server keeps of an order and of an execution, beside what the account does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Self

from fairlead.execution.brokers.words import Execution
from fairlead.practice.tws.asked import Ticket
from fairlead.practice.tws.listings import Listing, Listings, WantedContract

DONE: Final = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})


@dataclass(slots=True, kw_only=True)
class Held:
    """An order as the server has it.

    Parameters
    ----------
    reference : str
        Under which the account has it. That is the client's own reference unless the account has that already: the protocol
        lets the same be used twice.
    broker_id : str
        The account's name for it; empty while the account has not been given it.
    status : str
        In the words of the protocol.
    why_held : str
        'child' or 'trigger' while it waits for something.
    completed : str
        What a list of completed orders says of its end.
    is_transmitted : bool
        Whether the client wants it to work.
    """

    ticket: Ticket
    client_id: int
    listing: Listing
    perm_id: int
    reference: str
    broker_id: str = ""
    status: str = "PendingSubmit"
    filled: float = 0.0
    average_price: float | None = None
    last_price: float = 0.0
    why_held: str = ""
    warning: str = ""
    completed: str = ""
    ts_ns: int = 0
    is_transmitted: bool = False

    @property
    def order_id(self) -> int:
        """The client's number for it; 0 for one that was entered by hand."""
        return self.ticket.order_id

    @property
    def is_done(self) -> bool:
        """Whether nothing comes of it any more."""
        return self.status in DONE

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in ("ticket", "listing")}
        return {**kept, "symbol": self.listing.symbol, "ticket": asdict(self.ticket)}

    @classmethod
    def of(cls, data: Mapping[str, Any], listings: Listings) -> Self:
        """Return what `to_dict` made plain."""
        kept = dict(data)
        ticket, symbol = dict(kept.pop("ticket")), kept.pop("symbol")
        ticket["contract"] = WantedContract(*ticket["contract"])
        ticket["algo_params"] = tuple((tag, value) for tag, value in ticket["algo_params"])
        return cls(ticket=Ticket(**ticket), listing=listings.of(symbol), **kept)


class Printed(NamedTuple):
    """An execution as it is told.

    Parameters
    ----------
    execution : Execution
        Its id has what TWS promises: before the last dot it is the same for an execution and all that correct it.
    cumulated, average_price : float
        Of the order, up to this one.
    """

    execution: Execution
    cumulated: float
    average_price: float

    @property
    def shares(self) -> float:
        """What is told of its size: none of one that never was."""
        return 0.0 if self.execution.is_bust else self.execution.quantity
