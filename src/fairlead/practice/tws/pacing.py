"""How much history may be asked for (domain rule 14.2), as the server holds its clients to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Final

_WINDOW_S: Final = 600.0
_PER_WINDOW: Final = 60
_SAME_S: Final = 15.0
_BURST_S: Final = 2.0
_PER_BURST: Final = 6
_OPEN: Final = 50
_TWICE: Final = "BID_ASK"


class HistoryPacing:
    """Counts what a client asks of history.

    Parameters
    ----------
    elapsed : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._asked: deque[tuple[float, int]] = deque()
        self._same: dict[Hashable, float] = {}
        self._of_contract: dict[tuple[int, str], deque[float]] = {}
        self.violations = 0
        """How often more was asked than is allowed."""

    def refusal(self, con_id: int, what: str, request: Hashable, in_work: int) -> str:
        """Count one more request, and return why it is not answered; empty if it is.

        Parameters
        ----------
        con_id : int
        what : str
            TRADES, BID_ASK, ...
        request : hashable
            Everything about it, so that one that comes again is known.
        in_work : int
            How many requests of this client go on.
        """
        now = self._elapsed()
        while self._asked and now - self._asked[0][0] >= _WINDOW_S:
            self._asked.popleft()
        recent = self._of_contract.setdefault((con_id, what), deque())
        while recent and now - recent[0] >= _BURST_S:
            recent.popleft()
        weight = 2 if what == _TWICE else 1
        last = self._same.get(request)
        refusal = ""
        if sum(one for _, one in self._asked) + weight > _PER_WINDOW:
            refusal = f"more than {_PER_WINDOW} requests in {_WINDOW_S / 60:g} minutes"
        elif last is not None and now - last < _SAME_S:
            refusal = f"the same request within {_SAME_S:g} seconds"
        elif len(recent) + weight >= _PER_BURST:
            refusal = f"{_PER_BURST} or more requests for one contract within {_BURST_S:g} seconds"
        elif in_work >= _OPEN:
            refusal = f"more than {_OPEN} requests at once"
        if refusal:
            self.violations += 1
            return refusal
        self._asked.append((now, weight))
        self._same[request] = now
        recent.extend([now] * weight)
        return ""
