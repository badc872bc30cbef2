"""Orders that hang together: one-cancels-other sets, the exits of a bracket, and orders that follow another.

The venue keeps them, as a broker does: what one fill means for the others happens at that fill, without a way to a strategy
and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fairlead.core.orders import Order, OrderRole, OrderStatus

_PENDING: Final = OrderStatus.PENDING
_FILLED: Final = OrderStatus.FILLED
EXITS: Final = frozenset({OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS})
"""The orders of a bracket that leave what its entry has entered."""


class Families:
    """Who belongs to whom; it decides nothing about prices.

    Attributes
    ----------
    used : bool
        Whether any order ever had a family: what plain runs pay.
    """

    def __init__(self) -> None:
        self.used = False
        self._sets: dict[str, list[Order]] = {}
        self._children: dict[str, list[Order]] = {}
        self._parents: dict[str, Order] = {}

    def add_to_set(self, order: Order) -> None:
        """Let an order be one of its one-cancels-other set."""
        self.used = True
        self._sets.setdefault(order.oco_id, []).append(order)

    def add_children(self, parent: Order, children: Sequence[Order]) -> None:
        """Let orders wait for the fills of another."""
        self.used = True
        self._children[parent.order_id] = list(children)
        for child in children:
            self._parents[child.order_id] = parent

    def rivals(self, order: Order) -> list[Order]:
        """Return the orders that the first fill of this one cancels: the rest of its set, and an entry whose exit has begun."""
        rivals = [other for other in self._sets.get(order.oco_id, ()) if other is not order and not other.is_terminal]
        parent = self._parents.get(order.order_id)
        if parent is not None and order.role in EXITS and not parent.is_terminal:
            rivals.append(parent)
        return rivals

    def twin(self, order: Order) -> Order | None:
        """Return the other exit of the same bracket, while it works."""
        parent = self._parents.get(order.order_id)
        if parent is None or order.role not in EXITS:
            return None
        for other in self._children[parent.order_id]:
            if other is not order and other.role in EXITS and not other.is_terminal:
                return other
        return None

    @staticmethod
    def opened(order: Order, quantity: float, held: float) -> float:
        """Return how much of a fill has opened or enlarged a position, in units, and so is there to be protected.

        Parameters
        ----------
        held : float
            Signed units after the fill.
        """
        return min(quantity, max(0.0, held * order.side.sign))

    def surplus(self, order: Order, quantity: float) -> float:
        """Return how much of a fill came although another of its set, or its twin, had done its work already.

        A broker fills what works there until it hears of the cancel; a simulated venue hears of it at once.
        """
        if any(other.filled_quantity > 0.0 for other in self._sets.get(order.oco_id, ()) if other is not order):
            return quantity
        parent = self._parents.get(order.order_id)
        if parent is None or order.role not in EXITS:
            return 0.0
        exits = sum(child.filled_quantity for child in self._children.get(parent.order_id, ()) if child.role in EXITS)
        return min(quantity, max(0.0, exits - parent.filled_quantity))

    def to_grow(self, parent: Order) -> list[Order]:
        """Return the exits that a fill of `parent` makes larger."""
        return [c for c in self._children.get(parent.order_id, ()) if c.role in EXITS and not c.is_terminal]

    def to_start(self, parent: Order) -> list[Order]:
        """Return the followers that are ordered now that `parent` is filled."""
        if parent.status is not _FILLED:
            return []
        return [c for c in self._children.get(parent.order_id, ()) if c.role is OrderRole.FOLLOWER and c.status is _PENDING]

    def orphans(self, parent: Order) -> list[Order]:
        """Return what never comes to life now that `parent` has ended."""
        return [c for c in self._children.get(parent.order_id, ()) if c.status is _PENDING]

    def waiting(self) -> list[Order]:
        """Return the orders that wait for a parent."""
        return [child for children in self._children.values() for child in children if child.status is _PENDING]

    def left_alone(self, strategy: str, symbol: str, held: float) -> list[Order]:
        """Return the exits of a strategy in a symbol that have no position to leave any more, and what works of their entries.

        Parameters
        ----------
        held : float
            Signed units: the exits of a long that is closed, or turned round, have nothing to leave.
        """
        exits = [
            child
            for children in self._children.values()
            for child in children
            if child.role in EXITS and child.strategy == strategy and child.symbol == symbol
        ]
        found: list[Order] = []
        for child in exits:
            if child.status is _PENDING or child.is_terminal or held * child.side.sign < 0.0:
                continue
            entry = self._parents.get(child.order_id)
            # Else what it fills from now on would stand without the protection that was ordered with it.
            if entry is not None and not entry.is_terminal and entry not in found:
                found.append(entry)
            found.append(child)
        return found

    def forget(self, order: Order) -> None:
        """Let go of an order that has ended, once nothing waits for it any more."""
        if order.oco_id and all(other.is_terminal for other in self._sets.get(order.oco_id, ())):
            self._sets.pop(order.oco_id, None)
        for head in (order, self._parents.get(order.order_id)):
            if head is None or not head.is_terminal:
                continue
            children = self._children.get(head.order_id, ())
            if children and all(child.is_terminal for child in children):
                for child in self._children.pop(head.order_id):
                    self._parents.pop(child.order_id, None)
