"""The append-only order file (domain rule 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from fairlead.contracts.appending import AppendOnlyCsv
from fairlead.contracts.orders.row import ORDER_COLUMNS, CanonicalOrder

_KEY: Final = ORDER_COLUMNS.index("idempotency_key")


class OrderWriter(AppendOnlyCsv[CanonicalOrder]):
    """Writes canonical orders, each idempotency key once; see `AppendOnlyCsv`.

    An order whose key is there already is returned as it is there. Two that differ in `created_at` alone are the same.
    """

    columns: ClassVar[tuple[str, ...]] = ORDER_COLUMNS

    def _key(self, cells: Sequence[str]) -> str:
        return cells[_KEY]

    def _cells(self, row: CanonicalOrder) -> list[str]:
        return row.to_cells()

    def _row(self, cells: Sequence[str]) -> CanonicalOrder:
        return CanonicalOrder.from_cells(dict(zip(self.columns, cells, strict=True)))

    def _same(self, known: CanonicalOrder, row: CanonicalOrder) -> bool:
        return known.same_order(row)
