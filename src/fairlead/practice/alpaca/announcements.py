"""Corporate actions as Alpaca announces them: each kind in a list of its own."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import day_to_date, to_datetime
from fairlead.practice.alpaca.refusals import invalid
from fairlead.practice.alpaca.words import read_count, read_instant

_ACTIONS: Final = uuid.UUID("5f0c0b52-6d49-4c7a-9a5c-8b8d6b6b8f1e")
_CUSIP: Final = "000000000"
_MOST: Final = 1_000


def announcements(actions: Sequence[CorporateAction], query: Mapping[str, str], now_ns: int) -> dict[str, Any]:
    """Return a page of what is asked for.

    Raises
    ------
    Refusal
        If it cannot be understood.
    """
    today = to_datetime(now_ns).date().isoformat()
    first, last = (to_datetime(read_instant(query.get(name, today), name)).date() for name in ("start", "end"))
    symbols = {name for name in query.get("symbols", "").upper().split(",") if name}
    types = {f"{name}s" for name in query.get("types", "").split(",") if name}
    found = []
    for action in sorted(actions, key=lambda one: (one.ex_session, one.sort_key)):
        name, row = announcement(action)
        names = {action.symbol, action.other} - {""}
        if (
            first <= day_to_date(action.ex_session) <= last
            and (not symbols or symbols & names)
            and (not types or name in types)
        ):
            found.append((name, row))
    if query.get("sort", "asc") == "desc":
        found.reverse()
    skip = _read_token(query["page_token"]) if query.get("page_token") else 0
    size = read_count(query.get("limit"), "limit", 100, _MOST)
    page: dict[str, list[dict[str, Any]]] = {}
    for name, row in found[skip : skip + size]:
        page.setdefault(name, []).append(row)
    more = skip + size < len(found)
    token = base64.urlsafe_b64encode(str(skip + size).encode()).decode() if more else None
    return {"corporate_actions": page, "next_page_token": token}


def announcement(action: CorporateAction) -> tuple[str, dict[str, Any]]:
    """Return the list that an action stands in, and what stands there."""
    date = day_to_date(action.ex_session).isoformat()
    number = str(uuid.uuid5(_ACTIONS, f"{action.symbol}/{date}/{action.kind}/{action.other}/{action.value}"))
    dated = {"id": number, "process_date": date}
    own = {"symbol": action.symbol, "cusip": _CUSIP}
    ex = {"ex_date": date, "record_date": date, "payable_date": date}
    match action.kind:
        case ActionKind.DIVIDEND:
            return "cash_dividends", {**dated, **own, **ex, "rate": action.value, "special": False, "foreign": False}
        case ActionKind.SPLIT if action.value >= 1:
            return "forward_splits", {**dated, **own, **ex, "new_rate": action.value, "old_rate": 1}
        case ActionKind.SPLIT:
            cusips = {"old_cusip": _CUSIP, "new_cusip": _CUSIP}
            rates = {"new_rate": 1, "old_rate": round(1 / action.value, 9)}
            return "reverse_splits", {**dated, "symbol": action.symbol, **cusips, **ex, **rates}
        case ActionKind.STOCK_DIVIDEND:
            return "stock_dividends", {**dated, **own, **ex, "rate": action.value}
        case ActionKind.SPIN_OFF:
            names = {"source_symbol": action.symbol, "new_symbol": action.other, "source_cusip": _CUSIP, "new_cusip": _CUSIP}
            return "spin_offs", {**dated, **names, **ex, "source_rate": 1, "new_rate": action.value}
        case ActionKind.RENAME:
            names = {"old_symbol": action.symbol, "new_symbol": action.other, "old_cusip": _CUSIP, "new_cusip": _CUSIP}
            return "name_changes", {**dated, **names}
        case ActionKind.MERGER:
            return _merger(action, {**dated, "effective_date": date, "payable_date": date})
        case ActionKind.DELISTING:
            return "worthless_removals", {**dated, **own}


def _merger(action: CorporateAction, dated: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    names = {"acquiree_symbol": action.symbol, "acquiree_cusip": _CUSIP}
    if action.other:
        names |= {"acquirer_symbol": action.other, "acquirer_cusip": _CUSIP}
    rates = {"acquirer_rate": action.value, "acquiree_rate": 1}
    if not action.value:
        return "cash_mergers", {**dated, **names, "rate": action.cash or 0.0}
    if action.cash:
        return "stock_and_cash_mergers", {**dated, **names, **rates, "cash_rate": action.cash}
    return "stock_mergers", {**dated, **names, **rates}


def _read_token(text: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError) as exc:
        raise invalid("invalid page token") from exc
