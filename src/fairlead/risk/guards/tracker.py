"""What guards must remember between orders. They do not: this does, told by whoever sends orders and hears of fills."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_MINUTE
from fairlead.risk.guards.views import Counters

_VERSION: Final = 1


@dataclass(slots=True)
class _Trip:
    """A position from its opening until it is flat: what it has brought so far, costs included, in currency."""

    net: float = 0.0


class RiskTracker:
    """Counts orders, losers and equity for the `Counters` of one account.

    Parameters
    ----------
    equity : float
        Of the account at the start, in currency.
    """

    def __init__(self, equity: float) -> None:
        self._equity = self._start = self._peak = float(equity)
        self._session: int | None = None
        self._losers = 0
        self._trips: dict[tuple[str, str], _Trip] = {}
        self._sent: dict[tuple[str, str], list[int]] = {}
        self._sent_all: list[int] = []
        self._keys: set[str] = set()

    def mark(self, session: int, equity: float) -> None:
        """Take in what the account is worth now.

        Parameters
        ----------
        session : int
            Date of the session, in days since the epoch. The first instant of a new one begins it: with the equity that the one
            before ended with.
        equity : float
            In currency.
        """
        self.enter(session)
        self._equity = equity
        self._peak = max(self._peak, equity)

    def enter(self, session: int) -> None:
        """Begin a session, unless it has begun."""
        if session == self._session:
            return
        self._session = session
        self._start = self._equity
        self._losers = 0

    def sent(self, strategy: str, symbol: str, key: str, now_ns: int) -> None:
        """Count an order that has left."""
        self._keys.add(key)
        for stamps in (self._sent.setdefault((strategy, symbol), []), self._sent_all):
            del stamps[: bisect_right(stamps, now_ns - NS_PER_MINUTE)]
            stamps.append(now_ns)

    def filled(
        self, session: int, strategy: str, symbol: str, *, closed: float, left: float, realised: float, commission: float
    ) -> None:
        """Count a fill towards the position that it opens or closes.

        Parameters
        ----------
        closed : float
            The part of the fill that closed something, 0 to 1.
        left : float
            Signed units held afterwards.
        realised, commission : float
            In currency.
        """
        self.enter(session)
        trip = self._trips.setdefault((strategy, symbol), _Trip())
        trip.net += realised - commission * (closed if closed > 0 else 1.0)
        if closed <= 0.0 or (left != 0.0 and closed == 1.0):
            return
        # Flat, or turned round: what the fill opened beyond zero is the beginning of another.
        self._losers = self._losers + 1 if trip.net < 0.0 else 0
        del self._trips[strategy, symbol]
        if left != 0.0:
            self._trips[strategy, symbol] = _Trip(-commission * (1.0 - closed))

    def cash_flow(self, amount: float) -> None:
        """Count money that was paid in, or (below 0) out: no profit and no loss."""
        self._start += amount
        self._peak += amount
        self._equity += amount

    def rearm(self) -> None:
        """Begin anew after an operator has looked: the peak is what the account is worth now, and no loser is counted."""
        self._peak = self._equity
        self._losers = 0

    def counters(self, strategy: str, symbol: str, now_ns: int) -> Counters:
        """Return the counts that concern an order of a strategy in a symbol."""
        since = now_ns - NS_PER_MINUTE
        own = self._sent.get((strategy, symbol), [])
        return Counters(
            session_start_equity=self._start,
            peak_equity=self._peak,
            losers_in_a_row=self._losers,
            orders_of_pair=len(own) - bisect_right(own, since),
            orders_of_all=len(self._sent_all) - bisect_right(self._sent_all, since),
            keys=self._keys,
            last_sent_ns=own[-1] if own else None,
        )

    def save_state(self) -> dict[str, Any]:
        """Return everything that it remembers, as plain data that JSON can hold."""
        return {
            "version": _VERSION,
            "equity": self._equity,
            "session_start_equity": self._start,
            "peak_equity": self._peak,
            "session": self._session,
            "losers_in_a_row": self._losers,
            "trips": [[*pair, trip.net] for pair, trip in sorted(self._trips.items())],
            "sent": [[*pair, list(stamps)] for pair, stamps in sorted(self._sent.items())],
            "sent_all": list(self._sent_all),
            "keys": sorted(self._keys),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Remember what `save_state` returned, and nothing else.

        Raises
        ------
        ContractError
            If it is of another version.
        """
        if state.get("version") != _VERSION:
            raise ContractError.of("version of the tracker's state", f"be {_VERSION}", state.get("version"))
        self._equity, self._start, self._peak = (
            float(state[name]) for name in ("equity", "session_start_equity", "peak_equity")
        )
        self._session, self._losers = state["session"], int(state["losers_in_a_row"])
        self._trips = {(strategy, symbol): _Trip(net) for strategy, symbol, net in state["trips"]}
        self._sent = {(strategy, symbol): list(stamps) for strategy, symbol, stamps in state["sent"]}
        self._sent_all = list(state["sent_all"])
        self._keys = set(state["keys"])
