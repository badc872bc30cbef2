"""What is said between Fairlead and a broker, in our words: each adapter translates its broker's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeAlias

from fairlead.core.orders import OrderRole, OrderStatus, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order as a broker is asked for it.

    Parameters
    ----------
    reference : str
        Ours, the `Order.order_id`: the broker keeps it, gives it back with everything that it says of the order, and can be
        asked for it. The same reference is never sent twice.
    symbol : str
    side : Side
    quantity : Decimal
        Unsigned units, on the lot grid.
    order_type : OrderType
    time_in_force : TimeInForce
    limit_price, stop_price : Decimal, optional
        In currency, on the tick grid.
    trail_amount, trail_percent : Decimal, optional
        How far a trailing stop stays behind the best price: in currency, or in percent of it.
    expires_ns : int, optional
        Of a GTD order.
    oco_id : str
        The set of which the first fill cancels the others; empty for none.
    role : OrderRole
        What it is to an entry that has been filled.
    reduce_only : bool
        It closes, and may go before what opens.
    urgency : {'Patient', 'Normal', 'Urgent'}
        Of an ADAPTIVE order.
    """

    reference: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    expires_ns: int | None = None
    oco_id: str = ""
    role: OrderRole = OrderRole.NONE
    reduce_only: bool = False
    urgency: str = "Normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """What a working order is to become; None leaves it as it is. The quantity is the whole one, what is filled included."""

    reference: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class BrokerOrder(NamedTuple):
    """An order as its broker has it now.

    Parameters
    ----------
    reference : str
        Ours; empty if somebody else sent it.
    broker_id : str
        The broker's durable name for it.
    quantity, filled : float
        Unsigned units.
    average_price : float, optional
        Of what is filled.
    status : OrderStatus
        Never PENDING.
    reason : str
        Why it ended, or what the broker remarks on it.
    ts_ns : int
        When the broker said so; of its last change, if it tells.
    """

    reference: str
    broker_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: float
    filled: float
    average_price: float | None
    status: OrderStatus
    limit_price: float | None = None
    stop_price: float | None = None
    reason: str = ""
    ts_ns: int = 0


class Execution(NamedTuple):
    """An execution as its broker tells it; the same one may be told many times.

    Parameters
    ----------
    execution_id : str
        The broker's, or made of what does not change: the same whenever and however it is told.
    reference, broker_id : str
        Of its order; the reference is empty if somebody else sent that.
    quantity, price, commission : float
        Unsigned units, and in currency.
    ts_ns : int
        When it happened.
    replaces : str
        The `execution_id` that this one corrects; empty if it is news.
    is_bust : bool
        What it replaces never was.
    """

    execution_id: str
    reference: str
    broker_id: str
    symbol: str
    side: Side
    quantity: float
    price: float
    commission: float
    ts_ns: int
    replaces: str = ""
    is_bust: bool = False


class BrokerPosition(NamedTuple):
    """What an account holds: signed units, and what one has cost on average."""

    symbol: str
    quantity: float
    average_price: float


class BrokerAccount(NamedTuple):
    """An account, in its currency; what a broker does not say is None.

    Parameters
    ----------
    account_id : str
    is_paper : bool
        Whether no real money moves, as far as the broker's own word tells.
    is_blocked : bool
        Whether it takes no orders.
    """

    account_id: str
    is_paper: bool
    currency: str
    nav: float
    cash: float
    buying_power: float
    maintenance_margin: float | None = None
    can_short: bool = True
    is_blocked: bool = False
    reason: str = ""


class LinkKind(StrEnum):
    """What happens to the way between us and the broker."""

    UP = "up"
    """Connected, and everything that is asked is answered."""
    DOWN = "down"
    """Nothing gets through: the socket is gone, or the broker says that it cannot reach its own servers."""
    RESTORED = "restored"
    """Back, and nothing was lost (IBKR 1102)."""
    RESTORED_LOST = "restored_lost"
    """Back, and what was subscribed to must be asked for again (IBKR 1101)."""
    DEGRADED = "degraded"
    """Part of it does not work: a data farm, say."""
    PACING = "pacing"
    """The broker says that too much was asked."""
    REFUSED = "refused"
    """Keys or account are not accepted any more."""
    REMARK = "remark"
    """Something that nobody knows what to make of, or that is only for information."""


class LinkNotice(NamedTuple):
    """What happened to the way itself."""

    kind: LinkKind
    ts_ns: int
    text: str = ""


BrokerEvent: TypeAlias = BrokerOrder | Execution | LinkNotice


class Snapshot(NamedTuple):
    """Everything that a broker has of an account at one moment; executions since an instant that was asked for."""

    ts_ns: int
    account: BrokerAccount
    positions: tuple[BrokerPosition, ...]
    orders: tuple[BrokerOrder, ...]
    executions: tuple[Execution, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "ts_ns": self.ts_ns,
            "account": self.account._asdict(),
            "positions": [position._asdict() for position in self.positions],
            "orders": [order._asdict() for order in self.orders],
            "executions": [execution._asdict() for execution in self.executions],
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made plain."""
        return cls(
            data["ts_ns"],
            BrokerAccount(**data["account"]),
            tuple(BrokerPosition(**one) for one in data["positions"]),
            tuple(order_of(one) for one in data["orders"]),
            tuple(execution_of(one) for one in data["executions"]),
        )


def order_of(data: Mapping[str, Any]) -> BrokerOrder:
    """Return the order that its `_asdict` made plain."""
    words = {"side": Side(data["side"]), "order_type": OrderType(data["order_type"]), "status": OrderStatus(data["status"])}
    return BrokerOrder(**{**data, **words})


def execution_of(data: Mapping[str, Any]) -> Execution:
    """Return the execution that its `_asdict` made plain."""
    return Execution(**{**data, "side": Side(data["side"])})


def request_dict(request: OrderRequest | ChangeRequest) -> dict[str, Any]:
    """Return a request as plain data; what is not set is left out."""
    return {name: str(value) for name, value in asdict(request).items() if value not in (None, "")}
