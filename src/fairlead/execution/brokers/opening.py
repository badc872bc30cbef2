"""From settings to a broker: how each kind is opened, and what it says of itself before anything is sent."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fairlead.contracts.plugins import build_part, find_part
from fairlead.contracts.settings import Settings
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint
from fairlead.execution.brokers.seam import Broker

GROUP: Final = "fairlead.brokers"
_KIND: Final = "broker"


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What opens an account. The keys are the keys themselves, and are not shown.

    Parameters
    ----------
    account : str, optional
        None for the only one there is.
    api_key, api_secret : str, optional
    """

    account: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)


class BrokerKind(Settings, ABC):
    """How a kind of broker is opened. Third parties derive from it; its fields are what ``execution.params`` may hold."""

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Return where it would connect to, without connecting."""

    def account_kind(self, account_id: str) -> AccountKind:  # noqa: ARG002  for those whose ids do say something
        """Return what the id of an account says of it."""
        return AccountKind.UNKNOWN

    @abstractmethod
    def open(self, keys: AccountKeys, now_ns: Callable[[], int], *, is_emergency: bool = False) -> Broker:
        """Return a broker that is not connected yet.

        Parameters
        ----------
        keys : AccountKeys
        now_ns : callable
            The real time, nanoseconds.
        is_emergency : bool
            Of an operator beside a session: where only one connection of a name is allowed, the one that is kept free for it.

        Raises
        ------
        ConfigurationError
            If a key is missing, or its library is not installed.
        """


class _Shipped(Mapping[str, type[BrokerKind]]):
    """The kinds that ship, each imported when it is asked for: the libraries of the others need not be there."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = targets

    def __getitem__(self, name: str) -> type[BrokerKind]:
        module, _, attribute = self._targets[name].partition(":")
        kind: type[BrokerKind] = getattr(importlib.import_module(module), attribute)
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets


_HERE: Final = "fairlead.execution.brokers"
_SHIPPED: Final = _Shipped(
    {
        "alpaca": f"{_HERE}.alpaca.opening:AlpacaKind",
        "ibkr": f"{_HERE}.ibkr.opening:IbkrKind",
        "simulated": f"{_HERE}.simulated.opening:SimulatedKind",
    }
)


def broker_kind(name: str, params: Mapping[str, Any]) -> BrokerKind:
    """Return the kind of broker that a name stands for, with its parameters.

    Parameters
    ----------
    name : str
        ``alpaca``, ``ibkr``, ``simulated``, an entry point of ``fairlead.brokers``, or ``package.module:Class``.
    params : mapping

    Raises
    ------
    UnknownName
        If nothing answers to `name`.
    ConfigurationError
        If it cannot be imported, is no kind of broker, or does not take the parameters.
    """
    base: Any = BrokerKind
    kind: type[BrokerKind] = find_part(_KIND, name, _SHIPPED, base, GROUP)
    return build_part(_KIND, name, kind, params)
