"""What a client asks, read from its fields by the version that is spoken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fairlead.core.errors import ContractError
from fairlead.practice.tws.listings import WantedContract

_CONTRACT: Final = 12
_LEGS_OF_PRICE: Final = 8


class Fields:
    """The fields of one message, read from the left."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields, self._at = fields, 0

    def text(self) -> str:
        """Return the next field.

        Raises
        ------
        ContractError
            If there is none.
        """
        if self._at >= len(self._fields):
            raise ContractError.of("message", f"have more than {self._at} fields", self._fields[:4])
        self._at += 1
        return self._fields[self._at - 1]

    def skip(self, count: int) -> None:
        """Pass over fields."""
        for _ in range(count):
            self.text()

    def whole(self) -> int:
        """Return the next field as a whole number; 0 if it is empty."""
        text = self.text()
        try:
            return int(text or 0)
        except ValueError as exc:
            raise ContractError.of(f"field {self._at}", "be a whole number", text[:40]) from exc

    def number(self) -> float | None:
        """Return the next field as a number; None if it is empty."""
        text = self.text()
        try:
            value = float(text) if text else None
        except ValueError as exc:
            raise ContractError.of(f"field {self._at}", "be a number", text[:40]) from exc
        if value is not None and not math.isfinite(value):
            raise ContractError.of(f"field {self._at}", "be finite", text[:40])
        return value

    def truth(self) -> bool:
        """Return the next field as a truth."""
        return self.whole() != 0

    def contract(self) -> WantedContract:
        """Return the next twelve fields as a contract."""
        return WantedContract(*(self.text() for _ in range(_CONTRACT)))


@dataclass(slots=True, kw_only=True)
class Ticket:
    """An order as a client asks for it, in the words of the protocol; the parts that change nothing here are left out."""

    order_id: int
    contract: WantedContract
    action: str
    quantity: float
    order_type: str
    limit: float | None
    aux: float | None
    tif: str
    oca_group: str
    account: str
    order_ref: str
    transmit: bool
    parent_id: int
    outside_rth: bool
    good_after: str
    good_till: str
    oca_type: int
    trail_stop: float | None
    trail_percent: float | None
    algo: str
    algo_params: tuple[tuple[str, str], ...]
    what_if: bool


def read_ticket(fields: Fields, version: int) -> Ticket:
    """Return the order of a `placeOrder` message, from its order id on.

    Raises
    ------
    ContractError
        If fields are missing or are no numbers, or the order has legs or conditions.
    """
    order_id, contract = fields.whole(), fields.contract()
    if contract.kind == "BAG":
        raise ContractError.of("secType", "not be BAG at this server", "BAG")
    fields.skip(2)  # the contract's other numbers
    action, quantity, order_type = fields.text(), fields.number() or 0.0, fields.text()
    limit, aux, tif, group, account = fields.number(), fields.number(), fields.text(), fields.text(), fields.text()
    fields.skip(2)
    reference, transmit, parent = fields.text(), fields.truth(), fields.whole()
    fields.skip(4)
    outside = fields.truth()
    fields.skip(3)
    after, till = fields.text(), fields.text()
    fields.skip(3 + (version < 177))
    fields.skip(4)
    oca_type = fields.whole()
    fields.skip(17)
    if fields.text():  # what it hedges with
        fields.skip(1 + _LEGS_OF_PRICE)
    else:
        fields.skip(1)
    fields.skip(2)
    trail_stop, trail_percent = fields.number(), fields.number()
    fields.skip(2)
    if (fields.number() or 0.0) > 0:
        fields.skip(7)
    fields.skip(3)
    if fields.text():
        fields.skip(1)
    fields.skip(4)
    if fields.truth():
        fields.skip(3)
    algo = fields.text()
    params = tuple((fields.text(), fields.text()) for _ in range(fields.whole())) if algo else ()
    fields.skip(1)
    what_if = fields.truth()
    fields.skip(4)
    if order_type in ("PEG BENCH", "PEGBENCH"):
        fields.skip(5)
    if fields.whole():
        raise ContractError.of("conditions", "be none at this server", order_id)
    fields.skip(19 + (version >= 158) + (version >= 160) + (version >= 162) + (version >= 166) + (version >= 169))
    return Ticket(
        order_id=order_id,
        contract=contract,
        action=action,
        quantity=quantity,
        order_type=order_type,
        limit=limit,
        aux=aux,
        tif=tif or "DAY",
        oca_group=group,
        account=account,
        order_ref=reference,
        transmit=transmit,
        parent_id=parent,
        outside_rth=outside,
        good_after=after,
        good_till=till,
        oca_type=oca_type,
        trail_stop=trail_stop,
        trail_percent=trail_percent,
        algo=algo,
        algo_params=params,
        what_if=what_if,
    )
