"""A TWS server for a test: in a thread, over an account of its own or one that is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairlead.core.instruments import Instrument
from fairlead.core.time import to_ns
from fairlead.engine.clock import WallClock
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.faults import PracticeFaults
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws import RunningTws, TwsServer, TwsSettings

ACCOUNT_ID = "DU1234567"
SYMBOLS = ("AAPL", "BRK.B", "MSFT")


def wall_ns() -> int:
    """Return the real time, in nanoseconds."""
    return to_ns(WallClock().now())


def tws(
    *,
    symbols: Sequence[str] = SYMBOLS,
    account_id: str = ACCOUNT_ID,
    instruments: Mapping[str, Instrument] | None = None,
    now_ns: Callable[[], int] = wall_ns,
    elapsed: Callable[[], float] = time.monotonic,
    market: Callable[[], PracticeMarket] | None = None,
    faults: PracticeFaults | None = None,
    kept: Mapping[str, Any] | None = None,
    account: Mapping[str, Any] | None = None,
    obeys: bool = False,
    **settings: Any,
) -> RunningTws:
    """Return a server that runs while its block does.

    Parameters
    ----------
    market : callable, optional
        Makes the session that the account's orders meet; its time is then the server's.
    kept : mapping, optional
        What `TwsServer.to_dict` gave before: the server goes on with it.
    account : mapping, optional
        More about a `SimulatedAccount`.
    settings
        Of `TwsSettings`.
    """

    def make() -> TwsServer:
        chosen, session = TwsSettings(**settings), None if market is None else market()
        clock = now_ns if session is None else lambda: session.now_ns
        more: dict[str, Any] = {"now_ns": clock, "elapsed": elapsed, "market": session, "faults": faults}
        if kept is not None:
            return TwsServer.of(kept, chosen, **more)
        names = symbols if session is None else session.symbols
        made = SimulatedAccount(account_id, symbols=names, instruments=instruments, now_ns=clock, **(account or {}))
        return TwsServer(made, chosen, **more)

    return RunningTws(make, obeys=obeys)
