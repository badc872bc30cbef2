"""What is new in an import: pure functions on canonical tables and corporate actions. Nothing here touches the disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from fairlead.core.arrays import BoolArray, DayArray, IntArray
from fairlead.core.errors import ContractError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import day_to_date, format_utc
from fairlead.data.fingerprint import symbol_ranks
from fairlead.data.selection import choose_actions
from fairlead.data.table import BAR_SCHEMA

REPLACE: Final = "Import with --replace to write the dataset anew from this import alone."
_VALUES: Final = ("label", "session", "open", "high", "low", "close", "volume")


def canonical(table: pa.Table) -> pa.Table:
    """Return `table` with exactly the columns and types of `BAR_SCHEMA`.

    Raises
    ------
    ContractError
        If a column is missing or of another type, or rows are not sorted by (known, symbol) without repetition.
    """
    missing = [name for name in BAR_SCHEMA.names if name not in table.column_names]
    if missing:
        raise ContractError.of("bar table", f"have the columns {', '.join(BAR_SCHEMA.names)}", missing, "These are missing.")
    table = table.select(BAR_SCHEMA.names)
    try:
        table = table.cast(BAR_SCHEMA)
    except (pa.ArrowException, ValueError) as exc:
        raise ContractError(f"'bar table' must have the types of the canonical bar table: {exc}.") from exc
    known, (_, ranks) = column_ns(table, "known"), symbol_ranks(table)
    ordered = (known[1:] > known[:-1]) | ((known[1:] == known[:-1]) & (ranks[1:] > ranks[:-1]))
    if not ordered.all():
        at = int(np.argmin(ordered)) + 1
        bad = f"{table.column('symbol')[at]} at {format_utc(int(known[at]))}"
        raise ContractError.of("bar table", "be sorted by (known, symbol), one bar per symbol and instant", bad)
    if (np.diff(session_days(table)) < 0).any():
        raise ContractError("'bar table' must have sessions in the order of their closing instants. Import it anew.")
    return table


def split_months(table: pa.Table) -> dict[str, pa.Table]:
    """Return the parts of a canonical table by the month of their session, keyed ``year=YYYY/month=MM``; no copies."""
    if table.num_rows == 0:
        return {}
    months = session_days(table).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    starts = [0, *(np.flatnonzero(np.diff(months)) + 1).tolist(), table.num_rows]
    parts: dict[str, pa.Table] = {}
    for first, stop in itertools.pairwise(starts):
        year, month = divmod(int(months[first]), 12)
        parts[f"year={1970 + year:04d}/month={month + 1:02d}"] = table.slice(first, stop - first)
    return parts


def merge_bars(stored: pa.Table, new: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return both tables as one, and the rows of `new` that `stored` does not have.

    Raises
    ------
    ContractError
        If a bar is in both with different values.
    """
    both, order, again = _aligned(stored, new)
    pairs = np.flatnonzero(again)
    _refuse_conflicts(both, order[pairs - 1], order[pairs])
    fresh = order[~again]
    return both.take(fresh), both.take(fresh[fresh >= stored.num_rows])


def revise_bars(stored: pa.Table, new: pa.Table) -> tuple[pa.Table, pa.Table, int]:
    """Return both tables as one, the rows of `new` that `stored` does not have, and how many of the others it has differently.

    A bar that is in both has the values of `new`.
    """
    both, order, again = _aligned(stored, new)
    pairs = np.flatnonzero(again)
    revised = int(np.count_nonzero(_differing(both, order[pairs - 1], order[pairs])))
    fresh = order[~again]
    kept = order.copy()
    kept[pairs - 1] = order[pairs]
    return both.take(kept[~again]), both.take(fresh[fresh >= stored.num_rows]), revised


def _aligned(stored: pa.Table, new: pa.Table) -> tuple[pa.Table, IntArray, BoolArray]:
    """Return both tables one after the other, the order of their rows, and which row in it has the key of the one before."""
    both = pa.concat_tables([stored, new]).combine_chunks()
    known, (_, ranks) = column_ns(both, "known"), symbol_ranks(both)
    order = np.lexsort((ranks, known))  # stable: of two equal keys the stored one comes first
    again = np.concatenate([[False], (np.diff(known[order]) == 0) & (np.diff(ranks[order]) == 0)])
    return both, order, again


def _differing(both: pa.Table, old: IntArray, new: IntArray) -> BoolArray:
    differs: BoolArray = np.zeros(len(old), np.bool_)
    for name in _VALUES:
        values = both.column(name).to_numpy()
        differs |= values[old] != values[new]
    return differs


def _refuse_conflicts(both: pa.Table, old: IntArray, new: IntArray) -> None:
    differs = _differing(both, old, new)
    if not differs.any():
        return
    first = int(np.argmax(differs))
    before, after = both.slice(int(old[first]), 1).to_pylist()[0], both.slice(int(new[first]), 1).to_pylist()[0]
    changes = ", ".join(f"{name} {before[name]} -> {after[name]}" for name in _VALUES if before[name] != after[name])
    raise ContractError(
        f"the bar of {before['symbol']} labelled {before['label']:%Y-%m-%d %H:%M:%S} UTC is stored with other values: "
        f"{changes}; {int(differs.sum())} bar(s) differ in that month. Nothing was written. {REPLACE}"
    )


def merge_actions(
    stored: Iterable[CorporateAction], new: Iterable[CorporateAction], *, revise: bool = False
) -> tuple[CorporateAction, ...]:
    """Return both, ordered by `CorporateAction.sort_key`, each once.

    Parameters
    ----------
    stored, new : iterable of CorporateAction
    revise : bool
        Whether an action that is in both has the values of `new`.

    Raises
    ------
    ContractError
        If one action is given with two values, and `revise` is false.
    """
    merged: dict[tuple[int, str, int, str], CorporateAction] = {}
    for action in (*stored, *new):
        child = action.other if action.kind is ActionKind.SPIN_OFF else ""  # a company may hand out two in one day
        key = (*action.sort_key[:3], child)
        if revise:
            merged[key] = action
            continue
        known = merged.setdefault(key, action)
        if known != action:
            old, new_ = _stated(known), _stated(action)
            raise ContractError(
                f"the {action.kind} of {action.symbol} on {day_to_date(action.ex_session)} is known with {old}, was {new_}. "
                f"Nothing was written. {REPLACE}"
            )
    return choose_actions(merged.values(), {action.symbol for action in merged.values()})


def _stated(action: CorporateAction) -> str:
    numbers = {"other": action.other or None, "cash": action.cash, "basis": action.basis}
    return ", ".join([f"the value {action.value}", *(f"{name} {n}" for name, n in numbers.items() if n is not None)])


def column_ns(table: pa.Table, name: str) -> IntArray:
    """Return a stamp column in nanoseconds since the epoch."""
    stamps: IntArray = table.column(name).to_numpy().view(np.int64)
    return stamps


def session_days(table: pa.Table) -> DayArray:
    """Return the session column in days since the epoch."""
    days: DayArray = table.column("session").to_numpy().astype(np.int32)
    return days
