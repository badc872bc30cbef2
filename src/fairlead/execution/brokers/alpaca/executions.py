"""What was executed, as Alpaca's stream and its activities tell it: the same execution under the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fairlead.core.errors import ContractError
from fairlead.data.vendors.alpaca.stamps import stamp_ns
from fairlead.execution.brokers.alpaca.mapping import RawOrder, execution_id, number_of, side_of, text_of
from fairlead.execution.brokers.words import Execution

FILLS: Final = frozenset({"fill", "partial_fill"})
AMENDMENTS: Final = frozenset({"trade_correct", "trade_bust"})


class Told(NamedTuple):
    """An execution, and the number of its own that it was told with; empty if it had none."""

    execution: Execution
    number: str


def of_activity(row: Mapping[str, Any], reference: str) -> Told:
    """Return the execution that an activity tells of.

    Raises
    ------
    ContractError
        If it tells of none.
    """
    broker_id = text_of(row, "order_id")
    number = text_of(row, "id").rpartition("::")[2]
    execution = Execution(
        execution_id(broker_id, row.get("cum_qty")),
        reference,
        broker_id,
        text_of(row, "symbol"),
        side_of(row),
        number_of(row, "qty", 0.0),
        number_of(row, "price", 0.0),
        0.0,
        stamp_ns(row.get("transaction_time")),
    )
    return Told(_checked(execution), number)


def of_update(data: Mapping[str, Any], order: RawOrder, reference: str) -> Told:
    """Return the execution that a message of the stream tells of.

    Raises
    ------
    ContractError
        If it tells of none.
    """
    execution = Execution(
        execution_id(order.broker_id, (data.get("order") or {}).get("filled_qty")),
        reference,
        order.broker_id,
        order.symbol,
        order.side,
        number_of(data, "qty", 0.0),
        number_of(data, "price", 0.0),
        0.0,
        stamp_ns(data.get("timestamp")),
    )
    return Told(_checked(execution), str(data.get("execution_id") or ""))


def of_amendment(data: Mapping[str, Any], order: RawOrder, reference: str, replaces: str) -> Execution:
    """Return what a correction or a bust of the stream says.

    Parameters
    ----------
    data : mapping
    order : RawOrder
    reference : str
    replaces : str
        The `execution_id` that it amends.

    Raises
    ------
    ContractError
        If it says nothing of the kind.
    """
    is_bust = data.get("event") == "trade_bust"
    execution = Execution(
        f"{order.broker_id}:{text_of(data, 'execution_id')}",
        reference,
        order.broker_id,
        order.symbol,
        order.side,
        number_of(data, "qty", 0.0),
        number_of(data, "price", 0.0),
        0.0,
        stamp_ns(data.get("timestamp")),
        replaces,
        is_bust,
    )
    return execution if is_bust else _checked(execution)


def _checked(execution: Execution) -> Execution:
    if not (execution.quantity > 0 and execution.price > 0):
        raise ContractError.of("execution", "have a quantity and a price above 0", (execution.quantity, execution.price))
    return execution
