"""The simulated broker, opened from settings: an account in memory, or one that a file keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from fairlead.contracts.files import storage_error, write_json
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.execution.brokers.endpoint import Endpoint, EndpointKind
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.execution.brokers.simulated.broker import SimulatedBroker, SimulatedBrokerSettings
from fairlead.execution.latency import LatencySettings

_ACCOUNT = "SIM1"


class SimulatedKind(BrokerKind):
    """A broker that exists in this process only. Nothing trades in it but what whoever opens it lets happen.

    Parameters
    ----------
    symbols : tuple of str
        What can be traded.
    cash : float
        At the beginning.
    state : str, optional
        File that keeps the account: it is as it was when it is opened again. One process at a time may have it open.
    latency, answer_s, seed
        See `SimulatedBrokerSettings`.
    """

    symbols: tuple[str, ...] = Field(min_length=1)
    cash: float = Field(default=1_000_000.0, gt=0, le=1e12)
    state: str | None = None
    latency: LatencySettings = LatencySettings()
    answer_s: float = Field(default=10.0, gt=0, le=300)
    seed: int = Field(default=42, ge=0, lt=2**63)

    def endpoint(self) -> Endpoint:
        """Return that no broker is reached."""
        return Endpoint(EndpointKind.PRACTICE, "a simulated broker")

    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> SimulatedBroker:  # noqa: ARG002  the seam's signature
        """Return the broker."""
        account = self.account(keys.account or _ACCOUNT, now_ns)
        settings = SimulatedBrokerSettings(latency=self.latency, answer_s=self.answer_s, seed=self.seed)
        return SimulatedBroker(account, settings, now_ns=now_ns)

    def account(self, account_id: str, now_ns: Callable[[], int]) -> SimulatedAccount:
        """Return the account: as its file has it, or a new one.

        Raises
        ------
        ConfigurationError
            If the file holds another account, or none.
        """
        path = None if self.state is None else Path(self.state).expanduser()
        if path is None or not path.exists():
            account = SimulatedAccount(account_id, symbols=self.symbols, now_ns=now_ns, cash=self.cash)
        else:
            account = _read(path, now_ns)
            if account.account_id != account_id:
                raise ConfigurationError.of(
                    "account", f"be the one that {path} keeps", account_id, f"That is {account.account_id}."
                )
        if path is not None:
            write_json(path, account.to_dict())
            account.listen(lambda _news: write_json(path, account.to_dict()))
        return account


def _read(path: Path, now_ns: Callable[[], int]) -> SimulatedAccount:
    try:
        return SimulatedAccount.of(json.loads(path.read_bytes()), now_ns=now_ns)
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    except (ValueError, KeyError, TypeError, ContractError) as exc:
        raise ConfigurationError(f"{path} keeps no simulated account: {exc}. Remove it to begin another.") from exc
