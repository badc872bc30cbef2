"""Executions as a broker tells them: again, corrected, taken back, in any order. Each counts once, and as it was told last."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.execution.brokers.words import Execution


class Executions:
    """Remembers what has been told and booked, and says what is to be booked now.

    What amends an execution has a name of its own. A broker that writes it over the execution's, as Alpaca does in its
    activities, is understood too, as long as nothing under another name of the broker's has amended that: so it is with
    what was amended while nobody listened.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, float, float]] = {}
        self._replaced: set[str] = set()
        self._booked: dict[str, Execution] = {}
        # Whose names begin with that of what they amend are that execution, told otherwise.
        self._first: dict[str, str] = {}
        self._standing: dict[str, str] = {}

    def take(self, execution: Execution) -> Iterator[Execution]:
        """Yield what is to be booked for what a broker tells, a reversal marked with `is_bust`; nothing if it was told before.

        A reversal has quantity, price and commission of what it takes back, and an id of its own. What was corrected before
        it was told is never booked.
        """
        name, replaces = execution.execution_id, execution.replaces
        if name in self._told:
            yield from self._told_otherwise(execution)
            return
        self._told[name] = _terms(execution)
        if replaces:
            self._replaced.add(replaces)
            first = self._first.get(replaces, replaces)
            before = self._booked.pop(replaces, None) or self._booked.pop(self._standing.get(first, ""), None)
            if name.startswith(first):
                self._first[name], self._standing[first] = first, name
            if before is not None:
                yield _reversal(before)
        if not execution.is_bust and name not in self._replaced:
            self._booked[name] = execution
            yield execution

    def booked_as(self, name: str) -> str | None:
        """Return under which name an execution is booked that a broker shows as `name`; None if it was told and counts no more.

        One that was amended before it was told is booked under the name of what amended it, which its broker may forget.
        """
        if name not in self._told:
            return name
        place = self._standing.get(self._first.get(name, name), name)
        return place if place in self._booked else None

    def _told_otherwise(self, execution: Execution) -> Iterator[Execution]:
        first = execution.execution_id
        if first in self._first or execution.is_bust or self._told[first] == _terms(execution):
            return
        place = self._standing.get(first, first)
        before = self._booked.get(place)
        # What has cost nothing waits for its commission, which is told once it is known.
        costs = execution.commission or (before.commission if before is not None else 0.0)
        if before is None or _terms(before) == (execution.quantity, execution.price, costs):
            return
        self._told[first] = _terms(execution)
        del self._booked[place]
        yield _reversal(before)
        name = f"{first}={execution.quantity!r}@{execution.price!r}"
        while name in self._told:
            name += "'"
        self._told[name] = _terms(execution)
        self._first[name], self._standing[first] = first, name
        self._booked[name] = now = execution._replace(execution_id=name, replaces=place, commission=costs)
        yield now


def _terms(execution: Execution) -> tuple[float, float, float]:
    return execution.quantity, execution.price, execution.commission


def _reversal(before: Execution) -> Execution:
    return before._replace(execution_id=f"{before.execution_id}/bust", is_bust=True)
