"""A small broker in memory that speaks in messages of its own: it stands where the client library of yours will stand.

It is complete enough to be traded with, and knows nothing of Fairlead. Prints (`trade`) fill what they reach, oldest first, as
far as their size goes; all-or-nothing and at-once orders are decided by the next print of their symbol.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

Message = dict[str, Any]
OVER = frozenset({"done", "gone", "no", "over"})


class ExchangeError(Exception):
    """What the broker answers instead: `code` says what kind of no it is."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Exchange:
    """Orders, fills, holdings and funds of one account."""

    def __init__(self, symbols: Iterable[str], *, funds: float, can_short: bool = True, now_ns: Callable[[], int]) -> None:
        self.last = dict.fromkeys(symbols, 100.0)
        self.start, self.can_short, self.now_ns = funds, can_short, now_ns
        self.orders: dict[str, Message] = {}
        self.fills: list[Message] = []
        self.past: list[Message] = []
        """Fills from before a restart: they are in the holdings, and are not told any more."""
        self.tell: Callable[[Message], None] | None = None
        self.lost: Callable[[], None] | None = None

    # What is asked of it.

    def call(self, what: str, **told: Any) -> Any:
        """Answer one question, or raise `ExchangeError`."""
        return getattr(self, f"_{what}")(**told)

    def open_line(self, tell: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """Let messages be told from now on."""
        self.tell, self.lost = tell, lost

    def cut(self) -> None:
        """Lose the line."""
        lost, self.tell, self.lost = self.lost, None, None
        if lost is not None:
            lost()

    def _funds(self) -> Message:
        cash = self.start - sum(self._signed(fill) * fill["px"] for fill in (*self.past, *self.fills))
        worth = cash + sum(held["qty"] * self.last[held["sym"]] for held in self._holdings())
        return {"acct": "PRACTICE-1", "cash": cash, "worth": worth, "power": max(0.0, cash), "short_ok": self.can_short}

    def _holdings(self) -> list[Message]:
        held: dict[str, tuple[float, float]] = {}
        for fill in (*self.past, *self.fills):
            quantity, cost = held.get(fill["sym"], (0.0, 0.0))
            traded = self._signed(fill)
            after = quantity + traded
            if quantity * traded < 0.0:  # what closes leaves the cost of the rest; what crosses zero begins anew
                cost = cost if quantity * after > 0.0 else fill["px"]
            else:
                cost = (cost * quantity + fill["px"] * traded) / after
            held[fill["sym"]] = after, cost
        return [{"sym": name, "qty": quantity, "cost": cost} for name, (quantity, cost) in sorted(held.items()) if quantity]

    def _place(
        self, *, ref: str, sym: str, side: str, qty: float, kind: str, tif: str, px: float | None, trigger: float | None
    ) -> Message:
        if sym not in self.last:
            raise ExchangeError("bad_symbol", f"{sym} is not traded here")
        if ref and any(order["ref"] == ref for order in self.orders.values()):
            raise ExchangeError("duplicate", f"{ref} was used before")
        held = next((one["qty"] for one in self._holdings() if one["sym"] == sym), 0.0)
        if side == "S" and not self.can_short and qty > held:
            raise ExchangeError("refused", f"short sale of {sym}: {held:g} are held")
        if side == "B" and qty * self.last[sym] > self._funds()["power"]:
            raise ExchangeError("refused", f"not enough buying power for {qty:g} {sym}")
        order = {
            "id": str(uuid.uuid4()),
            "ref": ref,
            "sym": sym,
            "side": side,
            "qty": qty,
            "kind": kind,
            "tif": tif,
            "px": px,
            "trigger": trigger,
            "done": 0.0,
            "avg": None,
            "state": "open",
            "why": "",
            "at": self.now_ns(),
        }
        self.orders[order["id"]] = order
        self._changed(order)
        return dict(order)

    def _withdraw(self, *, id: str) -> Message:  # noqa: A002  the broker's word
        order = self._alive(id)
        self._end(order, "gone", "withdrawn")
        return dict(order)

    def _amend(self, *, id: str, qty: float | None, px: float | None, trigger: float | None) -> Message:  # noqa: A002
        order = self._alive(id)
        if qty is not None and qty <= order["done"]:
            raise ExchangeError("refused", f"{order['done']:g} are filled already")
        for name, value in (("qty", qty), ("px", px), ("trigger", trigger)):
            if value is not None and order[name] is None:
                raise ExchangeError("refused", f"a {order['kind']} order has no {name}")
            order[name] = order[name] if value is None else value
        self._changed(order)
        return dict(order)

    def _lookup(self, *, ref: str) -> Message | None:
        return next((dict(order) for order in self.orders.values() if ref and order["ref"] == ref), None)

    def _listing(self) -> list[Message]:
        return [dict(order) for order in self.orders.values() if order["state"] not in OVER]

    def _executions(self, *, since: int) -> list[Message]:
        return [dict(fill) for fill in self.fills if fill["at"] >= since]

    # What happens to it.

    def trade(self, sym: str, px: float, size: float) -> float:
        """Let a print happen, and return how much of its size is left."""
        for order in [order for order in self.orders.values() if order["sym"] == sym and order["state"] not in OVER]:
            is_buy = order["side"] == "B"
            if order["trigger"] is not None and not order.get("awake"):
                order["awake"] = px >= order["trigger"] if is_buy else px <= order["trigger"]
                if not order["awake"]:
                    continue
            reaches = order["px"] is None or (px <= order["px"] if is_buy else px >= order["px"])
            part = min(size, order["qty"] - order["done"]) if reaches else 0.0
            if order["tif"] == "FOK" and part < order["qty"]:
                part = 0.0
            if part > 0.0:
                self.fill(order["id"], part, px)
                size -= part
            if order["tif"] in {"IOC", "FOK"} and order["state"] not in OVER:
                self._end(order, "gone", "not there at once")
        self.last[sym] = px
        return size

    def fill(self, id: str, qty: float, px: float) -> None:  # noqa: A002
        """Execute a part of an order."""
        order = self._alive(id)
        paid = (order["avg"] or 0.0) * order["done"] + qty * px
        order["done"] += qty
        order["avg"] = paid / order["done"]
        order["state"] = "done" if order["done"] >= order["qty"] else "part"
        fill = {
            "fill": str(uuid.uuid4()),
            "id": id,
            "ref": order["ref"],
            "sym": order["sym"],
            "side": order["side"],
            "qty": qty,
            "px": px,
            "at": self.now_ns(),
        }
        self.fills.append(fill)
        self._say({"type": "fill", **fill})
        self._changed(order)

    def reject(self, id: str, why: str) -> None:  # noqa: A002
        """Refuse an order that was taken."""
        self._end(self._alive(id), "no", why)

    def close_session(self) -> None:
        """Let the orders of the day end."""
        for order in self._listing():
            if order["tif"] == "DAY":
                self._end(self.orders[order["id"]], "over", "the session is over")

    def restart(self) -> None:
        """Forget every order; the account stays what it is."""
        self.cut()
        self.past += self.fills
        self.orders, self.fills = {}, []

    def _alive(self, id: str) -> Message:  # noqa: A002
        order = self.orders.get(id)
        if order is None or order["state"] in OVER:
            raise ExchangeError("refused", f"order {id} is {'unknown' if order is None else order['state']}")
        return order

    def _end(self, order: Message, state: str, why: str) -> None:
        order["state"], order["why"] = state, why
        self._changed(order)

    def _changed(self, order: Message) -> None:
        order["at"] = self.now_ns()
        self._say({"type": "order", **order})

    def _say(self, message: Message) -> None:
        if self.tell is not None:
            self.tell(message)

    @staticmethod
    def _signed(fill: Message) -> float:
        return float(fill["qty"] if fill["side"] == "B" else -fill["qty"])
