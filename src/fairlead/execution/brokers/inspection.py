"""What an adapter may offer beside the seam: to say how an account stands, and to take back what others sent."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable


class Verdict(StrEnum):
    """What was found."""

    OK = "ok"
    WARNING = "warning"
    """It can be traded with, and somebody should look."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The broker does not say."""


class Finding(NamedTuple):
    """One thing that was looked at.

    Parameters
    ----------
    check : str
        What, in a word or two: one of the names below, or the adapter's own.
    verdict : Verdict
    found : str
        Without a key in it.
    remedy : str
        What to do; empty if all is well.
    """

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


CLOCK, TRADING, SHORTING, MARKET_DATA, READ_ONLY = "clock", "trading", "shorting", "market data", "read-only interface"


@runtime_checkable
class Inspectable(Protocol):
    """A broker that can say more of an account than `Broker.account` does."""

    async def inspect(self) -> Sequence[Finding]:
        """Return what it can tell of an account while it is connected: market-data rights, read-only interface, permissions.

        Nothing is changed by it, and no order is sent. What is not in the answer is said to be unknown. It raises as every
        method of a broker does.
        """


@runtime_checkable
class Timed(Protocol):
    """A broker whose clock can be asked."""

    async def clock_ns(self) -> int | None:
        """Return the broker's clock when it answered, nanoseconds, to a millisecond or so; None if it does not say."""


@runtime_checkable
class CancelsOthers(Protocol):
    """A broker at which orders can be taken back that somebody else sent, and that so have no reference of ours."""

    async def cancel_others(self, broker_ids: Sequence[str]) -> None:
        """Ask for orders to be taken back, by the broker's ids. What comes of it is told by `events`, or `open_orders` shows.

        A broker that can only take back all there is may do that: it is asked when everything is to be taken back.
        """
