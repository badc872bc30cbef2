"""What a session is told of its broker: plain data, so that it can be put on the session's tape and be told again."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self

from fairlead.execution.brokers.words import BrokerOrder, Execution, LinkNotice, Snapshot


class ReportKind(StrEnum):
    """What a report tells of."""

    ORDER = "order"
    """An order, as the broker has it now."""
    EXECUTION = "execution"
    REFUSED = "refused"
    """What was wished for will surely not happen: the order is not at the broker, or is what it was."""
    LINK = "link"
    """The way to the broker."""
    BOOKS = "books"
    """All that the broker has of the account."""


class Wish(StrEnum):
    """What was wished for of an order."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    REPLACE = "replace"


class BrokerReport(NamedTuple):
    """Something that a broker, or the way to it, has told.

    Parameters
    ----------
    kind : ReportKind
    data : mapping
        Plain: strings, numbers, lists and mappings.
    """

    kind: ReportKind
    data: Mapping[str, Any]

    @classmethod
    def order(cls, order: BrokerOrder) -> Self:
        """Return the report of an order."""
        return cls(ReportKind.ORDER, order._asdict())

    @classmethod
    def execution(cls, execution: Execution) -> Self:
        """Return the report of an execution."""
        return cls(ReportKind.EXECUTION, execution._asdict())

    @classmethod
    def refused(cls, wish: Wish, reference: str, reason: str) -> Self:
        """Return the report of a wish that comes to nothing."""
        return cls(ReportKind.REFUSED, {"wish": wish, "reference": reference, "reason": reason})

    @classmethod
    def link(cls, notice: LinkNotice) -> Self:
        """Return the report of what happened to the way."""
        return cls(ReportKind.LINK, notice._asdict())

    @classmethod
    def books(cls, why: str, snapshot: Snapshot) -> Self:
        """Return the report of all that the broker has."""
        return cls(ReportKind.BOOKS, {"why": why, "snapshot": snapshot.to_dict()})

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"kind": self.kind.value, "data": dict(self.data)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made plain."""
        return cls(ReportKind(data["kind"]), data["data"])
