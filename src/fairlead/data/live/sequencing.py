"""Events in the order of their sequence numbers, each once, however they arrive."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

EventT = TypeVar("EventT")


class Missing(NamedTuple):
    """The numbers `first` to `last`, both included, that have not come."""

    first: int
    last: int


class Sequencer(Generic[EventT]):
    """Holds back what comes too early, drops what comes twice, and knows what is missing.

    Parameters
    ----------
    first : int
        The number of the event that is awaited first.
    """

    def __init__(self, first: int = 0) -> None:
        self.expected = first
        """The number that is released next."""
        self.duplicates = 0
        self.gaps = 0
        """How often something was missing."""
        self.lost = 0
        """Numbers that were given up."""
        self._held: dict[int, EventT] = {}
        self._end = first
        self._open = False

    @property
    def held(self) -> int:
        """How many events wait for one before them."""
        return len(self._held)

    def holds(self, number: int) -> bool:
        """Whether the event of that number waits for one before it."""
        return number in self._held

    @property
    def missing(self) -> Missing | None:
        """The first run of numbers that are known to exist and have not come."""
        if self.expected >= self._end:
            return None
        return Missing(self.expected, min(self._held, default=self._end) - 1)

    def accept(self, number: int, event: EventT) -> list[EventT]:
        """Take an event and return what can be released now, in order."""
        if number < self.expected or number in self._held:
            self.duplicates += 1
            return []
        self._held[number] = event
        self.announce(number + 1)
        return self._release()

    def announce(self, following: int) -> None:
        """Learn that every number below `following` exists."""
        self._end = max(self._end, following)
        is_open = self.expected < self._end and self.expected not in self._held
        self.gaps += is_open and not self._open
        self._open = is_open

    def give_up(self, last: int) -> list[EventT]:
        """Stop waiting for the numbers up to `last` and return what can be released now."""
        absent = [n for n in range(self.expected, last + 1) if n not in self._held]
        self.lost += len(absent)
        early = [self._held.pop(n) for n in sorted(self._held) if n <= last]
        self.expected = max(self.expected, last + 1)
        self._end = max(self._end, self.expected)
        return early + self._release()

    def restart(self, first: int) -> list[EventT]:
        """Begin anew at `first`, as a new producer does; return what was held, for nothing before it will come."""
        held = [self._held[n] for n in sorted(self._held)]
        self.lost += self._end - self.expected - len(held)
        self._held.clear()
        self.expected = self._end = first
        self._open = False
        return held

    def _release(self) -> list[EventT]:
        ready = []
        while self.expected in self._held:
            ready.append(self._held.pop(self.expected))
            self.expected += 1
        if self.expected >= self._end:
            self._open = False
        return ready
