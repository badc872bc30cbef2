"""What keeps a numbered stream whole: what is missing is asked for, and what cannot be had is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from fairlead.contracts.market_messages import BarMessage, TickMessage
from fairlead.data.live.protocol import Backfill, BackfillRequest
from fairlead.data.live.sequencing import Missing, Sequencer

Item: TypeAlias = BarMessage | TickMessage | str
"""An event in its order; or, in its place, the text of a gap that stays."""

_ASKED_TIMES: Final = 3
_PATIENCE_BEATS: Final = 2


class _Asked(NamedTuple):
    """A request that has not been answered."""

    request: BackfillRequest
    beats: int = 0
    times: int = 1


class Continuity:
    """Puts the events of a subscription in order and decides what to ask for. It owns no socket.

    Parameters
    ----------
    reorder_window : int
        So many events may overtake one before it is asked for.
    """

    def __init__(self, reorder_window: int) -> None:
        self._window = reorder_window
        self._numbered: tuple[str, frozenset[str]] | None = None
        self._asked: _Asked | None = None
        self._again = False
        self._requests = 0
        self.sequencer: Final[Sequencer[BarMessage | TickMessage]] = Sequencer()

    @property
    def is_whole(self) -> bool:
        """Whether nothing that is known to exist is missing."""
        return self.sequencer.missing is None

    def begin(self, producer_id: str, symbols: Sequence[str], following: int, first: int | None = None) -> list[Item]:
        """Learn that a subscription begins, or goes on, at number `following`; what is behind it was missed if it goes on.

        One that goes on behind what has come already is another session, whatever its producer calls itself.

        Parameters
        ----------
        producer_id : str
        symbols : sequence of str
        following : int
        first : int, optional
            The number from which on events are wanted of one that begins; None for `following`.
        """
        numbered = producer_id, frozenset(symbols)
        before, self._numbered = self._numbered, numbered
        if numbered == before and following >= self.sequencer.expected:
            self.sequencer.announce(following)
            return []
        self._asked = None
        lost = self.sequencer.lost
        items: list[Item] = list(self.sequencer.restart(following if first is None else first))
        self.sequencer.announce(following)
        if before is not None and (before[0] != producer_id or numbered == before):
            items.append(f"{producer_id} began another session")
        elif self.sequencer.lost > lost:
            items.append(f"{self.sequencer.lost - lost} events of the former subscription are lost")
        return items

    def event(self, message: BarMessage | TickMessage) -> list[Item]:
        """Take an event and return what is in order now.

        Raises
        ------
        ContractError
            If it has no number.
        """
        return list(self.sequencer.accept(message.sequence_number, message))

    def beat(self, following: int) -> list[Item]:
        """Learn that every event below `following` was sent; a request without an answer is repeated, then dropped."""
        self.sequencer.announce(following)
        asked = self._asked
        if asked is None:
            return []
        if asked.beats + 1 < _PATIENCE_BEATS:
            self._asked = asked._replace(beats=asked.beats + 1)
        elif asked.times < _ASKED_TIMES:
            self._asked = asked._replace(beats=0, times=asked.times + 1)
            self._again = True
        else:
            return self._give_up(asked.request, "no answer")
        return []

    def answer(self, message: Backfill) -> list[Item]:
        """Take the answer to a request.

        Raises
        ------
        ContractError
            If one of its events has no number.
        """
        if self._asked is None or message.request_id != self._asked.request.request_id:
            return []
        items = [item for event in message.events for item in self.event(event)]
        request = self._asked.request.model_copy(update={"last": message.last})
        self._asked = None
        missing = self.sequencer.missing
        if missing is not None and missing.first <= message.last:
            items += self._give_up(request, "left out of the answer")
        return items

    def refused(self, request_id: int | None, why: str, oldest: int | None = None) -> list[Item]:
        """Learn that a request was refused; from number `oldest` on events can be had, and are asked for again."""
        if self._asked is None or request_id != self._asked.request.request_id:
            return []
        request = self._asked.request
        if oldest is not None and request.first < oldest <= request.last:
            request = request.model_copy(update={"last": oldest - 1})
        return self._give_up(request, why)

    def request(self, *, at_once: bool) -> BackfillRequest | None:
        """Return what is to be asked for now, if anything: what was overtaken by too many, or whatever is missing."""
        if self._asked is not None:
            again, self._again = self._again, False
            return self._asked.request if again else None
        missing = self.sequencer.missing
        if missing is None or (self.sequencer.held <= self._window and not at_once):
            return None
        self._requests += 1
        request = BackfillRequest(request_id=self._requests, first=missing.first, last=missing.last)
        self._asked = _Asked(request)
        return request

    def disconnect(self) -> None:
        """Forget the request that the lost connection will not answer."""
        self._asked = None
        self._again = False

    def _give_up(self, request: BackfillRequest, why: str) -> list[Item]:
        self._asked = None
        lost = self.sequencer.lost
        given = Missing(self.sequencer.expected, request.last)
        released = self.sequencer.give_up(given.last)
        count = self.sequencer.lost - lost
        return [f"{count} events are lost, numbers {given.first} to {given.last}: {why}", *released]
