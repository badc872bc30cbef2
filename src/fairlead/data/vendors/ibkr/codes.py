"""What the numbers mean that Interactive Brokers sends with its messages, and what each asks for (domain rule 14.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Severity(StrEnum):
    """How loud a code is told."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CodeAction(StrEnum):
    """What a code asks for."""

    BACK_OFF = "back_off"
    """Ask nothing for five seconds."""
    LOOK_UP = "look_up"
    """Take new ids, and look the order up by its reference; never send it again."""
    RECONCILE_ORDER = "reconcile_order"
    """The order is not what was thought: ask for its state."""
    REJECT = "reject"
    """The order is refused, and not tried again."""
    DISABLE = "disable"
    """The order is refused, and so is every other in its symbol."""
    CANCELLED = "cancelled"
    """The order has been taken back. Not an error."""
    NEXT_CLIENT_ID = "next_client_id"
    """Connect under another client id."""
    NO_DATA = "no_data"
    """The feed of market data cannot be used."""
    DATA_BACK_OFF = "data_back_off"
    """Ask for history or real-time data later."""
    REMARK = "remark"
    """Told; the order stays."""
    RECONNECT = "reconnect"
    """There is no connection."""
    PAUSE = "pause"
    """Nothing new until it is said that the way is back."""
    RESUBSCRIBE = "resubscribe"
    """The way is back, and what was subscribed to is lost: subscribe again, and reconcile."""
    RECONCILE = "reconcile"
    """The way is back: reconcile."""
    DEGRADE = "degrade"
    """Part of it does not work."""
    INFO = "info"
    """All is well."""
    UNKNOWN = "unknown"
    """Nobody knows: told as an error, and nothing is sent again."""


@dataclass(frozen=True, slots=True)
class CodeRule:
    """A row of the table."""

    code: int
    meaning: str
    severity: Severity
    action: CodeAction


def _rows(codes: Iterable[int], meaning: str, severity: Severity, action: CodeAction) -> list[CodeRule]:
    return [CodeRule(code, meaning, severity, action) for code in codes]


_INFO, _WARNING, _ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR
_DO = CodeAction
_TABLE: Final = (
    *_rows([100], "message rate exceeded", _WARNING, _DO.BACK_OFF),
    *_rows([103], "duplicate order id", _ERROR, _DO.LOOK_UP),
    *_rows([104], "change of an order that is filled", _WARNING, _DO.RECONCILE_ORDER),
    *_rows([105], "change of an order that is different", _WARNING, _DO.RECONCILE_ORDER),
    *_rows([161], "order cannot be cancelled as it is", _WARNING, _DO.RECONCILE_ORDER),
    *_rows([10147], "order to be cancelled is not known", _WARNING, _DO.RECONCILE_ORDER),
    *_rows([10148], "order to be cancelled cannot be cancelled any more", _WARNING, _DO.RECONCILE_ORDER),
    *_rows([109], "price out of range", _ERROR, _DO.REJECT),
    *_rows([110], "price off the tick grid", _ERROR, _DO.REJECT),
    *_rows([200], "unknown contract", _ERROR, _DO.DISABLE),
    *_rows([203], "contract not allowed", _ERROR, _DO.DISABLE),
    *_rows([201], "order rejected", _ERROR, _DO.REJECT),
    *_rows([202], "order cancelled", _INFO, _DO.CANCELLED),
    *_rows([321], "request did not pass validation", _ERROR, _DO.REJECT),
    *_rows([326], "client id in use", _WARNING, _DO.NEXT_CLIENT_ID),
    *_rows([354], "no subscription to this market data", _ERROR, _DO.NO_DATA),
    *_rows([10090], "part of this market data is not subscribed to", _ERROR, _DO.NO_DATA),
    *_rows([10167], "delayed market data instead of live", _ERROR, _DO.NO_DATA),
    *_rows([10197], "no market data during a competing session", _ERROR, _DO.NO_DATA),
    *_rows([162], "historical data: pacing or service error", _WARNING, _DO.DATA_BACK_OFF),
    *_rows([420], "real-time data: pacing or service error", _WARNING, _DO.DATA_BACK_OFF),
    *_rows([399], "warning about an order", _WARNING, _DO.REMARK),
    *_rows([434], "order size is zero", _ERROR, _DO.REJECT),
    *_rows([388], "order size is below the minimum", _ERROR, _DO.REJECT),
    *_rows([502], "cannot connect", _ERROR, _DO.RECONNECT),
    *_rows([504], "not connected", _ERROR, _DO.RECONNECT),
    *_rows([1100], "connectivity to the broker is lost", _ERROR, _DO.PAUSE),
    *_rows([1101], "connectivity is restored, data lost", _WARNING, _DO.RESUBSCRIBE),
    *_rows([1102], "connectivity is restored, data kept", _INFO, _DO.RECONCILE),
    *_rows([2103], "market data farm is broken", _WARNING, _DO.DEGRADE),
    *_rows([2105], "historical data farm is broken", _WARNING, _DO.DEGRADE),
    *_rows([2110], "link between TWS and the broker's server is broken", _WARNING, _DO.DEGRADE),
    *_rows([2104], "market data farm is well", _INFO, _DO.INFO),
    *_rows([2106], "historical data farm is well", _INFO, _DO.INFO),
    *_rows([2107], "historical data farm is inactive, and there on demand", _INFO, _DO.INFO),
    *_rows([2108], "market data farm is inactive, and there on demand", _INFO, _DO.INFO),
    *_rows([2158], "security definition farm is well", _INFO, _DO.INFO),
)
CODES: Final = MappingProxyType({rule.code: rule for rule in _TABLE})
"""Every code that the domain names."""


def rule_of(code: int) -> CodeRule:
    """Return what a code means; of one that nobody has heard of, that."""
    return CODES.get(code) or CodeRule(code, "unknown", _ERROR, CodeAction.UNKNOWN)


def is_read_only(text: str) -> bool:
    """Return whether the text of a refusal (code 321) says that the interface takes no orders."""
    return "read-only" in text.lower().replace("read only", "read-only")


def has_no_bars(text: str) -> bool:
    """Return whether the text of an error of history (code 162) says that there is nothing, which is none."""
    return "no data" in text.lower()
