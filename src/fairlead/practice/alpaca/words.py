"""Alpaca's words for what an account has: names, statuses, stamps and numbers as text."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from fairlead.core.orders import OrderStatus, OrderType, TimeInForce
from fairlead.core.time import format_utc, to_ns
from fairlead.practice.alpaca.refusals import invalid

ORDER_TYPES: Final = MappingProxyType(
    {
        "market": OrderType.MARKET,
        "limit": OrderType.LIMIT,
        "stop": OrderType.STOP,
        "stop_limit": OrderType.STOP_LIMIT,
        "trailing_stop": OrderType.TRAILING_STOP,
    }
)
TIMES: Final = MappingProxyType(
    {
        "day": TimeInForce.DAY,
        "gtc": TimeInForce.GTC,
        "ioc": TimeInForce.IOC,
        "fok": TimeInForce.FOK,
        "opg": TimeInForce.OPG,
        "cls": TimeInForce.CLS,
    }
)
STATUSES: Final = MappingProxyType(
    {
        OrderStatus.SUBMITTED: "pending_new",
        OrderStatus.ACKNOWLEDGED: "new",
        OrderStatus.PARTIALLY_FILLED: "partially_filled",
        OrderStatus.PENDING_CANCEL: "pending_cancel",
        OrderStatus.FILLED: "filled",
        OrderStatus.CANCELLED: "canceled",
        OrderStatus.REJECTED: "rejected",
        OrderStatus.EXPIRED: "expired",
    }
)
ENDED: Final = frozenset({"filled", "canceled", "expired", "replaced", "rejected", "done_for_day"})
"""What Alpaca lists as closed."""
EVENTS: Final = MappingProxyType(
    {
        "pending_new": "pending_new",
        "accepted": "accepted",
        "new": "new",
        "canceled": "canceled",
        "expired": "expired",
        "rejected": "rejected",
        "pending_cancel": "pending_cancel",
        "pending_replace": "pending_replace",
        "done_for_day": "done_for_day",
        "replaced": "replaced",
    }
)
"""What the stream calls it when an order comes to a status, fills aside."""


def number_text(value: float | Decimal | None) -> str | None:
    """Return a number as Alpaca writes it: decimal text, never with an exponent."""
    if value is None:
        return None
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    return format(exact.normalize() + Decimal(0), "f")


def stamp_text(ns: int | None) -> str | None:
    """Return an instant as Alpaca writes it."""
    return None if ns is None else format_utc(ns)


def read_number(body: dict[str, Any], name: str) -> Decimal | None:
    """Return a number of a request, or None if it is not given.

    Raises
    ------
    Refusal
        If it is none, or not above zero.
    """
    value = body.get(name)
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise invalid(f"{name} must be a number")
    if number <= 0:
        raise invalid(f"{name} must be > 0")
    return number


def read_instant(text: str, name: str, *, end: bool = False) -> int:
    """Return an instant of a query, nanoseconds: RFC 3339 or a date, which then begins it or, with `end`, ends it.

    Raises
    ------
    Refusal
        If it is neither.
    """
    try:
        instant = dt.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as exc:
        raise invalid(f"invalid {name}: {text}") from exc
    if len(text) == len("2024-01-02"):
        instant = instant.replace(tzinfo=dt.UTC) + (dt.timedelta(days=1, microseconds=-1) if end else dt.timedelta())
    return to_ns(instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC))


def read_flag(text: str | None) -> bool:
    """Return whether a flag of a query is set."""
    return text is not None and text.lower() == "true"


def read_count(text: str | None, name: str, default: int, most: int) -> int:
    """Return a count of a query.

    Raises
    ------
    Refusal
        If it is no whole number from 1 to `most`.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise invalid(f"invalid {name}: must be from 1 to {most}")
    return int(text)
