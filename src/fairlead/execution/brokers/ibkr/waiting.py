"""What was sent about an order, and waits for the broker's word on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fairlead.core.errors import BrokerAccess, OrderRejected, PacingViolation
from fairlead.data.vendors.ibkr.codes import CodeAction, CodeRule, is_read_only
from fairlead.execution.brokers.ibkr.book import Known


class NotAsThought(OrderRejected):
    """The order stands otherwise than was thought (codes 103, 104, 105, 161, 10147, 10148): it is to be asked for."""


class Waiting:
    """One wish about one order.

    Parameters
    ----------
    known : Known
    is_heard : callable
        Whether the broker has said what was waited for, by what is known of the order now.
    """

    def __init__(self, known: Known, is_heard: Callable[[Known], bool]) -> None:
        self.known = known
        self._is_heard = is_heard
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def look(self) -> None:
        """Look whether what was waited for has been said."""
        if not self.done.done() and self._is_heard(self.known):
            self.done.set_result(None)

    def fail(self, exc: Exception) -> None:
        """Let the wish fail."""
        if not self.done.done():
            self.done.set_exception(exc)

    def fault(self, rule: CodeRule, text: str) -> bool:
        """Take in an error about the order, and return whether it ends the waiting."""
        exc = exception_of(rule, text)
        if exc is not None:
            self.fail(exc)
        return exc is not None


def exception_of(rule: CodeRule, text: str) -> Exception | None:
    """Return what an error code means for who waits for an order; None if the order may stand all the same."""
    told = f"{rule.meaning} (code {rule.code}): {text}"
    if is_read_only(text):
        return BrokerAccess(f"the gateway's interface is read-only ({rule.code}): {text} Switch that off in its API settings.")
    if rule.action in {CodeAction.REJECT, CodeAction.DISABLE}:
        return OrderRejected(told)
    if rule.action in {CodeAction.LOOK_UP, CodeAction.RECONCILE_ORDER}:
        return NotAsThought(told)
    if rule.action is CodeAction.BACK_OFF:
        return PacingViolation(told)
    return None
