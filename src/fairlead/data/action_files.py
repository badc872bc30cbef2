"""Files of corporate actions: CSV and JSON, every row checked, every mistake with its place."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fairlead.core.errors import ContractError, DataError, DataNotFound, FairleadError, UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import check_symbol
from fairlead.core.time import date_to_day

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "symbol": ("symbol", "ticker"),
    "ex_session": ("ex_session", "ex_date", "exdate", "date"),
    "kind": ("kind", "type", "action"),
    "value": ("value", "ratio", "amount", "shares"),
    "other": ("other", "other_symbol", "new_symbol", "acquirer", "child"),
    "cash": ("cash",),
    "basis": ("basis", "cost_fraction"),
}
"""The columns, and what else they may be called; upper or lower case."""
_REQUIRED: Final = ("symbol", "ex_session", "kind")


def read_actions(path: str | Path) -> tuple[CorporateAction, ...]:
    """Return the corporate actions of a file, ordered by `CorporateAction.sort_key`.

    Parameters
    ----------
    path : path
        ``.csv`` (comma, UTF-8, with a header) or ``.json`` (a list of objects). The columns, or keys, are those of `FIELDS`;
        what does not apply to a row's kind is left empty or out.

    Raises
    ------
    DataNotFound, DataError
        If there is no such file, it is of another kind, or cannot be read.
    ContractError
        If a column is missing or unknown, or a row states no action; the text names its place.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"there is no file named {path}. Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(_rows(path, text))
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        if isinstance(exc, FairleadError):
            raise
        raise DataError(f"{path} cannot be read: {exc}. Export it again, or check that it is complete.") from exc
    actions: dict[tuple[int, str, int, str], tuple[str, CorporateAction]] = {}
    for place, row in rows:
        try:
            action = _action(row)
        except FairleadError as exc:
            raise ContractError(f"{path}, {place}: {exc}") from exc
        before = actions.setdefault(action.sort_key, (place, action))[0]
        if before != place:
            raise ContractError(
                f"{path}, {place}: the {action.kind} of {action.symbol} is there already, in {before}. Remove one."
            )
    return tuple(actions[key][1] for key in sorted(actions))


def _rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".json":
        content = json.loads(text)
        if not (isinstance(content, list) and all(isinstance(row, dict) for row in content)):
            raise ContractError.of(str(path), "be a list of objects, one per action", type(content).__name__)
        for i, row in enumerate(content):
            columns = _columns(row, f"{path}, entry {i}")
            yield f"entry {i}", {field: row[name] for field, name in columns.items()}
        return
    if kind != ".csv":
        raise DataError.of(f"{path}: file name", "end in .csv or .json", path.suffix, "Convert or rename it.")
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = _columns(dict.fromkeys(reader.fieldnames or ()), str(path))
    for row in reader:
        place = f"line {reader.line_num}"
        if None in row or None in row.values():
            raise ContractError(f"{path}, {place}: the row has not as many cells as there are columns.")
        yield place, {field: row[name] for field, name in columns.items()}


def _columns(names: Mapping[str, Any], where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        folded = name.strip().lower()
        field = next((field for field, known in FIELDS.items() if folded in known), None)
        if field is None:
            raise ContractError(f"{where}: {UnknownName.among('column of corporate actions', folded, FIELDS)}")
        if field in found:
            raise ContractError.of(f"{where}: {field}", "be given once", [found[field], name])
        found[field] = name
    missing = [field for field in _REQUIRED if field not in found]
    if missing:
        raise ContractError.of(f"{where}: columns", f"have {', '.join(missing)}", list(names), "One row per corporate action.")
    return found


def _action(row: Mapping[str, Any]) -> CorporateAction:
    name = str(row["kind"] or "").strip().lower().replace("-", "_").replace(" ", "_")
    if name not in set(ActionKind):
        raise UnknownName.among("kind of corporate action", name, [kind.value for kind in ActionKind])
    other = str(row.get("other") or "").strip()
    return CorporateAction(
        check_symbol(str(row["symbol"] or "")),
        _day(row["ex_session"]),
        ActionKind(name),
        _number("value", row.get("value")) or 0.0,
        check_symbol(other) if other else "",
        _number("cash", row.get("cash")),
        _number("basis", row.get("basis")),
    )


def _day(value: Any) -> int:
    try:
        return date_to_day(dt.date.fromisoformat(str(value).strip()))
    except ValueError as exc:
        raise ContractError.of("ex_session", "be a date such as 2024-01-31", value) from exc


def _number(name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as exc:
        raise ContractError.of(name, "be a number", value) from exc
