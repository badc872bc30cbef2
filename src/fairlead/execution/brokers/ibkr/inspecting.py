"""What Interactive Brokers says of an account before anybody trades with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fairlead.core.errors import BrokerAccess, BrokerConnection
from fairlead.execution.brokers.inspection import MARKET_DATA, READ_ONLY, SHORTING, TRADING, Finding, Verdict


async def inspected(ask_orders: Callable[[], Awaitable[object]], *, can_short: bool, is_cut: bool) -> list[Finding]:
    """Return what was found.

    Parameters
    ----------
    ask_orders : callable
        Asks for the open orders, which a read-only interface refuses.
    can_short : bool
        As it was set: the gateway does not tell.
    is_cut : bool
        Whether the gateway does not reach the broker's servers.
    """
    trading = Finding(TRADING, Verdict.OK, "the gateway reaches the broker's servers")
    if is_cut:
        trading = Finding(
            TRADING, Verdict.FAILED, "the gateway does not reach the broker's servers (1100)", "Wait, or restart it."
        )
    shorting = Finding(SHORTING, Verdict.UNKNOWN, f"the gateway does not tell; can_short: {str(can_short).lower()}")
    data = Finding(MARKET_DATA, Verdict.UNKNOWN, "the gateway tells when a feed asks for it (354, 10090, 10167, 10197)")
    return [trading, shorting, data, await _read_only(ask_orders)]


async def _read_only(ask_orders: Callable[[], Awaitable[object]]) -> Finding:
    try:
        await ask_orders()
    except BrokerAccess as exc:
        return Finding(READ_ONLY, Verdict.FAILED, str(exc), "Switch 'Read-Only API' off in the gateway's settings.")
    except BrokerConnection as exc:
        return Finding(READ_ONLY, Verdict.UNKNOWN, str(exc), "Ask again later.")
    return Finding(READ_ONLY, Verdict.OK, "no")
