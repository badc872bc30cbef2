"""Reading order files, ours and those of others: aliases, versions, bad rows and a torn last line (domain rules 4.1, 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from fairlead.contracts.cells import is_higher_major
from fairlead.contracts.lines import canonical_names, read_lines
from fairlead.contracts.orders.row import ORDER_COLUMNS, REQUIRED_COLUMNS, SCHEMA_VERSION, CanonicalOrder
from fairlead.core.errors import ContractError
from fairlead.core.instruments import Instrument

ALIASES: Final = MappingProxyType(
    {
        "price": "stop_price",
        "stop_loss": "stop_loss_price",
        "take_profit": "take_profit_price",
        "oco_group": "oco_id",
        "tif": "time_in_force",
    }
)
"""Names that other systems give to columns, at import."""

_SHOWN: Final = 20


class RowProblem(NamedTuple):
    """A row that breaks a rule."""

    line: int
    """In the file; the header is line 1."""
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class OrderFile:
    """What a file holds.

    Attributes
    ----------
    orders : tuple of CanonicalOrder
        The rows that keep every rule, in the order of the file.
    problems : tuple of RowProblem
        The rows that do not.
    torn : str or None
        A last line without its line end, put aside: its writer died, and never said that it was written.
    ignored : tuple of str
        Columns that are not canonical.
    """

    path: Path
    orders: tuple[CanonicalOrder, ...]
    problems: tuple[RowProblem, ...] = ()
    torn: str | None = None
    ignored: tuple[str, ...] = ()


def check_orders(
    path: str | Path, instruments: Mapping[str, Instrument] | None = None, *, default: Instrument | None = None
) -> OrderFile:
    """Return every row of an order file, and every row that breaks a rule with the rule.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument, optional
        Ticks and lots.
    default : Instrument, optional
        The grid of symbols without an entry; that of US equities if not given.

    Raises
    ------
    DataNotFound, DataError
        If there is no such file, or it is no text.
    ContractError
        If a column is missing, or the file is of a later major version, which this reader cannot understand.
    """
    file = Path(path)
    text = read_lines(file)
    names = canonical_names(text.header, ALIASES, ORDER_COLUMNS, REQUIRED_COLUMNS, file)
    text = replace(text, header=names)
    orders: list[CanonicalOrder] = []
    problems: list[RowProblem] = []
    lines: dict[str, int] = {}
    for number, line in text.lines:
        try:
            row = text.row(line)
            _refuse_later(file, number, row["schema_version"])
            order = CanonicalOrder.from_cells(row)
            order.check_grid(_grid(order.symbol, instruments, default))
        except _LaterVersion:
            raise
        except ContractError as exc:
            problems.append(RowProblem(number, str(exc)))
            continue
        if order.idempotency_key in lines:
            first = lines[order.idempotency_key]
            problems.append(
                RowProblem(number, f"the key {order.idempotency_key} is that of line {first}: it is the same order.")
            )
            continue
        lines[order.idempotency_key] = number
        orders.append(order)
    ignored = tuple(name for name in names if name not in ORDER_COLUMNS)
    return OrderFile(file, tuple(orders), tuple(problems), text.torn, ignored)


def read_orders(
    path: str | Path, instruments: Mapping[str, Instrument] | None = None, *, default: Instrument | None = None
) -> OrderFile:
    """Return the orders of a file, as `check_orders` does, and refuse the file if a row breaks a rule.

    A torn last line is no reason to refuse: it is put aside in `OrderFile.torn`.

    Raises
    ------
    ContractError
        Listing the rows, on top of what `check_orders` raises.
    """
    found = check_orders(path, instruments, default=default)
    if found.problems:
        count = len(found.problems)
        shown = [f"  - {problem}" for problem in found.problems[:_SHOWN]]
        more = [f"  ... and {count - _SHOWN} more"] if count > _SHOWN else []
        head = f"{found.path} has {count} row{'s' if count != 1 else ''} that break{'' if count != 1 else 's'} a rule:"
        raise ContractError("\n".join([head, *shown, *more]))
    return found


class _LaterVersion(ContractError):
    """The file is of a later major version."""


def _refuse_later(file: Path, number: int, version: str) -> None:
    if is_higher_major(version, SCHEMA_VERSION):
        name = f"schema_version in line {number} of {file}"
        raise _LaterVersion.of(name, f"be at most {SCHEMA_VERSION}", version, "Read it with a later release.")


def _grid(symbol: str, instruments: Mapping[str, Instrument] | None, default: Instrument | None) -> Instrument:
    found = instruments.get(symbol) if instruments is not None else None
    return found or default or Instrument(symbol=symbol)
