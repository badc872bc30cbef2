"""What happened to an account, as Alpaca lists it: the executions that count, newest first, page by page."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from fairlead.core.time import NS_PER_DAY, date_to_day, to_datetime
from fairlead.execution.brokers.words import Execution
from fairlead.practice.alpaca.records import Record
from fairlead.practice.alpaca.refusals import invalid
from fairlead.practice.alpaca.words import number_text, read_count, read_instant, stamp_text

_EXECUTIONS: Final = uuid.UUID("a3f6b1de-2a0b-4b0c-8a74-4a0f0f5f7c55")
_NEW_YORK: Final = ZoneInfo("America/New_York")
_PAGE: Final = 100


def execution_uuid(epoch: str, execution_id: str) -> str:
    """Return what Alpaca calls an execution."""
    return str(uuid.uuid5(_EXECUTIONS, f"{epoch}/{execution_id}"))


class Activities:
    """The executions of an account.

    What Alpaca does to them after a correction is written nowhere: here, a corrected one is listed as it is now, under the id
    that it had, and a busted one is listed no more.

    Parameters
    ----------
    epoch : str
        As of `OrderBook`.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._rows: dict[str, dict[str, Any]] = {}

    def note(self, event: str, record: Record, execution: Execution, held: float) -> None:
        """Take in an execution as it was told.

        Parameters
        ----------
        event : str
        record : Record
        execution : Execution
        held : float
            Signed units after it.
        """
        place = execution.execution_id.rpartition(".")[0]
        if event == "trade_bust":
            self._rows.pop(place, None)
            return
        if event == "trade_correct":
            if place in self._rows:
                self._rows[place].update(qty=number_text(execution.quantity), price=number_text(execution.price))
            return
        local = to_datetime(execution.ts_ns).astimezone(_NEW_YORK)
        self._rows[place] = {
            "id": f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}::{execution_uuid(self._epoch, execution.execution_id)}",
            "activity_type": "FILL",
            "transaction_time": stamp_text(execution.ts_ns),
            "type": event,
            "price": number_text(execution.price),
            "qty": number_text(execution.quantity),
            "side": "sell_short" if record.side == "sell" and held < 0 else record.side,
            "symbol": record.symbol,
            "leaves_qty": number_text(max(0.0, record.quantity - record.filled)),
            "order_id": record.order_id,
            "cum_qty": number_text(record.filled),
            "order_status": record.status,
            "ts_ns": execution.ts_ns,
        }

    def page(self, query: Mapping[str, str], kinds: str | None) -> list[dict[str, Any]]:
        """Return a page of what is asked for.

        Parameters
        ----------
        query : mapping of str
            ``after``, ``until``, ``date``, ``direction``, ``page_size``, ``page_token``, as Alpaca has them.
        kinds : str, optional
            Types separated by commas; None for all.

        Raises
        ------
        Refusal
            If it cannot be understood.
        """
        if kinds is not None and "FILL" not in kinds.split(","):
            return []
        rows = list(self._rows.values())
        if "date" in query:
            if "after" in query or "until" in query:
                raise invalid("date cannot be given with after or until")
            first = _local_midnight(query["date"])
            rows = [row for row in rows if first <= row["ts_ns"] < first + NS_PER_DAY]
        if "after" in query:
            after = read_instant(query["after"], "after")
            rows = [row for row in rows if row["ts_ns"] > after]
        if "until" in query:
            until = read_instant(query["until"], "until", end=True)
            rows = [row for row in rows if row["ts_ns"] < until]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        token = query.get("page_token")
        if token is not None:
            place = next((i for i, row in enumerate(rows) if row["id"] == token), None)
            if place is None:
                raise invalid("invalid page token")
            rows = rows[place + 1 :]
        size = read_count(query.get("page_size"), "page_size", _PAGE, _PAGE)
        return [{name: value for name, value in row.items() if name != "ts_ns"} for row in rows[:size]]

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain data."""
        return {place: dict(row) for place, row in self._rows.items()}

    def restore(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what `to_dict` made plain."""
        self._rows = {place: dict(row) for place, row in data.items()}


def _local_midnight(text: str) -> int:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as exc:
        raise invalid(f"invalid date: {text}") from exc
    offset = dt.datetime.combine(day, dt.time(), _NEW_YORK).utcoffset() or dt.timedelta()
    return date_to_day(day) * NS_PER_DAY - int(offset.total_seconds()) * 1_000_000_000
