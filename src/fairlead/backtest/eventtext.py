"""What happened in a run, in words: for a person who replays it step by step, and for the first difference between two runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fairlead.core.orders import Order
from fairlead.core.time import day_to_date, format_utc

Row: TypeAlias = Mapping[str, Any]

_NOT_COMPARED: Final = frozenset({"order_id", "execution_id"})


@dataclass(frozen=True, slots=True)
class EventDifference:
    """The first event in which two runs differ.

    Parameters
    ----------
    ordinal : int
        Its place among the events, from 1.
    when : str
        Its instant, or what stands for it.
    a, b : str
        The event in words; empty if the run had ended.
    columns : tuple of str
        What differs, by the names of the table's columns; empty if only one run has the event.
    """

    ordinal: int
    when: str
    a: str
    b: str
    columns: tuple[str, ...] = ()


class EventWords:
    """Writes the rows of one run (`fairlead.backtest.eventrows`) in words.

    Parameters
    ----------
    orders : mapping of str to Order
        By id.
    """

    def __init__(self, orders: Mapping[str, Order]) -> None:
        self._orders = orders
        self._writers: dict[str, Callable[[Row], str]] = {
            "intent": self._intent,
            "cancel": self._change,
            "replace": self._change,
            "order": self._update,
            "fill": _fill,
            "action": _action,
            "market_action": _action,
        }

    def __call__(self, row: Row) -> str:
        """Return what happened."""
        return self._writers[row["kind"]](row)

    def _intent(self, row: Row) -> str:
        wish = json.loads(row["text"])
        return f"intent {row['symbol']} {_terms(wish)}"

    def _change(self, row: Row) -> str:
        wish = _terms(json.loads(row["text"]))
        return f"{row['kind']} {self._name(row)}{f' to {wish}' if wish else ''}"

    def _update(self, row: Row) -> str:
        reason = f" ({row['text']})" if row.get("text") else ""
        filled = f", {_number(row['filled_quantity'])} filled" if row["status"] == "PARTIALLY_FILLED" else ""
        return f"order {self._name(row)}: {row['previous']} to {row['status']}{filled}{reason}"

    def _name(self, row: Row) -> str:
        order = self._orders.get(row["order_id"])
        if order is None:
            return str(row["order_id"])[:8]
        levels = [
            f"{name} {_number(level)}" for name, level in (("limit", order.limit_price), ("stop", order.stop_price)) if level
        ]
        return " ".join([order.side.value, _number(order.quantity), order.symbol, order.order_type.value, *levels])


def first_difference(a: Sequence[Row], b: Sequence[Row], words_a: EventWords, words_b: EventWords) -> EventDifference | None:
    """Return the first event in which two runs differ, or None.

    Parameters
    ----------
    a, b : sequences of rows
        Those of A decide which columns are compared: a table that an earlier version wrote has fewer. Identifiers never are:
        they contain the run's own name.
    words_a, words_b : EventWords
    """
    for i in range(max(len(a), len(b))):
        if i >= len(a):
            return EventDifference(i + 1, _when(b[i]), "", words_b(b[i]))
        if i >= len(b):
            return EventDifference(i + 1, _when(a[i]), words_a(a[i]), "")
        columns = tuple(name for name in a[i] if name not in _NOT_COMPARED and a[i][name] != b[i].get(name))
        if columns:
            return EventDifference(i + 1, _when(a[i]), words_a(a[i]), words_b(b[i]), columns)
    return None


def _fill(row: Row) -> str:
    commission = f", commission {_number(row['commission'])}" if row["commission"] else ""
    ideal = f" (ideal {_number(row['price_ideal'])})" if row["price_ideal"] != row["price"] else ""
    return f"fill {row['side']} {_number(row['quantity'])} {row['symbol']} at {_number(row['price'])}{ideal}{commission}"


def _action(row: Row) -> str:
    words = [str(row["action"]), str(row["symbol"])]
    words += [_number(row["value"])] if row["value"] else []
    words += [str(row["other"])] if row.get("other") else []
    if row["kind"] == "market_action":
        return " ".join(words)
    cash = f", {_number(row['cash'])} in cash" if row["cash"] else ""
    return f"{' '.join(words)}: position {_number(row['quantity_before'])} to {_number(row['quantity_after'])}{cash}"


def _terms(wish: Mapping[str, Any]) -> str:
    shown = {name: _number(value) if isinstance(value, float | int) else value for name, value in wish.items()}
    amount, kind = shown.pop("amount", ""), str(shown.pop("amount_kind", "")).replace("_", " ")
    order_type = shown.pop("order_type", "")
    plain = [f"{name}={value}" for name, value in shown.items()]
    return " ".join(part for part in [kind, amount, order_type, *plain] if part)


def _when(row: Row) -> str:
    stamp = row.get("instant_ns") or row.get("ts_ns")
    return format_utc(stamp) if stamp is not None else day_to_date(row["ex_session"]).isoformat()


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.10g}"
