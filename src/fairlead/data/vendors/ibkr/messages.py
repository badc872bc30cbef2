"""What a gateway tells, as plain facts: nothing above the wire knows its library."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

UNSET: float = 1.7976931348623157e308
"""How the protocol says that there is no such number: the largest that there is."""


class Fault(NamedTuple):
    """An error, a warning or a remark; of nothing that was asked if `request_id` is -1."""

    request_id: int
    code: int
    text: str


class Lost(NamedTuple):
    """The socket is gone."""

    text: str


class Malformed(NamedTuple):
    """Something came that cannot be read."""

    text: str


class Contract(NamedTuple):
    """A contract, qualified: with the number that is its own."""

    symbol: str
    con_id: int
    exchange: str
    primary_exchange: str
    currency: str
    sec_type: str
    min_tick: float = 0.0


class OrderTold(NamedTuple):
    """An order with its terms, by its number at a client or, if nobody's API sent it, its permanent one."""

    order_id: int
    client_id: int
    perm_id: int
    reference: str
    account: str
    symbol: str
    con_id: int
    terms: dict[str, Any]
    """By the names of the protocol; what is not set is left out."""
    status: str
    filled: float | None = None
    """Of an order that has ended; of others `StatusTold` tells."""
    reason: str = ""


class StatusTold(NamedTuple):
    """How an order stands."""

    order_id: int
    client_id: int
    perm_id: int
    status: str
    filled: float
    remaining: float
    average_price: float
    why_held: str


class ExecutionTold(NamedTuple):
    """An execution; without its commission, which is told apart."""

    execution_id: str
    order_id: int
    client_id: int
    perm_id: int
    reference: str
    account: str
    symbol: str
    side: str
    quantity: float
    price: float
    ts_ns: int


class CommissionTold(NamedTuple):
    """What an execution has cost."""

    execution_id: str
    commission: float


class PositionTold(NamedTuple):
    """What an account holds of a contract."""

    account: str
    symbol: str
    quantity: float
    average_cost: float


class ValueTold(NamedTuple):
    """One value of an account's summary."""

    account: str
    tag: str
    value: str
    currency: str


class BarTold(NamedTuple):
    """A bar: its opening as the protocol writes it, or in seconds since the epoch."""

    request_id: int
    stamp: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class DataKind(NamedTuple):
    """Whether what comes for a request is live (1), frozen (2), delayed (3) or both (4)."""

    request_id: int
    kind: int


Message: TypeAlias = Fault | Lost | Malformed | OrderTold | StatusTold | ExecutionTold | CommissionTold | BarTold | DataKind
"""What comes without having been asked for just then."""
