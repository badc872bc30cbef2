"""The simulated broker, opened from settings: an account in memory or one that a file keeps, and perhaps a market for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fairlead.contracts.files import storage_error, write_json
from fairlead.contracts.market_messages import Symbol
from fairlead.core.errors import ConfigurationError, FairleadError
from fairlead.core.time import BarSize
from fairlead.data.live.gathering import GRACE_S, GatheringRule
from fairlead.data.live.settings import WebSocketSettings, check_url
from fairlead.data.live.websocket import WebSocketFeed
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.simulated.account import MARGIN, SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.brokers.simulated.following import FollowingBroker
from fairlead.execution.latency import LatencySettings
from fairlead.execution.settings import ExecutionSettings

_ACCOUNT = "SIM1"


class SimulatedKind(BrokerKind):
    """A broker that exists in this process only.

    Parameters
    ----------
    symbols : tuple of str
        What can be traded.
    url : str, optional
        Of a market server, whose bars its orders meet: the session's own feed, as a rule. None: nothing trades in it but what
        whoever opens it lets happen.
    bar_size, calendar : BarSize, str
        Of the bars.
    time : {'real', 'market'}
        Whether the bars are those of now, so that an order meets none that was over when it came; or stored ones.
    cash : float
        At the beginning.
    can_short : bool
    venue : ExecutionSettings
        Costs, fill rules and the kind of account; its latency is not used.
    state : str, optional
        File that keeps the account: it is as it was when it is opened again. One process at a time may have it open.
    latency, answer_s, seed
        See `SimulatedBrokerSettings`.
    """

    symbols: tuple[Symbol, ...] = Field(min_length=1)
    url: Annotated[str, AfterValidator(check_url)] | None = None
    bar_size: BarSize = BarSize.M1
    calendar: str = Field(default="XNYS", min_length=1)
    time: Literal["real", "market"] = "real"
    cash: float = Field(default=1_000_000.0, gt=0, le=1e12)
    can_short: bool = True
    venue: ExecutionSettings = MARGIN
    state: str | None = Field(default=None, min_length=1)
    latency: LatencySettings = LatencySettings()
    answer_s: float = Field(default=10.0, gt=0, le=300)
    seed: int = Field(default=42, ge=0, lt=2**63)

    def endpoint(self) -> Endpoint:
        """Return that no broker is reached."""
        return Endpoint(EndpointKind.PRACTICE, "a simulated broker")

    def kind_of(self, account_id: str) -> AccountKind:  # noqa: ARG002  whatever it is called
        """Return what the id of an account says of it: no money moves here."""
        return AccountKind.PAPER

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> SimulatedBroker:  # noqa: ARG002  the seam's signature
        """Return the broker.

        Raises
        ------
        ConfigurationError
            If `state` holds another account, or none.
        """
        account = self.account(keys.account or _ACCOUNT, now_ns)
        settings = SimulatedBrokerSettings(latency=self.latency, answer_s=self.answer_s, seed=self.seed)
        if self.url is None:
            return SimulatedBroker(account, settings, now_ns=now_ns)
        web = WebSocketSettings(url=self.url, bar_size=self.bar_size, calendar=self.calendar)
        return FollowingBroker(
            account,
            settings,
            open_feed=lambda: WebSocketFeed(web, now_ns=now_ns),
            rule=GatheringRule(bar_size=self.bar_size, calendar=self.calendar, symbols=account.symbols, grace_s=GRACE_S),
            now_ns=now_ns,
        )

    def account(self, account_id: str, now_ns: Callable[[], int]) -> SimulatedAccount:
        """Return the account: as its file has it, or a new one.

        Raises
        ------
        ConfigurationError
            If the file holds another account, or none.
        """
        path = None if self.state is None else Path(self.state).expanduser()
        arrives_ns = now_ns if self.time == "real" and self.url is not None else None
        if path is None or not path.exists():
            account = SimulatedAccount(
                account_id,
                symbols=self.symbols,
                now_ns=now_ns,
                cash=self.cash,
                settings=self.venue,
                can_short=self.can_short,
                calendar=self.calendar,
                bar_size=self.bar_size,
                arrives_ns=arrives_ns,
            )
        else:
            account = _read(path, now_ns, arrives_ns)
            if account.account_id != account_id:
                raise ConfigurationError.of(
                    "account", f"be the one that {path} keeps", account_id, f"That is {account.account_id}."
                )
            if account.symbols != tuple(sorted(self.symbols)):
                remedy = f"Put {path} aside to begin another."
                rule = f"be those that {path} keeps an account of: {', '.join(account.symbols)}"
                raise ConfigurationError.of("symbols", rule, ", ".join(self.symbols), remedy)
        if path is not None:
            write_json(path, account.to_dict())
            account.keep(lambda: write_json(path, account.to_dict()))
        return account


def _read(path: Path, now_ns: Callable[[], int], arrives_ns: Callable[[], int] | None) -> SimulatedAccount:
    try:
        return SimulatedAccount.of(json.loads(path.read_bytes()), now_ns=now_ns, arrives_ns=arrives_ns)
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    except (ValueError, KeyError, TypeError, FairleadError) as exc:
        raise ConfigurationError(f"{path} keeps no simulated account: {exc}. Remove it to begin another.") from exc
