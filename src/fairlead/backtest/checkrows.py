"""What validator and guards found, order by order, as lines of JSON: ``order_checks.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from fairlead.contracts.files import canonical_json
from fairlead.core.errors import DataError
from fairlead.core.time import format_utc
from fairlead.engine.record import OrderChecks
from fairlead.risk.guards import CheckResult

ORDER_CHECKS: Final = "order_checks.jsonl"
_UNKNOWN: Final = float("nan")


def checks_text(checks: Iterable[OrderChecks]) -> str:
    """Return one line for each order that was checked; a number that is not known is null."""
    return "".join(f"{canonical_json(_row(found))}\n" for found in checks)


def read_checks(folder: Path) -> list[OrderChecks]:
    """Return what `checks_text` wrote into a run directory; nothing if the file is not there: no order was refused.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / ORDER_CHECKS
    if not path.is_file():
        return []
    try:
        return [_checks(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise DataError(f"cannot read {path}: {exc!r}. The run directory is damaged; run it again.") from exc


def _row(found: OrderChecks) -> dict[str, Any]:
    results = [
        {
            "guard": result.guard,
            "reason": result.reason,
            "measured": _known(result.measured),
            "limit": _known(result.limit),
            "is_exempt": result.is_exempt,
        }
        for result in found.results
    ]
    return {**found._asdict(), "ts": format_utc(found.ts_ns), "results": results}


def _checks(row: dict[str, Any]) -> OrderChecks:
    results = tuple(
        CheckResult(r["guard"], r["reason"], _number(r["measured"]), _number(r["limit"]), r["is_exempt"])
        for r in row["results"]
    )
    return OrderChecks(row["order_id"], row["strategy"], row["symbol"], row["ts_ns"], row["outcome"], row["reason"], results)


def _known(value: float) -> float | None:
    return float(value) if abs(value) < float("inf") else None


def _number(value: float | None) -> float:
    return _UNKNOWN if value is None else value
