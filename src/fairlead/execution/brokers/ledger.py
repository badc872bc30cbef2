"""Executions as a broker tells them: again, corrected, taken back, in any order. Each counts once, and as it was told last."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.execution.brokers.words import Execution


class Executions:
    """Remembers what has been told and booked, and says what is to be booked now."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._replaced: set[str] = set()
        self._booked: dict[str, Execution] = {}

    def take(self, execution: Execution) -> Iterator[Execution]:
        """Yield what is to be booked for what a broker tells, a reversal marked with `is_bust`; nothing if it was told before.

        A reversal has quantity, price and commission of what it takes back, and an id of its own. What was corrected before
        it was told is never booked.
        """
        name, replaces = execution.execution_id, execution.replaces
        if name in self._told:
            return
        self._told.add(name)
        if replaces:
            self._replaced.add(replaces)
            before = self._booked.pop(replaces, None)
            if before is not None:
                yield before._replace(execution_id=f"{replaces}/bust", is_bust=True)
        if not execution.is_bust and name not in self._replaced:
            self._booked[name] = execution
            yield execution
