"""Our orders in the words of Interactive Brokers, and theirs in ours (domain rule 14.3): pure, and without its library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from fairlead.core.errors import OrderRejected
from fairlead.core.orders import OrderStatus, OrderType, Side, TimeInForce
from fairlead.core.time import to_datetime
from fairlead.data.vendors.ibkr.messages import ValueTold
from fairlead.execution.brokers.words import BrokerAccount, ChangeRequest, OrderRequest
from fairlead.execution.families import EXITS

CANCEL_ALL: Final = 1
"""The first fill of a group, even in part, cancels its others."""
REDUCE: Final = 2
"""A fill takes as much from the others of its group: what is left of a position keeps its stop."""
TAGS: Final = ("NetLiquidation", "TotalCashValue", "BuyingPower", "Cushion", "MaintMarginReq", "EquityWithLoanValue")

_MARKET, _LIMIT, _STOP, _STOP_LIMIT, _TRAIL = "MKT", "LMT", "STP", "STP LMT", "TRAIL"
_TYPES: Final = MappingProxyType(
    {
        OrderType.MARKET: _MARKET,
        OrderType.LIMIT: _LIMIT,
        OrderType.STOP: _STOP,
        OrderType.STOP_LIMIT: _STOP_LIMIT,
        OrderType.TRAILING_STOP: _TRAIL,
    }
)
_THEIRS: Final = {theirs: ours for ours, theirs in _TYPES.items()} | {"MOC": OrderType.MARKET, "LOC": OrderType.LIMIT}
_AT_THE_CLOSE: Final = MappingProxyType({_MARKET: "MOC", _LIMIT: "LOC"})
_ADAPTIVE: Final = "Adaptive"
_URGENCIES: Final = ("Patient", "Normal", "Urgent")
FILLED: Final = "Filled"
CANCELLED: Final = frozenset({"Cancelled", "ApiCancelled"})
_ENDED: Final = MappingProxyType({FILLED: OrderStatus.FILLED, **dict.fromkeys(sorted(CANCELLED), OrderStatus.CANCELLED)})
_ON_THEIR_WAY: Final = frozenset({"ApiPending", "PendingSubmit", "PreSubmitted"})
_WORKING: Final = "Submitted"
INACTIVE: Final = "Inactive"
PENDING_CANCEL: Final = "PendingCancel"
KNOWN_STATUSES: Final = frozenset({*_ENDED, *_ON_THEIR_WAY, _WORKING, INACTIVE, PENDING_CANCEL})


def terms_of(request: OrderRequest, *, account: str, group: str = "", group_type: int = CANCEL_ALL) -> dict[str, Any]:
    """Return the fields of an order as it is sent.

    Parameters
    ----------
    request : OrderRequest
    account : str
    group : str
        Orders of one group cancel or reduce each other.
    group_type : int
        `CANCEL_ALL` or `REDUCE`.

    Raises
    ------
    OrderRejected
        If there is no such order at this broker.
    """
    terms: dict[str, Any] = {
        "action": request.side.value,
        "totalQuantity": _number(request.quantity),
        "account": account,
        "orderRef": request.reference,
        "transmit": True,
        **_type_terms(request),
    }
    terms |= _time_terms(request, terms["orderType"])
    return terms | ({"ocaGroup": group, "ocaType": group_type} if group else {})


def _type_terms(request: OrderRequest) -> dict[str, Any]:
    limit, stop = request.limit_price, request.stop_price
    if request.order_type is OrderType.ADAPTIVE:
        if request.urgency not in _URGENCIES:
            raise OrderRejected.of("urgency", f"be one of {', '.join(_URGENCIES)}", request.urgency)
        plain = {"orderType": _MARKET} if limit is None else {"orderType": _LIMIT, "lmtPrice": _number(limit)}
        return plain | {"algoStrategy": _ADAPTIVE, "algoParams": (("adaptivePriority", request.urgency),)}
    terms: dict[str, Any] = {"orderType": _TYPES[request.order_type]}
    if request.order_type in {OrderType.LIMIT, OrderType.STOP_LIMIT}:
        terms["lmtPrice"] = _required("limit_price", limit, request)
    if request.order_type in {OrderType.STOP, OrderType.STOP_LIMIT}:
        terms["auxPrice"] = _required("stop_price", stop, request)
    if request.order_type is OrderType.TRAILING_STOP:
        if request.trail_amount is not None:
            terms["auxPrice"] = _number(request.trail_amount)
        else:
            terms["trailingPercent"] = _required("trail_percent", request.trail_percent, request)
        if stop is not None:
            terms["trailStopPrice"] = _number(stop)
    return terms


def _time_terms(request: OrderRequest, order_type: str) -> dict[str, Any]:
    in_force = request.time_in_force
    if in_force is TimeInForce.GTD:
        if request.expires_ns is None:
            raise OrderRejected.of("expires_ns", "be given for GTD", None)
        return {"tif": "GTD", "goodTillDate": to_datetime(request.expires_ns).strftime("%Y%m%d-%H:%M:%S")}
    if in_force in {TimeInForce.OPG, TimeInForce.CLS} and order_type not in _AT_THE_CLOSE:
        rule = f"be MARKET or LIMIT in an auction ({in_force})"
        raise OrderRejected.of("order_type", rule, request.order_type.value)
    if in_force is TimeInForce.CLS:
        return {"tif": "DAY", "orderType": _AT_THE_CLOSE[order_type]}
    return {"tif": in_force.value}


def changed(terms: Mapping[str, Any], change: ChangeRequest) -> dict[str, Any]:
    """Return the fields of a working order as it is to become.

    Raises
    ------
    OrderRejected
        If such an order has no such price.
    """
    new = dict(terms)
    if change.quantity is not None:
        new["totalQuantity"] = _number(change.quantity)
    if change.limit_price is not None:
        if terms.get("orderType") not in {_LIMIT, _STOP_LIMIT, "LOC"}:
            raise OrderRejected.of("limit_price", "not be given for such an order", str(change.limit_price))
        new["lmtPrice"] = _number(change.limit_price)
    if change.stop_price is not None:
        field = {_STOP: "auxPrice", _STOP_LIMIT: "auxPrice", _TRAIL: "trailStopPrice"}.get(str(terms.get("orderType")))
        if field is None:
            raise OrderRejected.of("stop_price", "not be given for such an order", str(change.stop_price))
        new[field] = _number(change.stop_price)
    return new


def agrees(terms: Mapping[str, Any], change: ChangeRequest) -> bool:
    """Return whether an order's fields are what a change wishes."""
    wished = changed(terms, change)
    return all(float(terms.get(name) or 0) == float(wished[name]) for name in wished if name in _CHANGEABLE)


_CHANGEABLE: Final = ("totalQuantity", "lmtPrice", "auxPrice", "trailStopPrice")


def group_of(requests: Sequence[OrderRequest]) -> tuple[str, int]:
    """Return the group that orders which are sent at once belong to, and what a fill means in it; empty for none."""
    if len(requests) > 1 and all(request.role in EXITS for request in requests):
        return f"exits-{requests[0].reference}", REDUCE
    return requests[0].oco_id, CANCEL_ALL


def type_of(terms: Mapping[str, Any]) -> OrderType:
    """Return the type of an order; of one that we have no word for, that of what it most resembles."""
    if terms.get("algoStrategy") == _ADAPTIVE:
        return OrderType.ADAPTIVE
    theirs = str(terms.get("orderType", ""))
    known = _THEIRS.get(theirs)
    if known is not None:
        return known
    if theirs.startswith("TRAIL"):
        return OrderType.TRAILING_STOP
    if theirs.startswith("STP") or theirs == "MIT":
        return OrderType.STOP
    return OrderType.LIMIT if terms.get("lmtPrice") else OrderType.MARKET


def side_of(action: str) -> Side:
    """Return the side that an action or an execution's side stands for (``BUY``, ``BOT``, ``SELL``, ``SLD``, ``SSHORT``)."""
    return Side.BUY if action in {"BUY", "BOT"} else Side.SELL


def stop_of(terms: Mapping[str, Any]) -> float | None:
    """Return the stop price of an order's fields."""
    order_type = str(terms.get("orderType", ""))
    value = terms.get("trailStopPrice") if order_type.startswith("TRAIL") else terms.get("auxPrice")
    return None if value is None or not (order_type.startswith(("STP", "TRAIL")) or order_type == "MIT") else float(value)


def limit_of(terms: Mapping[str, Any]) -> float | None:
    """Return the limit price of an order's fields."""
    value = terms.get("lmtPrice")
    return None if value is None else float(value)


def held_as(theirs: str, why_held: str) -> str:
    """Return a status with what it is held for in mind: a stop that the broker itself holds until its trigger is working."""
    return _WORKING if theirs == "PreSubmitted" and "trigger" in why_held else theirs


def status_of(theirs: str, filled: float, quantity: float, before: OrderStatus | None) -> OrderStatus:
    """Return an order's status.

    Parameters
    ----------
    theirs : str
        One of `KNOWN_STATUSES`; any other leaves it as it was.
    filled, quantity : float
    before : OrderStatus or None
        What it was; None if it has not been heard of.
    """
    ended = _ENDED.get(theirs)
    if ended is not None:
        return ended
    has_worked = filled > 0 or before in {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTIALLY_FILLED}
    if theirs == INACTIVE and not has_worked:
        return OrderStatus.REJECTED
    if 0 < filled < quantity:
        return OrderStatus.PARTIALLY_FILLED
    if theirs == _WORKING and filled <= 0:
        return OrderStatus.ACKNOWLEDGED
    if before is not None and theirs not in _ON_THEIR_WAY:
        return before
    return before if before is OrderStatus.ACKNOWLEDGED else OrderStatus.SUBMITTED


def account_of(account: str, values: Sequence[ValueTold], *, is_paper: bool, can_short: bool = True) -> BrokerAccount | None:
    """Return an account of its summary; None if that does not tell the least that there is to know."""
    told = {value.tag: value for value in values if value.account == account}
    try:
        numbers = {tag: float(value.value) for tag, value in told.items() if value.value}
        nav, cash = numbers["NetLiquidation"], numbers["TotalCashValue"]
    except (KeyError, ValueError):
        return None
    return BrokerAccount(
        account_id=account,
        is_paper=is_paper,
        currency=told["NetLiquidation"].currency or "USD",
        nav=nav,
        cash=cash,
        buying_power=numbers.get("BuyingPower", cash),
        maintenance_margin=numbers.get("MaintMarginReq"),
        can_short=can_short,
    )


def _number(value: Decimal) -> Decimal:
    # Never with an exponent: the protocol is text.
    return Decimal(format(value, "f"))


def _required(name: str, value: Decimal | None, request: OrderRequest) -> Decimal:
    if value is None:
        raise OrderRejected.of(name, f"be given for a {request.order_type} order", None)
    return _number(value)
