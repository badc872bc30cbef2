"""Orders: what a strategy wants (`OrderIntent`), what is working (`Order`), and the only ways a status may change."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from fairlead.core.errors import ContractError, InvalidTransition
from fairlead.core.instruments import check_symbol
from fairlead.core.time import to_ns


class Side(StrEnum):
    """Direction of an order or a fill."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is _BUY else -1

    @classmethod
    def of(cls, signed_quantity: float) -> Side:
        """Return the side of a signed quantity."""
        return _BUY if signed_quantity > 0 else _SELL


# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL


class OrderType(StrEnum):
    """How an order meets the market."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class AmountKind(StrEnum):
    """In what the size of an intent is stated."""

    QUANTITY = "quantity"
    NOTIONAL = "notional"
    TARGET_POSITION = "target_position"
    TARGET_WEIGHT = "target_weight"


class OrderStatus(StrEnum):
    """Where an order stands in its life."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


_S = OrderStatus
TRANSITIONS: Final = MappingProxyType(
    {
        _S.PENDING: frozenset({_S.SUBMITTED, _S.REJECTED, _S.CANCELLED, _S.EXPIRED}),
        _S.SUBMITTED: frozenset(
            {_S.ACKNOWLEDGED, _S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}
        ),
        _S.ACKNOWLEDGED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}),
        _S.PARTIALLY_FILLED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELLED, _S.EXPIRED}),
        # A cancel is a request: the market may still fill the order before it is heard.
        _S.PENDING_CANCEL: frozenset({_S.PENDING_CANCEL, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED: frozenset(),
    }
)
"""The one transition table. A missing entry is an `InvalidTransition`."""

TERMINAL: Final = frozenset(status for status, following in TRANSITIONS.items() if not following)


_TARGETS: Final = frozenset({AmountKind.TARGET_POSITION, AmountKind.TARGET_WEIGHT})
_WITH_LIMIT: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_WITH_STOP: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_GTD: Final = TimeInForce.GTD
_FILLED: Final = OrderStatus.FILLED
_PARTIALLY_FILLED: Final = OrderStatus.PARTIALLY_FILLED
# Of a million units on a lot of 0.001 one part in 1e9 is a lot; the rounding of sums is a thousand times finer.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """What a strategy wants; sizing, guards and execution decide what becomes of it.

    Use the short constructors: `market`, `limit`, `stop`, `stop_limit`, `notional`, `target_position`, `target_weight`.

    Parameters
    ----------
    amount : float
        Signed. In units, in currency, or as a fraction of equity, as `amount_kind` says.
    limit_price, stop_price : float, optional
        In currency; the tick grid is applied when the order is made.
    expires_at : datetime, optional
        Required by, and only for, `TimeInForce.GTD`.
    tag : str
        A reason of your own; it travels with the order into every artefact.

    Raises
    ------
    ContractError
        If a value is not finite, or type and prices do not fit together.
    """

    symbol: str
    amount: float
    amount_kind: AmountKind = AmountKind.QUANTITY
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_at: dt.datetime | None = None
    tag: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "symbol", check_symbol(self.symbol))
        if not math.isfinite(self.amount):
            raise ContractError.of(f"{self.symbol} amount", "be a finite number", self.amount)
        if self.amount == 0 and self.amount_kind not in _TARGETS:
            raise ContractError.of(f"{self.symbol} {self.amount_kind}", "not be 0", self.amount, "Return no intent instead.")
        _check_price(self, "limit_price", self.limit_price, wanted=self.order_type in _WITH_LIMIT)
        _check_price(self, "stop_price", self.stop_price, wanted=self.order_type in _WITH_STOP)
        if (self.time_in_force is _GTD) != (self.expires_at is not None):
            raise ContractError.of(f"{self.symbol} expires_at", "be given for GTD orders, and only for them", self.expires_at)
        if self.expires_at is not None:
            to_ns(self.expires_at)

    @classmethod
    def market(
        cls, symbol: str, quantity: float, *, time_in_force: TimeInForce = TimeInForce.DAY, tag: str = ""
    ) -> OrderIntent:
        """Buy (`quantity` > 0) or sell (< 0) at the next price."""
        return cls(symbol=symbol, amount=quantity, time_in_force=time_in_force, tag=tag)

    @classmethod
    def limit(
        cls,
        symbol: str,
        quantity: float,
        price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Buy at `price` or lower, or sell at `price` or higher."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.LIMIT,
            limit_price=price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def stop(
        cls,
        symbol: str,
        quantity: float,
        price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Buy once the market trades at `price` or higher, or sell once it trades at `price` or lower."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.STOP,
            stop_price=price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def stop_limit(
        cls,
        symbol: str,
        quantity: float,
        stop_price: float,
        limit_price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Once the stop is touched, work a limit order."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.STOP_LIMIT,
            stop_price=stop_price,
            limit_price=limit_price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def notional(cls, symbol: str, amount: float, *, tag: str = "") -> OrderIntent:
        """Buy (> 0) or sell (< 0) for `amount` of currency at the next price."""
        return cls(symbol=symbol, amount=amount, amount_kind=AmountKind.NOTIONAL, tag=tag)

    @classmethod
    def target_position(cls, symbol: str, quantity: float, *, tag: str = "") -> OrderIntent:
        """Trade to a signed position of `quantity` units at the next price."""
        return cls(symbol=symbol, amount=quantity, amount_kind=AmountKind.TARGET_POSITION, tag=tag)

    @classmethod
    def target_weight(cls, symbol: str, weight: float, *, tag: str = "") -> OrderIntent:
        """Trade to a signed share of equity: 0.5 is half of it, long."""
        return cls(symbol=symbol, amount=weight, amount_kind=AmountKind.TARGET_WEIGHT, tag=tag)


def _check_price(intent: OrderIntent, name: str, price: float | None, *, wanted: bool) -> None:
    where = f"{intent.symbol} {name}"
    if wanted and price is None:
        raise ContractError.of(where, f"be given for a {intent.order_type} order", price)
    if not wanted and price is not None:
        raise ContractError.of(where, f"not be given for a {intent.order_type} order", price)
    if price is not None and not (math.isfinite(price) and price > 0):
        raise ContractError.of(where, "be a finite price above 0", price)


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """A strategy's wish to take a working order back. Return it from `generate_orders` like any other intent."""

    order_id: str


class OrderUpdate(NamedTuple):
    """One change of an order's status, as a fact."""

    order_id: str
    seq: int
    ts_ns: int
    previous: OrderStatus
    status: OrderStatus
    filled_quantity: float
    average_price: float | None
    reason: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """An order and what has become of it. Its status changes through `move_to` and `record_fill` alone.

    Parameters
    ----------
    quantity : float
        Unsigned, on the lot grid.
    created_ns : int
        The instant of the decision.
    arrives_ns : int
        The instant at which the market side knows the order: decision plus latency.
    """

    order_id: str
    idempotency_key: str
    group_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: float
    order_type: OrderType
    created_ns: int
    arrives_ns: int
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_ns: int | None = None
    tag: str = ""
    status: OrderStatus = OrderStatus.PENDING
    filled_quantity: float = 0.0
    average_price: float | None = None
    commission: float = 0.0
    reason: str = ""
    day_session: int | None = None
    """The session a DAY order belongs to, once it is known: that of the first row it could fill in."""
    stop_triggered: bool = False
    update_count: int = 0
    executed: float = 0.0
    """Units executed, each as it was then: a split scales `filled_quantity`, not this."""
    decided_quantity: float | None = None
    """What was asked for, if a split has scaled it since; None if none has. The two prices likewise."""
    decided_limit: float | None = None
    decided_stop: float | None = None

    @property
    def remaining(self) -> float:
        """Unfilled quantity, in units."""
        return self.quantity - self.filled_quantity

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self.status in TERMINAL

    @property
    def decision(self) -> tuple[float, float | None, float | None]:
        """Quantity, limit and stop price as they were decided, whatever splits have made of them since."""
        if self.decided_quantity is None:
            return self.quantity, self.limit_price, self.stop_price
        return self.decided_quantity, self.decided_limit, self.decided_stop

    def move_to(self, status: OrderStatus, ts_ns: int, reason: str = "") -> OrderUpdate:
        """Change the status and return the change as a fact.

        Raises
        ------
        InvalidTransition
            If the table has no such entry.
        """
        self._check_transition(status)
        previous = self.status
        self.status = status
        if reason:
            self.reason = reason
        self.update_count += 1
        return OrderUpdate(
            self.order_id, self.update_count, ts_ns, previous, status, self.filled_quantity, self.average_price, reason
        )

    def record_fill(self, quantity: float, price: float, commission: float, ts_ns: int) -> OrderUpdate:
        """Add an execution and return the resulting status change.

        Raises
        ------
        InvalidTransition
            If the fill is larger than what remains, or the order is final.
        """
        filled = self.filled_quantity + quantity
        # This forgives the rounding of sums of fractional lots; a whole lot too much or too little never passes.
        if not quantity > 0 or filled > self.quantity * (1 + _ROUNDING):
            raise InvalidTransition(f"order {self.order_id} has {self.remaining} left and cannot fill {quantity}.")
        complete = filled >= self.quantity * (1 - _ROUNDING)
        status = _FILLED if complete else _PARTIALLY_FILLED
        self._check_transition(status)  # before anything is booked: a refused fill leaves no trace
        if complete:
            filled = self.quantity
        before = 0.0 if self.average_price is None else self.average_price * self.filled_quantity
        self.average_price = (before + price * quantity) / (self.filled_quantity + quantity)
        self.filled_quantity = filled
        self.executed += quantity
        self.commission += commission
        return self.move_to(status, ts_ns)

    def _check_transition(self, status: OrderStatus) -> None:
        if status not in TRANSITIONS[self.status]:
            allowed = ", ".join(sorted(TRANSITIONS[self.status])) or "nothing: it is final"
            raise InvalidTransition(f"order {self.order_id} cannot go from {self.status} to {status}. Allowed: {allowed}.")
