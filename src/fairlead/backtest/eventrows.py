"""What happened in a run as rows of a table: order updates, fills, corporate actions and, if it was recorded, intents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fairlead.contracts.files import canonical_json
from fairlead.contracts.rows import fill_row, intent_kind, update_row, wish_of
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.orders import OrderUpdate
from fairlead.engine.record import AppliedAction, LoggedEvent, RunRecord

BAR: Final = ("bar_open", "bar_high", "bar_low", "bar_close", "bar_volume")
"""The bar of a fill."""
MID: Final = "mid"

_S, _F, _I = pa.string(), pa.float64(), pa.int64()
EVENT_SCHEMA: Final = pa.schema(
    [
        ("ts_ns", _I),
        ("kind", _S),
        ("strategy", _S),
        ("symbol", _S),
        ("order_id", _S),
        ("seq", _I),
        ("previous", _S),
        ("status", _S),
        ("filled_quantity", _F),
        ("average_price", _F),
        ("execution_id", _S),
        ("side", _S),
        ("quantity", _F),
        ("price_ideal", _F),
        ("price", _F),
        ("commission", _F),
        ("bar_ns", _I),
        ("action", _S),
        ("ex_session", _I),
        ("value", _F),
        ("quantity_before", _F),
        ("quantity_after", _F),
        ("cash", _F),
        ("text", _S),
        ("other", _S),
        ("cash_per_share", _F),
        ("basis", _F),
        ("other_quantity", _F),
        ("cost_fraction", _F),
        ("in_kind", _F),
        ("bar_open", _F),
        ("bar_high", _F),
        ("bar_low", _F),
        ("bar_close", _F),
        ("bar_volume", _F),
        ("mid", _F),
        ("instant_ns", _I),
        ("stage", _S),
    ]
)
"""Kinds: ``order`` (a status change), ``fill``, ``action`` (met a position) and ``market_action`` (took effect in the data).

A recorded run also has ``intent``, ``cancel`` and ``replace``: what its strategies wished, as JSON in ``text``; and every row
has the instant and the stage in which it happened.
"""


def event_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Return what happened, in order.

    Of a recorded run that is the order in which it did. Otherwise at one instant actions come first, then fills, then status
    changes, and market actions stand at the end; they carry no instant.
    """
    bars = _bar_columns(record)
    if record.events is not None:
        return _logged_rows(record.events, bars)
    rows = [(applied.ts_ns, 0, _action_row(applied)) for applied in record.applied_actions]
    rows += [(fill.ts_ns, 1, {**fill_row(fill), **bar}) for fill, bar in zip(record.fills, bars, strict=True)]
    rows += [(update.ts_ns, 2, update_row(update)) for update in record.updates]
    rows.sort(key=lambda entry: entry[:2])  # stable: ties keep the order in which they happened
    return [row for _, _, row in rows] + [_market_row(action) for action in record.market_actions]


def _bar_columns(record: RunRecord) -> list[dict[str, float | None]]:
    noted = record.execution_prices
    if noted is None:
        return [{} for _ in record.fills]
    table = np.column_stack([noted.bar, noted.mid]).tolist()
    return [{name: None if value != value else value for name, value in zip((*BAR, MID), row, strict=True)} for row in table]


def _logged_rows(events: Sequence[LoggedEvent], bars: Sequence[dict[str, float | None]]) -> list[dict[str, Any]]:
    rows = []
    bar = iter(bars)
    for event in events:
        row = fact_row(event)
        if isinstance(event.fact, Fill):
            row |= next(bar)
        rows.append({**row, "instant_ns": event.instant_ns, "stage": event.stage.name})
    return rows


def fact_row(event: LoggedEvent) -> dict[str, Any]:
    """Return one thing that happened as a row; columns that do not concern it are absent."""
    fact = event.fact
    if isinstance(fact, OrderUpdate):
        return update_row(fact)
    if isinstance(fact, Fill):
        return fill_row(fact)
    if isinstance(fact, AppliedAction):
        return _action_row(fact)
    if isinstance(fact, CorporateAction):
        return _market_row(fact)
    wish, kind = wish_of(fact), intent_kind(fact)
    wished = {"ts_ns": event.instant_ns, "strategy": event.strategy}
    named = "symbol" if kind == "intent" else "order_id"
    return {**wished, "kind": kind, named: wish.pop(named), "text": canonical_json(wish)}


def _market_row(action: CorporateAction) -> dict[str, Any]:
    return {
        "kind": "market_action",
        "symbol": action.symbol,
        "action": action.kind.value,
        "ex_session": action.ex_session,
        "value": action.value,
        "other": action.other,
        "cash_per_share": action.cash,
        "basis": action.basis,
    }


def _action_row(applied: AppliedAction) -> dict[str, Any]:
    return {
        **_market_row(applied.action),
        "ts_ns": applied.ts_ns,
        "kind": "action",
        "strategy": applied.strategy,
        "quantity_before": applied.quantity_before,
        "quantity_after": applied.quantity_after,
        "cash": applied.cash,
        "other_quantity": applied.other_quantity,
        "cost_fraction": applied.cost_fraction,
        "in_kind": applied.in_kind,
    }


def corporate_of(row: dict[str, Any]) -> CorporateAction:
    """Return the corporate action that a row states."""
    # Records of before there were other kinds have no columns for them.
    return CorporateAction(
        row["symbol"],
        row["ex_session"],
        ActionKind(row["action"]),
        row["value"],
        row.get("other") or "",
        row.get("cash_per_share"),
        row.get("basis"),
    )


def applied_of(row: dict[str, Any]) -> AppliedAction:
    """Return the applied action that a row states."""
    return AppliedAction(
        row["ts_ns"],
        row["strategy"],
        corporate_of(row),
        row["quantity_before"],
        row["quantity_after"],
        row["cash"],
        row.get("other_quantity") or 0.0,
        row.get("cost_fraction") or 0.0,
        row.get("in_kind") or 0.0,
    )
