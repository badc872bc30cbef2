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


def of_amendment(data: Mapping[str, Any], order: RawOrder, reference: str) -> Told:
    """Return what a correction or a bust of the stream says; what it amends, `ExecutionBook.amend` finds.

    Raises
    ------
    ContractError
        If it says nothing of the kind.
    """
    is_bust = data.get("event") == "trade_bust"
    execution = Execution(
        "",
        reference,
        order.broker_id,
        order.symbol,
        order.side,
        number_of(data, "qty", 0.0),
        number_of(data, "price", 0.0),
        0.0,
        stamp_ns(data.get("timestamp")),
        is_bust=is_bust,
    )
    return Told(execution if is_bust else _checked(execution), text_of(data, "execution_id"))


class ExecutionBook:
    """What was told of executions, so that each is told alike ever after, and an amendment says what it amends.

    Alpaca's activities list a corrected execution as it is now, under the name that it had: one that was told otherwise before
    has been corrected meanwhile, whether the stream said so or not.
    """

    def __init__(self) -> None:
        self._first: dict[str, Execution] = {}
        self._later: dict[str, list[Execution]] = {}
        self._numbers: dict[str, str] = {}

    def holds(self, number: str) -> bool:
        """Whether an execution was told with this number of its own."""
        return number in self._numbers

    def heard(self, told: Told) -> Execution:
        """Take in what the stream tells, and return it as it was first told."""
        first = self._first.setdefault(told.execution.execution_id, told.execution)
        if told.number:
            self._numbers.setdefault(told.number, first.execution_id)
        return first

    def listed(self, told: Told) -> list[Execution]:
        """Take in what the activities tell, and return that with everything that amends it."""
        first = self.heard(told)
        self._amended(first.execution_id, told.execution)
        return [first, *self._later.get(first.execution_id, ())]

    def amend(self, told: Told, number: str) -> Execution:
        """Take in an amendment of what was told with the number `number`, and return it, as it was told before if it was."""
        original = self._numbers[number]
        self._numbers[told.number] = original
        # What is known of the original may be what it was amended to: whoever was told of it before has other numbers.
        return self._amended(original, told.execution, is_said=True)

    def _amended(self, original: str, now: Execution, *, is_said: bool = False) -> Execution:
        later = self._later.setdefault(original, [])
        latest = later[-1] if later else self._first[original]
        is_so = latest.is_bust or (not now.is_bust and (latest.quantity, latest.price) == (now.quantity, now.price))
        if is_so and (later or not is_said):
            return latest
        what = "bust" if now.is_bust else f"{now.quantity!r}@{now.price!r}"
        news = now._replace(execution_id=f"{original}={what}", replaces=latest.execution_id)
        later.append(news)
        return news


def _checked(execution: Execution) -> Execution:
    if not (execution.quantity > 0 and execution.price > 0):
        raise ContractError.of("execution", "have a quantity and a price above 0", (execution.quantity, execution.price))
    return execution
