"""The books of a simulated account: executions, what was said of them later, and the money that follows from both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fairlead.core.errors import OrderRejected
from fairlead.core.portfolio import Portfolio
from fairlead.execution.brokers.words import Execution


class AccountBook:
    """Executions in the order in which they were told, and the ledger of those that count.

    Parameters
    ----------
    serial : int
        Goes into the ids of executions, so that those of an account that began anew are others.
    cash : float
        At the beginning, in account currency.
    marks : mapping of str to float
        Last prices, read at every valuation.
    multipliers : mapping of str to float
    told : iterable of Execution
        What was told before a restart.
    """

    def __init__(
        self,
        serial: int,
        cash: float,
        marks: Mapping[str, float],
        multipliers: Mapping[str, float],
        told: Iterable[Execution] = (),
    ) -> None:
        self.told: list[Execution] = []
        self._serial = serial
        self._cash, self._marks, self._multipliers = cash, marks, multipliers
        self._counting: dict[str, Execution] = {}
        """By the part of the id that a correction shares, oldest first."""
        self._count = 0
        for execution in told:
            self.told.append(execution)
            self._count_in(execution)
        self.ledger = self._rebuilt()

    @property
    def cash_at_first(self) -> float:
        """What it began with, in account currency."""
        return self._cash

    def next_id(self) -> str:
        """Return the id of the next execution."""
        return f"{self._serial:04x}.{self._count + 1:08x}.01"

    def add(self, execution: Execution) -> None:
        """Book news."""
        self.told.append(execution)
        self._count_in(execution)
        self.ledger.book(execution.symbol, execution.side.sign * execution.quantity, execution.price, execution.commission)

    def amend(self, execution_id: str, ts_ns: int, *, quantity: float, price: float, is_bust: bool = False) -> Execution:
        """Put another execution in the place of one, or nothing if it is a bust, and return what is told of it.

        The ledger is made anew of everything that counts: average prices depend on the order of executions.

        Raises
        ------
        OrderRejected
            If there is no such execution, or another has taken its place before.
        """
        place, _, version = execution_id.rpartition(".")
        old = self._counting.get(place)
        if old is None or old.execution_id != execution_id:
            raise OrderRejected(f"there is no execution {execution_id!r} that counts. The last one told in its place may do.")
        news = old._replace(
            execution_id=f"{place}.{int(version) + 1:02d}",
            quantity=quantity,
            price=price,
            ts_ns=ts_ns,
            replaces=execution_id,
            is_bust=is_bust,
        )
        self.told.append(news)
        self._count_in(news)
        self.ledger = self._rebuilt()
        return news

    def counting(self, execution_id: str) -> Execution | None:
        """Return the execution that now stands where one was told; None if there is none, or it was a bust."""
        return self._counting.get(execution_id.rpartition(".")[0])

    def of_order(self, broker_id: str) -> list[Execution]:
        """Return the executions of an order that count."""
        return [execution for execution in self._counting.values() if execution.broker_id == broker_id]

    def since(self, ts_ns: int) -> list[Execution]:
        """Return what was told at or after an instant, corrections and busts among it."""
        return [execution for execution in self.told if execution.ts_ns >= ts_ns]

    def _count_in(self, execution: Execution) -> None:
        place = execution.execution_id.rpartition(".")[0]
        if execution.is_bust:
            self._counting.pop(place, None)
        else:
            self._counting[place] = execution
        if not execution.replaces:
            self._count += 1

    def _rebuilt(self) -> Portfolio:
        ledger = Portfolio(self._cash, self._marks, self._multipliers)
        for execution in self._counting.values():
            ledger.book(execution.symbol, execution.side.sign * execution.quantity, execution.price, execution.commission)
        return ledger
