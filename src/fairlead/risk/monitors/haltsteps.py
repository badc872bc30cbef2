"""What a halt asks of whoever can reach the broker, and the orders it knows of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.orders import TERMINAL, OrderStatus, Side


class HaltPhase(StrEnum):
    """Where a halt stands (domain rule 7.4)."""

    CANCEL = "CANCEL"
    """Everything that works is being cancelled, and its end awaited."""
    ASSESS = "ASSESS"
    """Nothing works any more; the broker is asked for positions."""
    FLATTEN = "FLATTEN"
    VERIFY = "VERIFY"
    """Nothing seems to be left; the broker is asked once more."""
    DISCONNECT = "DISCONNECT"
    DONE = "DONE"
    """Flat, and the strategies' sessions are to be disconnected."""
    HELD = "HELD"
    """Positions are kept for the investigation, with the orders that protect them."""


class HaltSettings(Settings):
    """The clock of a halt, in seconds from the trip.

    Parameters
    ----------
    cancel_s : float
        Until when every cancel must have been sent.
    assess_s : float
        Until when orders must be final and positions known. What is still not final then is worked around: see `HaltPlan`.
    flat_s, verify_s : float
        Until when positions must be closed, and that confirmed.
    retry_s : float
        After so long a cancel is sent again, and a residual is tried anew.
    arrival_s : float
        How long an order may be on its way to the broker: one that was never heard of, and that the broker does not know after
        so long, is taken for gone.
    """

    cancel_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    assess_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    flat_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    verify_s: Annotated[float, Field(gt=0, le=3600)] = 180.0
    retry_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    arrival_s: Annotated[float, Field(gt=0, le=600)] = 10.0


@dataclass(slots=True, kw_only=True)
class OpenOrder:
    """An order at the broker, as a halt must know it.

    Parameters
    ----------
    remaining : float
        Unsigned units that may still fill.
    is_protective : bool
        Whether it only guards a position, which an investigation keeps.
    """

    order_id: str
    symbol: str
    side: Side
    remaining: float
    status: OrderStatus = OrderStatus.ACKNOWLEDGED
    is_protective: bool = False

    @property
    def is_final(self) -> bool:
        """Whether nothing can fill any more."""
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """Cancel these orders at the broker."""

    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskOrders:
    """Ask the broker for everything that works; give the answer to `HaltPlan.on_open_orders` with this ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class AskPositions:
    """Ask the broker for every position; give the answer to `HaltPlan.on_positions` with this ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class SubmitFlatten:
    """Send a market order that only reduces, through the emergency session; `quantity` is unsigned units."""

    order_id: str
    symbol: str
    side: Side
    quantity: float


@dataclass(frozen=True, slots=True)
class RaiseAlert:
    """Tell people, at severity P0."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Disconnect the strategies' sessions and keep them so; archive the logs."""


HaltStep: TypeAlias = CancelOrders | AskOrders | AskPositions | SubmitFlatten | RaiseAlert | Disconnect
