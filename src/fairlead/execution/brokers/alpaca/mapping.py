"""Between our words and Alpaca's (domain rule 14.4). Pure: what comes in is plain data, as REST and stream bring it alike."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from fairlead.core.errors import ContractError, OrderRejected
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.data.vendors.alpaca.stamps import stamp_ns
from fairlead.execution.brokers.endpoint import AccountKind, alpaca_account
from fairlead.execution.brokers.words import (
    BrokerAccount,
    BrokerPosition,
    ChangeRequest,
    OrderRequest,
)

ORDER_TYPES: Final = MappingProxyType(
    {
        OrderType.MARKET: "market",
        OrderType.LIMIT: "limit",
        OrderType.STOP: "stop",
        OrderType.STOP_LIMIT: "stop_limit",
        OrderType.TRAILING_STOP: "trailing_stop",
    }
)
TIMES_IN_FORCE: Final = MappingProxyType(
    {
        TimeInForce.DAY: "day",
        TimeInForce.GTC: "gtc",
        TimeInForce.IOC: "ioc",
        TimeInForce.FOK: "fok",
        TimeInForce.OPG: "opg",
        TimeInForce.CLS: "cls",
    }
)
_TYPES_BACK: Final = {text: ours for ours, text in ORDER_TYPES.items()}
_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_S: Final = OrderStatus
STATUSES: Final[Mapping[str, OrderStatus | None]] = MappingProxyType(
    {
        "accepted": _S.SUBMITTED,
        "pending_new": _S.SUBMITTED,
        "pending_review": _S.SUBMITTED,
        "new": _S.ACKNOWLEDGED,
        "accepted_for_bidding": _S.ACKNOWLEDGED,
        # The stop of two linked exits, which Alpaca keeps and watches itself until its price is reached.
        "held": _S.ACKNOWLEDGED,
        "partially_filled": _S.PARTIALLY_FILLED,
        "filled": _S.FILLED,
        "canceled": _S.CANCELLED,
        "replaced": _S.CANCELLED,
        "expired": _S.EXPIRED,
        "rejected": _S.REJECTED,
        "done_for_day": None,
        "pending_cancel": None,
        "pending_replace": None,
        "stopped": None,
        "suspended": None,
        "calculated": None,
    }
)
"""What Alpaca's statuses are to us. None leaves an order where it stands; what is done for the day ends a DAY order."""


class RawOrder(NamedTuple):
    """An order of Alpaca's, read but not yet put together with those it replaces.

    Parameters
    ----------
    name : str
        The `client_order_id`.
    replaces, replaced_by : str
        Ids of the orders before and after it; empty if there are none.
    is_linked : bool
        Whether it is of a class that has legs; legs say so too.
    status : str
        Alpaca's word.
    legs : tuple of RawOrder
    """

    broker_id: str
    name: str
    replaces: str
    replaced_by: str
    is_linked: bool
    symbol: str
    side: Side
    order_type: OrderType
    is_day: bool
    quantity: float
    filled: float
    average_price: float | None
    status: str
    limit_price: float | None
    stop_price: float | None
    ts_ns: int
    submitted: str
    legs: tuple[RawOrder, ...] = ()


def order_fields(request: OrderRequest, name: str) -> dict[str, Any]:
    """Return what is sent for one order; numbers are text, so that none is rounded on the way.

    Raises
    ------
    OrderRejected
        If Alpaca has no such order.
    """
    kind, life = ORDER_TYPES.get(request.order_type), TIMES_IN_FORCE.get(request.time_in_force)
    if kind is None or life is None:
        what = request.order_type if kind is None else request.time_in_force
        raise OrderRejected(f"Alpaca has no {what.value} orders.")
    prices = {
        "limit_price": request.limit_price,
        "stop_price": request.stop_price,
        "trail_price": request.trail_amount,
        "trail_percent": request.trail_percent,
    }
    return {
        "symbol": request.symbol,
        "qty": number_text(request.quantity),
        "side": request.side.value.lower(),
        "type": kind,
        "time_in_force": life,
        "client_order_id": name,
        **{field: number_text(price) for field, price in prices.items() if price is not None},
    }


def pair_fields(first: OrderRequest, second: OrderRequest, name: str) -> dict[str, Any]:
    """Return what is sent for the two exits of a position: one order of the class `oco`.

    Parameters
    ----------
    first : OrderRequest
        The limit that takes the profit, see `in_pair_order`.
    second : OrderRequest
        The stop.
    name : str
    """
    stop = {"stop_price": second.stop_price, "limit_price": second.limit_price}
    return {
        **order_fields(first, name),
        "order_class": "oco",
        "take_profit": {"limit_price": number_text(first.limit_price)},
        "stop_loss": {field: number_text(price) for field, price in stop.items() if price is not None},
    }


def in_pair_order(first: OrderRequest, second: OrderRequest) -> tuple[OrderRequest, OrderRequest]:
    """Return two linked exits, the limit before the stop.

    Raises
    ------
    OrderRejected
        If they are not a limit and a stop for the same units.
    """
    pair = (first, second) if first.order_type is OrderType.LIMIT else (second, first)
    limit, stop = pair
    stops = {OrderType.STOP, OrderType.STOP_LIMIT}
    if limit.order_type is not OrderType.LIMIT or stop.order_type not in stops or limit.limit_price is None:
        raise OrderRejected("linked exits must be a limit and a stop for Alpaca; nothing was sent.")
    for field in ("symbol", "side", "quantity", "time_in_force"):
        if getattr(limit, field) != getattr(stop, field):
            raise OrderRejected(f"linked exits must have one {field} for Alpaca; nothing was sent.")
    return pair


def change_fields(change: ChangeRequest, quantity: Decimal | None, name: str) -> dict[str, Any]:
    """Return what is sent to replace an order.

    Parameters
    ----------
    change : ChangeRequest
    quantity : Decimal, optional
        Of the new order, which has filled nothing; None for that of the old one.
    name : str
    """
    asked = {"qty": quantity, "limit_price": change.limit_price, "stop_price": change.stop_price}
    return {"client_order_id": name, **{field: number_text(value) for field, value in asked.items() if value is not None}}


def read_order(raw: Any) -> RawOrder:
    """Return an order that was told.

    Raises
    ------
    ContractError
        If it is none.
    """
    if not isinstance(raw, Mapping):
        raise ContractError.of("order", "be an object", raw)
    legs = raw.get("legs") or ()
    return RawOrder(
        broker_id=text_of(raw, "id"),
        name=text_of(raw, "client_order_id"),
        replaces=str(raw.get("replaces") or ""),
        replaced_by=str(raw.get("replaced_by") or ""),
        is_linked=str(raw.get("order_class") or "simple") != "simple",
        symbol=str(raw.get("symbol") or ""),
        side=side_of(raw) if raw.get("side") else Side.BUY,
        # Of what others send there may be kinds that we do not; only how it fills is told from it then.
        order_type=_TYPES_BACK.get(str(raw.get("type") or raw.get("order_type")), OrderType.MARKET),
        is_day=str(raw.get("time_in_force", "day")) == "day",
        quantity=number_of(raw, "qty", 0.0),
        filled=number_of(raw, "filled_qty", 0.0),
        average_price=number_of(raw, "filled_avg_price", None),
        status=text_of(raw, "status"),
        limit_price=number_of(raw, "limit_price", None),
        stop_price=number_of(raw, "stop_price", None),
        ts_ns=_latest(raw),
        submitted=str(raw.get("submitted_at") or raw.get("created_at") or ""),
        legs=tuple(read_order(leg) for leg in legs),
    )


def status_of(raw: RawOrder, before: OrderStatus | None) -> OrderStatus:
    """Return where an order stands.

    Parameters
    ----------
    raw : RawOrder
    before : OrderStatus or None
        Where it stood when it was last heard of. For one that was never heard of, what it has filled tells.
    """
    status = STATUSES.get(raw.status)
    if raw.status == "done_for_day" and raw.is_day:
        return OrderStatus.EXPIRED
    if status is None:
        status = before or OrderStatus.ACKNOWLEDGED
        if raw.filled and status in {OrderStatus.SUBMITTED, OrderStatus.ACKNOWLEDGED}:
            status = OrderStatus.FILLED if raw.filled >= raw.quantity > 0 else OrderStatus.PARTIALLY_FILLED
    elif raw.filled and status in {OrderStatus.SUBMITTED, OrderStatus.ACKNOWLEDGED}:
        return OrderStatus.PARTIALLY_FILLED
    return status


def execution_id(broker_id: str, filled: Any) -> str:
    """Return what an execution is called: by its order and what that has filled with it.

    Stream and activities both tell these two; each has a number of its own besides, and nobody says that they agree.
    """
    return f"{broker_id}:{number_text(_decimal('filled quantity', filled))}"


def read_position(raw: Any) -> BrokerPosition:
    """Return a position that was told.

    Raises
    ------
    ContractError
        If it is none.
    """
    if not isinstance(raw, Mapping):
        raise ContractError.of("position", "be an object", raw)
    quantity = abs(number_of(raw, "qty", 0.0))
    sign = -1.0 if raw.get("side") == "short" else 1.0
    return BrokerPosition(text_of(raw, "symbol"), sign * quantity, number_of(raw, "avg_entry_price", 0.0))


def read_account(raw: Any) -> BrokerAccount:
    """Return the account that was told.

    Raises
    ------
    ContractError
        If it is none.
    """
    if not isinstance(raw, Mapping):
        raise ContractError.of("account", "be an object", raw)
    number = text_of(raw, "account_number")
    status = str(raw.get("status") or "ACTIVE")
    blocks = [name for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user") if raw.get(name)]
    if status not in {"ACTIVE", "ACCOUNT_UPDATED", "PAPER_ONLY"}:
        blocks.append(f"status {status}")
    return BrokerAccount(
        account_id=number,
        is_paper=alpaca_account(number) is AccountKind.PAPER,
        currency=str(raw.get("currency") or "USD"),
        nav=number_of(raw, "equity", None) or number_of(raw, "portfolio_value", 0.0),
        cash=number_of(raw, "cash", 0.0),
        buying_power=number_of(raw, "buying_power", 0.0),
        maintenance_margin=number_of(raw, "maintenance_margin", None),
        can_short=bool(raw.get("shorting_enabled", True)),
        is_blocked=bool(blocks),
        reason=", ".join(blocks),
    )


def number_text(value: Decimal | None) -> str:
    """Return a number as plain text, without exponent or trailing zeros."""
    return "" if value is None else format(value.normalize(), "f")


def exact(value: float) -> Decimal:
    """Return a quantity of ours as it is written, without the noise of its binary form."""
    return Decimal(repr(float(value)))


def text_of(raw: Mapping[str, Any], field: str) -> str:
    """Return a text that must be there.

    Raises
    ------
    ContractError
        If it is not.
    """
    value = raw.get(field)
    if not isinstance(value, str) or not value:
        raise ContractError.of(field, "be a text", value)
    return value


def number_of(raw: Mapping[str, Any], field: str, default: Any) -> Any:
    """Return a number, which Alpaca writes as text or as one; `default` if there is none.

    Raises
    ------
    ContractError
        If it is something else.
    """
    value = raw.get(field)
    return default if value is None or value == "" else float(_decimal(field, value))


def side_of(raw: Mapping[str, Any]) -> Side:
    """Return the side of an order or an execution.

    Raises
    ------
    ContractError
        If it is none that is known.
    """
    # A short sale is a sale; activities tell it apart.
    side = _SIDES.get(str(raw.get("side")).removesuffix("_short"))
    if side is None:
        raise ContractError.of("side", "be buy or sell", raw.get("side"))
    return side


def _decimal(field: str, value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as exc:
        raise ContractError.of(field, "be a number", value) from exc
    if not number.is_finite():
        raise ContractError.of(field, "be a number", value)
    return number


def _latest(raw: Mapping[str, Any]) -> int:
    stamp = raw.get("updated_at") or raw.get("submitted_at") or raw.get("created_at")
    return stamp_ns(stamp) if stamp else 0
