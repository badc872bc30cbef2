"""Alpaca's side of one account: orders, activities, the stream and the market, and everything that can be made to go wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fairlead.core.events import Bar
from fairlead.data.live.feed import MarketEvent
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.words import Execution
from fairlead.practice.alpaca.activities import Activities, execution_uuid
from fairlead.practice.alpaca.book import OrderBook
from fairlead.practice.alpaca.feed import DataStream
from fairlead.practice.alpaca.pacing import RateLimit
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.stream import TradeStream
from fairlead.practice.alpaca.switches import AlpacaSwitches
from fairlead.practice.alpaca.words import number_text, stamp_text
from fairlead.practice.market import PracticeMarket

PAPER_PREFIX: Final = "PA"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a client shows."""

    key: str = "PKPRACTICE0000000001"
    secret: str = "practice-secret-of-no-worth-0000000000001"  # noqa: S105  it opens a server on this machine


class AlpacaBroker:
    """One account as Alpaca has it. It belongs to one thread.

    Parameters
    ----------
    account : SimulatedAccount
    market : PracticeMarket
    now_ns : callable
        The clock that stamps what is told.
    keys : Keys
    calls_per_minute : int
        0 for as many as come.
    elapsed : callable
        Seconds, monotonic.

    Attributes
    ----------
    switches : AlpacaSwitches
    book : OrderBook
    activities : Activities
    stream : TradeStream
    feed : DataStream
    limit, data_limit : RateLimit
        Of trading and of market data: they are counted apart.
    """

    def __init__(
        self,
        account: SimulatedAccount,
        market: PracticeMarket,
        *,
        now_ns: Callable[[], int],
        keys: Keys,
        calls_per_minute: int = 200,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = account
        self.market = market
        self.keys = keys
        self.now_ns = now_ns
        self.switches = AlpacaSwitches()
        self.epoch = f"{account.account_id}/{account.serial}"
        self.limit = RateLimit(calls_per_minute, elapsed)
        self.data_limit = RateLimit(calls_per_minute, elapsed)
        self.activities = Activities(self.epoch)
        self.stream = TradeStream(self.accepts, lambda: self.switches.is_silent)
        self.feed = DataStream(self.accepts, lambda: self.switches.is_silent)
        self.book = OrderBook(account, epoch=self.epoch, now_ns=now_ns, tell=self._tell)
        market.serve(account)

    def accepts(self, key: object, secret: object) -> bool:
        """Return whether a client that shows these may come in."""
        return not self.switches.refuses_keys and (key, secret) == (self.keys.key, self.keys.secret)

    def settle(self) -> None:
        """Bring everything up to what the account did."""
        self.book.settle()

    def price(self, symbol: str) -> float:
        """Return what one unit is worth, in currency; 0 if nobody knows."""
        return self.account.marks.get(symbol, 0.0)

    def tell(self, event: str, record: Record, **more: Any) -> None:
        """Tell listeners of an order whatever one likes, true or not."""
        order = {**self.book.json(record, nested=True), **more.pop("order", {})}
        self.stream.tell({"event": event, "timestamp": stamp_text(self.now_ns()), "order": order, **more})

    def revoke_keys(self) -> None:
        """Accept the keys no more, and show out whoever came in with them."""
        self.switches.refuses_keys = True
        self.stream.close(1008, "keys are revoked")
        self.feed.close(1008, "keys are revoked")

    def heard(self, event: MarketEvent) -> None:
        """Take in what has happened on the market, after the account has met it."""
        if isinstance(event, Bar):
            self.settle()
        self.feed.heard(event)

    def to_dict(self) -> dict[str, Any]:
        """Return what survives a restart, as plain data."""
        return {"account": self.account.to_dict(), "orders": self.book.to_dict(), "activities": self.activities.to_dict()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back orders and activities that `to_dict` made plain; the account was made of its part before."""
        self.book.restore(data["orders"])
        self.activities.restore(data["activities"])

    def _tell(self, event: str, record: Record, execution: Execution | None, held: float) -> None:
        if execution is None:
            self.tell(event, record, execution_id=execution_uuid(self.epoch, f"{record.order_id}/{event}/{record.updated_ns}"))
            return
        self.activities.note(event, record, execution, held)
        more: dict[str, Any] = {
            "execution_id": execution_uuid(self.epoch, execution.execution_id),
            "timestamp": stamp_text(execution.ts_ns),
            "position_qty": number_text(held),
            "price": number_text(execution.price),
            "qty": number_text(execution.quantity),
        }
        if execution.replaces:
            more["previous_execution_id"] = execution_uuid(self.epoch, execution.replaces)
        self.tell(event, record, **more)
