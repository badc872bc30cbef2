"""One client that is connected: what it is told, and what befalls that on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fairlead.practice.faults import Telling
from fairlead.practice.tws.layouts import error
from fairlead.practice.tws.switches import TwsSwitches
from fairlead.practice.tws.wire import frame

NOBODY: Final = -1


class Client:
    """A connection of a client.

    Parameters
    ----------
    version : int
        What is spoken with it.
    write : callable
        Takes bytes for its socket.
    close : callable
        Breaks the connection.
    later : callable
        Calls something after seconds.
    switches : TwsSwitches
    telling : Telling
        What befalls the news; answers to questions come as they are.

    Attributes
    ----------
    client_id : int
        As it has said; -1 before.
    is_muted : bool
        Nothing reaches it any more.
    wants_account, wants_positions : bool
    data_type : int
        1 or 2 for live market data, 3 or 4 for delayed.
    summaries : dict of int to tuple of str
        Tags of the account by request.
    """

    def __init__(
        self,
        version: int,
        write: Callable[[bytes], None],
        close: Callable[[], None],
        later: Callable[[float, Callable[[], None]], object],
        switches: TwsSwitches,
        telling: Telling[bytes],
    ) -> None:
        self.version = version
        self.client_id = NOBODY
        self.is_muted = False
        self.close = close
        self.wants_account = False
        self.wants_positions = False
        self.data_type = 1
        self.summaries: dict[int, tuple[str, ...]] = {}
        self.telling = telling
        self._write, self._later, self._switches = write, later, switches
        self._held_back: list[bytes] = []
        self._silenced: list[bytes] = []

    def send(self, *fields: object) -> None:
        """Answer."""
        self.write(frame(*fields))

    def tell(self, *fields: object) -> None:
        """Tell news: what nobody asked for just now."""
        if self._switches.holds_answers:
            self._held_back.append(frame(*fields))
            return
        for _ in range(1 + self._switches.repeats):
            delivery = self.telling.deliver(frame(*fields))
            for data in delivery.messages:
                if delivery.delay_s:
                    self._later(delivery.delay_s, partial(self.write, data))
                else:
                    self.write(data)
            if delivery.garbage:
                self.write(frame(delivery.garbage))
            if delivery.breaks:
                self.close()

    def error(self, request_id: int, code: int, text: str) -> None:
        """Answer that something went wrong, or give notice."""
        self.send(*error(self.version, request_id, code, text))

    def tell_error(self, request_id: int, code: int, text: str) -> None:
        """Tell that something went wrong with an order."""
        self.tell(*error(self.version, request_id, code, text))

    def settle(self) -> None:
        """Send what waited for a pause, or for a switch to be turned back."""
        for data in self.telling.rest():
            self.write(data)
        if not self._switches.holds_answers:
            held_back, self._held_back = self._held_back, []
            for data in held_back:
                self.write(data)
        if not self._switches.is_silent:
            silenced, self._silenced = self._silenced, []
            for data in silenced:
                self.write(data)

    def write(self, data: bytes) -> None:
        """Send bytes as they are, whatever they mean."""
        if self._switches.is_silent:
            self._silenced.append(data)
        elif not self.is_muted:
            self._write(data)
