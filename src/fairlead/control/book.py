"""What a session does, in its journal: wishes before they are acted on, all else as soon as it has happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairlead.control.inputs import SessionInputs
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import Order, OrderUpdate
from fairlead.engine.desk import OrderDesk
from fairlead.engine.recorder import told_in_order
from fairlead.journal import Entry, Journal, Kind, entries
from fairlead.journal.retrace import Retraced, RetracedJournal


class SessionBook:
    """Reads the desk's lists, which only grow, and journals what is new in them.

    Parameters
    ----------
    journal : Journal
    heard : callable, optional
        Told of everything that is new, in the order in which it is written down.
    inputs : SessionInputs, optional
        What the session takes in, which is on the disk before anything that follows from it is written down. Without, it cannot
        be gone on with after a crash.
    """

    def __init__(
        self,
        journal: Journal | RetracedJournal,
        heard: Callable[[Order | OrderUpdate | Fill], None] | None = None,
        inputs: SessionInputs | None = None,
    ) -> None:
        self._journal = journal
        self._heard = heard
        self.inputs = inputs
        self._desk: OrderDesk | None = None
        self._orders = self._updates = self._fills = 0
        self._known: dict[str, Order] = {}
        self._is_behind = False

    @property
    def failure(self) -> str:
        """Why nothing can be written any more; empty as long as it can."""
        return self._journal.failure

    def follow(self, desk: OrderDesk) -> None:
        """Take the desk whose lists are read."""
        self._desk = desk

    def caught_up(self) -> Retraced | None:
        """Write down everything from now on, and return what came of going through the journal once more, if that was done.

        Raises
        ------
        Diverged
            If the journal holds more than has come again.
        """
        return self._journal.finish() if isinstance(self._journal, RetracedJournal) else None

    def secure(self) -> None:
        """Return when what the session has taken in is on the disk.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        if self.inputs is not None:
            self.inputs.secure()

    def wishes(self, ts_ns: int, strategy: str, intents: Sequence[OrderIntent | CancelIntent | ReplaceIntent]) -> None:
        """Write down what a strategy wants; it is on the disk when this returns.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self.secure()
        for intent in intents:
            self._journal.append(entries.intent(ts_ns, strategy, intent))
        self._flush()

    def collect(self, ts_ns: int, *, is_urgent: bool = True) -> None:
        """Write down what has happened to orders since the last call; it is on the disk when this returns, if that is urgent.

        If it is not, it will be before anything that follows from it leaves: with the next wishes, and with the next call.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        desk = self._desk
        if desk is None:
            return
        if (len(desk.orders), len(desk.updates), len(desk.fills)) == (self._orders, self._updates, self._fills):
            if is_urgent and self._is_behind:
                self.secure()
                self._flush()
            return
        count = len(desk.orders) + len(desk.updates) + len(desk.fills) - self._orders - self._updates - self._fills
        if is_urgent or count >= self._journal.room:
            # A journal that is full writes of its own accord, and must not know what is on no tape.
            self.secure()
        for order in desk.orders[self._orders :]:
            self._known[order.order_id] = order
            self._tell(order)
            self._journal.append(entries.order(ts_ns, order))
        updates, fills = desk.updates[self._updates :], desk.fills[self._fills :]
        self._orders, self._updates, self._fills = len(desk.orders), len(desk.updates), len(desk.fills)
        for fact in told_in_order(updates, fills):
            self._tell(fact)
            if isinstance(fact, OrderUpdate):
                order = self._known[fact.order_id]
                self._journal.append(entries.update(ts_ns, fact, strategy=order.strategy, symbol=order.symbol))
            else:
                self._journal.append(entries.fill(ts_ns, fact))
        self._is_behind = True
        if is_urgent:
            self._flush()

    def _flush(self) -> None:
        self._journal.flush()
        self._is_behind = False

    def _tell(self, fact: Order | OrderUpdate | Fill) -> None:
        if self._heard is not None:
            self._heard(fact)

    def command(self, ts_ns: int, record: Mapping[str, Any]) -> None:
        """Write down an operator's command or its answer; it is on the disk when this returns.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self.collect(ts_ns)
        self.write(Entry(ts_ns, Kind.COMMAND, dict(record)))

    def write(self, entry: Entry) -> None:
        """Write down anything else; it is on the disk when this returns.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self.secure()
        self._journal.append(entry)
        self._flush()
