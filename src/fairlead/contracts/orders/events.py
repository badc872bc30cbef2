"""What becomes of orders: ``order_events.csv``, append-only like the orders themselves (domain rules 4.4, 4.5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Final, Self

from fairlead.contracts import cells as text
from fairlead.contracts.appending import AppendOnlyCsv
from fairlead.contracts.lines import canonical_names, read_lines
from fairlead.core.errors import ContractError, InvalidTransition
from fairlead.core.orders import TRANSITIONS, OrderStatus

EVENT_COLUMNS: Final = ("order_id", "seq", "ts", "from", "to", "filled_qty", "avg_price", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """One change of an order's status.

    Parameters
    ----------
    seq : int
        1, 2, 3, ... within the order.
    ts : datetime
        UTC.
    previous, status : OrderStatus
        From and to.
    filled_qty : Decimal
        Units filled so far.
    avg_price : Decimal, optional
        Of the units filled, in currency; None before the first.

    Raises
    ------
    ContractError
        If a field is out of its range.
    InvalidTransition
        If the table of transitions has no such change.
    """

    order_id: str
    seq: int
    ts: dt.datetime
    previous: OrderStatus
    status: OrderStatus
    filled_qty: Decimal = Decimal(0)
    avg_price: Decimal | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        text.check_text("order_id", self.order_id)
        if self.seq < 1:
            raise ContractError.of("seq", "be at least 1", self.seq)
        text.check_utc("ts", self.ts)
        if self.filled_qty:
            text.check_amount("filled_qty", self.filled_qty)
        if self.avg_price is not None:
            text.check_amount("avg_price", self.avg_price)
        if self.reason:
            text.check_text("reason", self.reason)
        if self.status not in TRANSITIONS[self.previous]:
            raise InvalidTransition(f"order {self.order_id} cannot go from {self.previous} to {self.status}.")

    @classmethod
    def from_cells(cls, cells: Sequence[str]) -> Self:
        """Return the event that the cells of a row state.

        Raises
        ------
        ContractError
            Naming the first column that breaks a rule.
        """
        row = dict(zip(EVENT_COLUMNS, cells, strict=True))
        if not row["seq"].isdecimal():
            raise ContractError.of("seq", "be a whole number", row["seq"])
        return cls(
            order_id=row["order_id"],
            seq=int(row["seq"]),
            ts=text.read_instant("ts", row["ts"]),
            previous=text.read_member("from", OrderStatus, row["from"]),
            status=text.read_member("to", OrderStatus, row["to"]),
            filled_qty=text.read_decimal("filled_qty", row["filled_qty"]),
            avg_price=text.read_decimal("avg_price", row["avg_price"]) if row["avg_price"] else None,
            reason=row["reason"],
        )

    def to_cells(self) -> list[str]:
        """Return the row as text, in the order of `EVENT_COLUMNS`."""
        filled, price = text.decimal_text(self.filled_qty), text.decimal_text(self.avg_price)
        ts = text.instant_text(self.ts)
        return [self.order_id, str(self.seq), ts, self.previous.value, self.status.value, filled, price, self.reason]


class OrderEventWriter(AppendOnlyCsv[OrderEvent]):
    """Writes events, each (order, seq) once; see `AppendOnlyCsv`.

    An event follows the last one of its order: its seq is the next, and it begins where that one ended. Otherwise it is a
    `ContractError`.
    """

    columns: ClassVar[tuple[str, ...]] = EVENT_COLUMNS

    def _forget(self) -> None:
        super()._forget()
        self._last: dict[str, tuple[int, str]] = {}

    def _begin(self) -> None:
        # Of this call: if one event is refused, none has happened.
        self._ahead: dict[str, tuple[int, str]] = {}

    def _admit(self, row: OrderEvent) -> None:
        seq, status = self._ahead.get(row.order_id) or self._last.get(row.order_id) or (0, OrderStatus.PENDING.value)
        if row.seq != seq + 1 or row.previous != status:
            rule = f"follow event {seq} of order {row.order_id}, which left it {status}"
            raise ContractError.of("event", rule, f"{row.seq}: {row.previous} to {row.status}")
        self._ahead[row.order_id] = row.seq, row.status.value

    def _index(self, cells: list[str]) -> None:
        self._last[cells[0]] = int(cells[1]), cells[4]

    def _key(self, cells: Sequence[str]) -> str:
        return f"{cells[0]}|{cells[1]}"

    def _cells(self, row: OrderEvent) -> list[str]:
        return row.to_cells()

    def _row(self, cells: Sequence[str]) -> OrderEvent:
        return OrderEvent.from_cells(cells)

    def _same(self, known: OrderEvent, row: OrderEvent) -> bool:
        return known == row


def read_order_events(path: str | Path) -> list[OrderEvent]:
    """Return the events of a file, a torn last line left out.

    Raises
    ------
    DataNotFound, DataError
        If there is no such file, or it is no text.
    ContractError
        If a column is missing or a row breaks a rule; the message names its line.
    """
    file = Path(path)
    lines = read_lines(file)
    canonical_names(lines.header, {}, EVENT_COLUMNS, EVENT_COLUMNS, file)
    found = []
    for number, line in lines.lines:
        try:
            row = lines.row(line)
            found.append(OrderEvent.from_cells([row[name] for name in EVENT_COLUMNS]))
        except (ContractError, InvalidTransition) as exc:
            raise ContractError(f"{file}, line {number}: {exc}") from exc
    return found
