"""What Alpaca says of an account before anybody trades with it."""

from __future__ import annotations

from typing import Final

from fairlead.core.errors import BrokerAccess, BrokerError, FairleadError
from fairlead.data.vendors.alpaca.pages import AlpacaPages
from fairlead.data.vendors.alpaca.settings import AlpacaData
from fairlead.execution.brokers.alpaca.settings import AlpacaSettings
from fairlead.execution.brokers.inspection import MARKET_DATA, READ_ONLY, SHORTING, TRADING, Finding, Verdict
from fairlead.execution.brokers.words import BrokerAccount

_SOURCES: Final = ("iex", "sip")
_SYMBOL: Final = "SPY"


async def inspected(account: BrokerAccount, settings: AlpacaSettings) -> list[Finding]:
    """Return what was found of an account, and of the market data that its keys cover."""
    trading = Finding(TRADING, Verdict.OK, "takes orders")
    if account.is_blocked:
        trading = Finding(TRADING, Verdict.FAILED, f"takes no orders: {account.reason}", "Ask Alpaca why.")
    shorting = Finding(SHORTING, Verdict.OK, "allowed")
    if not account.can_short:
        remedy = "Needs 2,000 USD and a margin account; or trade long only."
        shorting = Finding(SHORTING, Verdict.WARNING, "not allowed", remedy)
    read_only = Finding(READ_ONLY, Verdict.OK, "no: keys of Alpaca can always send orders")
    return [trading, shorting, await _market_data(settings), read_only]


async def _market_data(settings: AlpacaSettings) -> Finding:
    covered = []
    for source in _SOURCES:
        data = AlpacaData(source=source, base_url=settings.base_url, data_url=settings.data_url, timeout_s=settings.timeout_s)
        pages = AlpacaPages(data, settings.api_key.get_secret_value(), settings.api_secret.get_secret_value())
        try:
            await pages.page("trades", [_SYMBOL], {"limit": 1})
        except BrokerAccess:
            continue
        except (BrokerError, FairleadError) as exc:
            return Finding(MARKET_DATA, Verdict.UNKNOWN, str(exc), "Ask again later.")
        finally:
            pages.close()
        covered.append(source)
    if not covered:
        return Finding(MARKET_DATA, Verdict.FAILED, "none", "Check the keys; iex is free.")
    if "sip" not in covered:
        remedy = "Enough to look around; pay for sip to see all trades."
        return Finding(MARKET_DATA, Verdict.WARNING, "iex: one exchange of all", remedy)
    return Finding(MARKET_DATA, Verdict.OK, ", ".join(covered))
