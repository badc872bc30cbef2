"""An order as Alpaca has it: one of an account's may be several of these, since what replaces an order is another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Self

from fairlead.practice.alpaca.words import ENDED, number_text, stamp_text


@dataclass(slots=True, kw_only=True)
class Record:
    """An order in Alpaca's words.

    Parameters
    ----------
    order_id, client_order_id, asset_id : str
    quantity : float
        Its own: what an order that it replaces has filled is not in it.
    filled_before : float
        What those that it replaces have filled.
    broker_id : str
        Of the account's order that it stands for; empty as long as there is none.
    parent_id : str
        Of the order that it is a leg of.
    leg_ids : list of str
    fills : dict of str to (float, float)
        Quantity and price of what counts, by the part of an execution's id that its corrections share.
    """

    order_id: str
    client_order_id: str
    asset_id: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: float
    order_class: str = ""
    limit_price: float | None = None
    stop_price: float | None = None
    trail_price: float | None = None
    trail_percent: float | None = None
    extended_hours: bool = False
    status: str = "pending_new"
    broker_id: str = ""
    parent_id: str = ""
    leg_ids: list[str] = field(default_factory=list)
    replaces: str = ""
    replaced_by: str = ""
    filled_before: float = 0.0
    fills: dict[str, tuple[float, float]] = field(default_factory=dict)
    created_ns: int = 0
    updated_ns: int = 0
    filled_ns: int | None = None
    expired_ns: int | None = None
    canceled_ns: int | None = None
    failed_ns: int | None = None
    replaced_ns: int | None = None

    @property
    def filled(self) -> float:
        """Units filled, as it is now known."""
        return sum(quantity for quantity, _ in self.fills.values())

    @property
    def average_price(self) -> float | None:
        """What one of them has cost."""
        filled = self.filled
        return sum(quantity * price for quantity, price in self.fills.values()) / filled if filled else None

    @property
    def is_open(self) -> bool:
        """Whether Alpaca lists it as open."""
        return self.status not in ENDED

    @property
    def sign(self) -> int:
        """+1 to buy, -1 to sell."""
        return 1 if self.side == "buy" else -1

    def to_json(self, legs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Return it as Alpaca writes it."""
        average = self.average_price
        return {
            "id": self.order_id,
            "client_order_id": self.client_order_id,
            "created_at": stamp_text(self.created_ns),
            "updated_at": stamp_text(self.updated_ns),
            "submitted_at": stamp_text(self.created_ns),
            "filled_at": stamp_text(self.filled_ns),
            "expired_at": stamp_text(self.expired_ns),
            "canceled_at": stamp_text(self.canceled_ns),
            "failed_at": stamp_text(self.failed_ns),
            "replaced_at": stamp_text(self.replaced_ns),
            "replaced_by": self.replaced_by or None,
            "replaces": self.replaces or None,
            "asset_id": self.asset_id,
            "symbol": self.symbol,
            "asset_class": "us_equity",
            "notional": None,
            "qty": number_text(self.quantity),
            "filled_qty": number_text(self.filled),
            "filled_avg_price": None if average is None else number_text(round(Decimal(repr(average)), 6)),
            "order_class": self.order_class,
            "order_type": self.order_type,
            "type": self.order_type,
            "side": self.side,
            "time_in_force": self.time_in_force,
            "limit_price": number_text(self.limit_price),
            "stop_price": number_text(self.stop_price),
            "status": self.status,
            "extended_hours": self.extended_hours,
            "legs": legs,
            "trail_percent": number_text(self.trail_percent),
            "trail_price": number_text(self.trail_price),
            "hwm": None,
            "subtag": None,
            "source": None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made plain, or was read from JSON since."""
        return cls(**{**data, "fills": {place: (fill[0], fill[1]) for place, fill in data["fills"].items()}})
