"""The simulated broker, as a configuration names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fairlead.contracts.market_messages import Symbol
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.time import BarSize
from fairlead.data.live.gathering import GatheringRule
from fairlead.data.live.settings import WebSocketSettings, check_url
from fairlead.data.live.websocket import WebSocketFeed
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.simulated.account import MARGIN, SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBrokerSettings
from fairlead.execution.brokers.simulated.following import FollowingBroker
from fairlead.execution.latency import LatencySettings
from fairlead.execution.settings import ExecutionSettings

_ACCOUNT = "SIMULATED"


class SimulatedKind(BrokerKind):
    """A simulated broker in the session's own process, whose market is a feed of the project's protocol.

    Parameters
    ----------
    url : str
        Of the market server: the session's own feed, as a rule.
    symbols : tuple of str
        What can be traded.
    bar_size, calendar : BarSize, str
        Of its bars.
    grace_s : float
        As of a live feed: how long the rest of an instant is waited for, by the stamps of receipt.
    cash : float
    can_short : bool
    venue : ExecutionSettings
        Costs, fill rules and the kind of account; its latency is not used.
    latency : LatencySettings
    answer_s, seed : float, int
        As of `SimulatedBrokerSettings`.
    time : {'real', 'market'}
        Whether the bars are those of now, so that an order meets none that was over when it came; or stored ones.
    kept : str, optional
        A file in which the account outlives the process.
    """

    url: Annotated[str, AfterValidator(check_url)]
    symbols: tuple[Symbol, ...] = Field(min_length=1)
    bar_size: BarSize = BarSize.M1
    calendar: str = Field(default="XNYS", min_length=1)
    grace_s: float = Field(default=2.0, gt=0, le=60)
    cash: float = Field(default=1_000_000.0, gt=0)
    can_short: bool = True
    venue: ExecutionSettings = MARGIN
    latency: LatencySettings = LatencySettings()
    answer_s: float = Field(default=10.0, gt=0, le=300)
    seed: int = Field(default=42, ge=0, lt=2**63)
    time: Literal["real", "market"] = "real"
    kept: str | None = Field(default=None, min_length=1)

    def endpoint(self) -> Endpoint:
        """Return where it would connect to: no broker at all."""
        return Endpoint(EndpointKind.PRACTICE, "in this process")

    def account_kind(self, account_id: str) -> AccountKind:  # noqa: ARG002  whatever it is called
        """Return what the id of an account says of it: no money moves here."""
        return AccountKind.PAPER

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> FollowingBroker:  # noqa: ARG002  everybody may
        """Return a broker that is not connected yet.

        Raises
        ------
        ConfigurationError
            If the account that is kept is another one.
        DataError
            If it cannot be read.
        """
        kept = None if self.kept is None else Path(self.kept)
        symbols = tuple(sorted(self.symbols))
        web = WebSocketSettings(url=self.url, bar_size=self.bar_size, calendar=self.calendar)
        rule = GatheringRule(
            bar_size=self.bar_size, calendar=self.calendar, symbols=symbols, grace_s=self.grace_s, aggregate=None
        )
        return FollowingBroker(
            self._account(keys.account or _ACCOUNT, symbols, now_ns, kept),
            SimulatedBrokerSettings(latency=self.latency, answer_s=self.answer_s, seed=self.seed),
            open_feed=lambda: WebSocketFeed(web, now_ns=now_ns),
            rule=rule,
            kept=kept,
            now_ns=now_ns,
        )

    def _account(
        self, account_id: str, symbols: tuple[str, ...], now_ns: Callable[[], int], kept: Path | None
    ) -> SimulatedAccount:
        arrives_ns = now_ns if self.time == "real" else None
        if kept is None or not kept.exists():
            return SimulatedAccount(
                account_id,
                symbols=symbols,
                now_ns=now_ns,
                cash=self.cash,
                settings=self.venue,
                can_short=self.can_short,
                calendar=self.calendar,
                bar_size=self.bar_size,
                arrives_ns=arrives_ns,
            )
        try:
            data: Any = json.loads(kept.read_bytes())
            account = SimulatedAccount.of(data, now_ns=now_ns, arrives_ns=arrives_ns)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise DataError(f"the account in {kept} cannot be read: {exc}. Put the file aside to begin anew.") from exc
        if (account.account_id, account.symbols) != (account_id, symbols):
            found = f"{account.account_id} with {', '.join(account.symbols)}"
            raise ConfigurationError.of("kept", f"be a file of account {account_id} with {', '.join(symbols)}", found)
        return account
