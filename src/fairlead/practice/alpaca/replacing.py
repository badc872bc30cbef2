"""What a client may ask for in the place of an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from fairlead.core.instruments import Instrument
from fairlead.practice.alpaca.placing import check_tick
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.refusals import forbidden, invalid
from fairlead.practice.alpaca.words import read_number


class Change(NamedTuple):
    """An order in the place of another. Its quantity is its own, without what that one has filled."""

    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    client_order_id: str


def read_change(body: Any, record: Record, instrument: Instrument) -> Change:
    """Return what a request asks for; what it leaves out is as it was, the whole quantity too.

    Raises
    ------
    Refusal
        If it is malformed, does not fit the order, or changes nothing.
    """
    if not isinstance(body, dict):
        raise invalid("request body format is invalid", 40010000)
    if str(body.get("time_in_force") or record.time_in_force) != record.time_in_force:
        raise invalid("time_in_force cannot be changed at this server")
    if body.get("trail") is not None:
        raise invalid("trail cannot be changed at this server")
    asked = {name: read_number(body, name) for name in ("qty", "limit_price", "stop_price")}
    for name in ("limit_price", "stop_price"):
        if asked[name] is not None and getattr(record, name) is None:
            raise invalid(f"{record.order_type} orders must not have {name.replace('_', ' ')}")
        check_tick(asked[name], instrument)
    quantity = asked["qty"]
    if quantity is not None and quantity % 1:
        raise invalid("qty must be an integer")
    if quantity is not None and (record.leg_ids or record.parent_id) and float(quantity) != record.quantity:
        raise invalid("qty of a complex order cannot be replaced")
    before = (record.quantity, record.limit_price, record.stop_price)
    after = tuple(
        was if new is None else float(new)
        for was, new in zip(before, (quantity, asked["limit_price"], asked["stop_price"]), strict=True)
    )
    if after == before and not record.filled:
        raise forbidden("order parameters are not changed")
    whole, limit, stop = (None if value is None else Decimal(repr(value)) for value in after)
    assert whole is not None
    return Change(whole, limit, stop, str(body.get("client_order_id") or ""))
