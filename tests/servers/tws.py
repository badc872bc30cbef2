"""A TWS server for a test: in a thread, over an account of its own or one that is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairlead.core.instruments import Instrument
from fairlead.core.time import to_ns
from fairlead.engine.clock import WallClock
from fairlead.execution.brokers.simulated.account import SimulatedAccount
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
    kept: Mapping[str, Any] | None = None,
    account: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunningTws:
    """Return a server that runs while its block does.

    Parameters
    ----------
    kept : mapping, optional
        What `TwsServer.to_dict` gave before: the server goes on with it.
    account : mapping, optional
        More about a `SimulatedAccount`.
    settings
        Of `TwsSettings`.
    """

    def make() -> TwsServer:
        chosen = TwsSettings(**settings)
        if kept is not None:
            return TwsServer.of(kept, chosen, now_ns=now_ns, elapsed=elapsed)
        made = SimulatedAccount(account_id, symbols=symbols, instruments=instruments, now_ns=now_ns, **(account or {}))
        return TwsServer(made, chosen, now_ns=now_ns, elapsed=elapsed)

    return RunningTws(make)
