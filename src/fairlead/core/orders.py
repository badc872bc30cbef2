"""Orders: what is working (`Order`), and the only ways in which its status may change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from fairlead.core.errors import InvalidTransition


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
    TRAILING_STOP = "TRAILING_STOP"
    """A stop that follows the price at a distance, and never goes back."""
    ADAPTIVE = "ADAPTIVE"
    """A market order that is worked over a bar."""


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"
    OPG = "OPG"
    """In the opening auction of a session, or not at all."""
    CLS = "CLS"
    """In the closing auction of a session, or not at all."""


class OrderRole(StrEnum):
    """What an order is to the one that it hangs on."""

    NONE = ""
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    FOLLOWER = "follower"


class AmountKind(StrEnum):
    """In what the size of an intent is stated."""

    QUANTITY = "quantity"
    NOTIONAL = "notional"
    TARGET_POSITION = "target_position"
    TARGET_WEIGHT = "target_weight"
    SIZED = "sized"
    """By the sizing rule of the session; the amount is +1 to buy and -1 to sell."""


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
        # To itself: a replacement changes what the order asks for, not where it stands.
        _S.ACKNOWLEDGED: frozenset(
            {
                *(_S.ACKNOWLEDGED, _S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL),
                *(_S.CANCELLED, _S.REJECTED, _S.EXPIRED),
            }
        ),
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

# The same table without its read-only cover, which would double the price of a look-up.
_ALLOWED: Final = dict(TRANSITIONS)
_FILLED: Final = OrderStatus.FILLED
_PARTIALLY_FILLED: Final = OrderStatus.PARTIALLY_FILLED
# Of a million units on a lot of 0.001 one part in 1e9 is a lot; the rounding of sums is a thousand times finer.
_ROUNDING: Final = 1e-12


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


# Made in C: a run makes three of an order, and the constructor of a named tuple is a Python function.
_make_update: Final = partial(tuple.__new__, OrderUpdate)


# Not `kw_only`: to match fifteen names to fields takes as long as to set them, and a run makes thousands.
@dataclass(slots=True, eq=False)
class Order:
    """An order and what has become of it. Its status changes through `move_to` and `record_fill` alone.

    Parameters
    ----------
    quantity : float
        Unsigned, on the lot grid. An exit of a bracket starts at 0 and grows with what its parent fills.
    created_ns : int
        The instant of the decision.
    arrives_ns : int
        The instant at which the market side knows the order: decision plus latency.
    oco_id : str
        The one-cancels-other set it belongs to; empty for none.
    parent_id : str
        The order whose fills bring it to life; empty for none.
    trail_amount, trail_percent : float, optional
        How far a trailing stop stays behind the best price: in currency, or in percent of it.
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
    oco_id: str = ""
    parent_id: str = ""
    role: OrderRole = OrderRole.NONE
    reduce_only: bool = False
    trail_amount: float | None = None
    trail_percent: float | None = None
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
    decided_symbol: str = ""
    """The name it was decided under, if a rename has changed it since; empty if none has."""

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
        previous = self.status
        if status not in _ALLOWED[previous]:
            raise self._impossible(status)
        self.status = status
        if reason:
            self.reason = reason
        self.update_count = seq = self.update_count + 1
        return _make_update((self.order_id, seq, ts_ns, previous, status, self.filled_quantity, self.average_price, reason))

    def record_fill(self, quantity: float, price: float, commission: float, ts_ns: int) -> OrderUpdate:
        """Add an execution and return the resulting status change.

        Raises
        ------
        InvalidTransition
            If the fill is larger than what remains, or the order is final.
        """
        before, whole = self.filled_quantity, self.quantity
        filled = before + quantity
        # This forgives the rounding of sums of fractional lots; a whole lot too much or too little never passes.
        if not quantity > 0.0 or filled > whole * (1 + _ROUNDING):
            raise InvalidTransition(f"order {self.order_id} has {self.remaining} left and cannot fill {quantity}.")
        complete = filled >= whole * (1 - _ROUNDING)
        status = _FILLED if complete else _PARTIALLY_FILLED
        if status not in _ALLOWED[self.status]:  # before anything is booked: a refused fill leaves no trace
            raise self._impossible(status)
        value = 0.0 if self.average_price is None else self.average_price * before
        self.average_price = (value + price * quantity) / filled
        self.filled_quantity = whole if complete else filled
        self.executed += quantity
        self.commission += commission
        return self.move_to(status, ts_ns)

    def record_late_fill(self, quantity: float, price: float, commission: float, ts_ns: int) -> OrderUpdate:
        """Add an execution that a broker tells of an order that is over, or above what it had left: it is true all the same.

        The status stays what it is.
        """
        value = 0.0 if self.average_price is None else self.average_price * self.filled_quantity
        self.filled_quantity += quantity
        self.average_price = (value + price * quantity) / self.filled_quantity
        self.executed += quantity
        self.commission += commission
        return self._told_again(ts_ns, "late_fill")

    def take_back_fill(self, quantity: float, price: float, commission: float, ts_ns: int) -> OrderUpdate:
        """Take off an execution that a broker says never was. The status stays what it is.

        Raises
        ------
        InvalidTransition
            If so much was not filled.
        """
        left = self.filled_quantity - quantity
        if not quantity > 0.0 or left < -_ROUNDING * quantity:
            raise InvalidTransition(f"order {self.order_id} has filled {self.filled_quantity} and cannot give back {quantity}.")
        value = 0.0 if self.average_price is None else self.average_price * self.filled_quantity
        self.filled_quantity = max(0.0, left)
        self.average_price = (value - price * quantity) / left if left > 0.0 else None
        self.executed -= quantity
        self.commission -= commission
        return self._told_again(ts_ns, "fill_taken_back")

    def _told_again(self, ts_ns: int, reason: str) -> OrderUpdate:
        self.update_count = seq = self.update_count + 1
        status = self.status
        return _make_update((self.order_id, seq, ts_ns, status, status, self.filled_quantity, self.average_price, reason))

    def _impossible(self, status: OrderStatus) -> InvalidTransition:
        allowed = ", ".join(sorted(TRANSITIONS[self.status])) or "nothing: it is final"
        return InvalidTransition(f"order {self.order_id} cannot go from {self.status} to {status}. Allowed: {allowed}.")
