"""The one bounded queue between the tasks that own sockets and the loop that never awaits (architecture, section 4).

What is money is never dropped: a full queue makes its producers wait. Of quotes the latest of each symbol counts; one that is
still waiting when the next arrives gives way to it, and is counted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Final, Generic, TypeVar

from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import Quote

ItemT = TypeVar("ItemT")

DEFAULT_CAPACITY: Final = 65_536
# A quote that gave way this often keeps its place, so that a symbol whose quotes never pause is still heard.
PATIENCE: Final = 64


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What went through a queue; `accepted` = `taken` + `conflated` + `waiting` at any moment.

    Attributes
    ----------
    accepted, taken : int
    conflated : int
        Quotes that gave way to a later one of their symbol.
    waiting : int
        In the queue now.
    most_waiting : int
        The most that ever were.
    refused : int
        How often a producer met a full queue and had to wait.
    """

    accepted: int
    taken: int
    conflated: int
    waiting: int
    most_waiting: int
    refused: int


def quote_symbol(item: object) -> str | None:
    """Return the symbol of a quote, alone or as part of a `Received`; None for everything else."""
    event = getattr(item, "event", item)
    return event.symbol if type(event) is Quote else None


class EventQueue(Generic[ItemT]):
    """Hands events from any thread to the one that takes them, in the order in which they were put.

    Parameters
    ----------
    capacity : int
        Most that may wait.
    conflate : bool
        Whether quotes give way. A replay that must repeat a run to the last event says no; its quotes then wait as all else.
    key : callable
        The symbol of what may give way, None for what may not. Default: quotes alone may.
    """

    def __init__(
        self,
        capacity: int = DEFAULT_CAPACITY,
        *,
        conflate: bool = True,
        key: Callable[[ItemT], str | None] = quote_symbol,
    ) -> None:
        if capacity < 1:
            raise ConfigurationError.of("capacity", "be 1 or more", capacity)
        self._capacity = capacity
        self._key: Callable[[ItemT], str | None] = key if conflate else _never
        self._items: OrderedDict[int, ItemT] = OrderedDict()
        self._quotes: dict[str, tuple[int, int]] = {}
        self._changed = Condition()
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._ticket = self._taken = self._conflated = self._most = self._refused = 0
        self._closed = False

    @property
    def counts(self) -> QueueCounts:
        """What went through so far."""
        with self._changed:
            waiting = len(self._items)
            return QueueCounts(self._ticket, self._taken, self._conflated, waiting, self._most, self._refused)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be put; what waits can still be taken."""
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: ItemT) -> bool:
        """Put `item` if there is room for it, and return whether there was. Never waits.

        Raises
        ------
        DataError
            If the queue is closed.
        """
        with self._changed:
            if self._put(item):
                return True
            self._refused += 1
            return False

    def put(self, item: ItemT, timeout: float | None = None) -> bool:
        """Put `item`, waiting for room up to `timeout` seconds (None: for as long as it takes); return whether it is in.

        For producers in threads; one that runs in an asyncio loop uses `put_async`.

        Raises
        ------
        DataError
            If the queue is closed.
        """
        with self._changed:
            if self._put(item):
                return True
            self._refused += 1
            return self._changed.wait_for(lambda: self._put(item), timeout)

    async def put_async(self, item: ItemT) -> None:
        """Put `item`, letting other tasks run while there is no room.

        Raises
        ------
        DataError
            If the queue is closed, meanwhile too.
        """
        loop = asyncio.get_running_loop()
        refused = False
        while True:
            with self._changed:
                if self._put(item):
                    return
                self._refused += not refused
                refused = True
                room: asyncio.Future[None] = loop.create_future()
                entry = (loop, room)
                self._waiters.append(entry)
            try:
                await room
            except asyncio.CancelledError:
                self._leave(entry)
                raise

    def take(self, timeout: float | None = None) -> ItemT | None:
        """Return the oldest item, waiting up to `timeout` seconds for one (None: until there is one, 0: not at all).

        Returns
        -------
        item or None
            None if none came in time, or the queue is closed and empty.
        """
        with self._changed:
            if not self._items:
                self._changed.wait_for(lambda: self._items or self._closed, timeout)
                if not self._items:
                    return None
            ticket, item = self._items.popitem(last=False)
            symbol = self._key(item)
            if symbol is not None and self._quotes.get(symbol, (0, 0))[0] == ticket:
                del self._quotes[symbol]
            self._taken += 1
            self._changed.notify_all()
            if self._waiters:
                _wake(*self._waiters.popleft())
            return item

    def close(self) -> None:
        """Refuse everything from now on and wake whoever waits; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._waiters:
                _wake(*self._waiters.popleft())

    def _put(self, item: ItemT) -> bool:
        """Put an item under the lock, if there is room."""
        if self._closed:
            raise DataError("the event queue is closed: its session has ended.")
        symbol = self._key(item)
        given_way = 0
        if symbol is not None and symbol in self._quotes:
            ticket, given_way = self._quotes[symbol]
            if given_way < PATIENCE:
                # To the end, not into the old one's place: what arrived in between must not be overtaken.
                del self._items[ticket]
                self._conflated += 1
                given_way += 1
            elif len(self._items) >= self._capacity:
                return False
            else:
                given_way = 0
        elif len(self._items) >= self._capacity:
            return False
        self._ticket += 1
        self._items[self._ticket] = item
        if symbol is not None:
            self._quotes[symbol] = self._ticket, given_way
        self._most = max(self._most, len(self._items))
        self._changed.notify_all()
        return True

    def _leave(self, entry: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]) -> None:
        """Take back a wait that was cancelled; if it had been woken already, another is woken in its place."""
        with self._changed:
            if entry in self._waiters:
                self._waiters.remove(entry)
            elif self._waiters:
                _wake(*self._waiters.popleft())


def _never(item: object) -> str | None:  # noqa: ARG001  stands where a key is looked up
    return None


def _wake(loop: asyncio.AbstractEventLoop, room: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_set, room)
    except RuntimeError:  # its loop is gone, and with it whoever waited
        return


def _set(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
