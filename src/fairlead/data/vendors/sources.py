"""From a name to a source of history: those that ship, and those of third parties."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fairlead.contracts.plugins import build_part, find_part
from fairlead.contracts.settings import Settings
from fairlead.data.vendors.history import HistorySource

GROUP: Final = "fairlead.history"
_KIND: Final = "source of history"


class HistoryKind(Settings, ABC):
    """How a source is opened. Third parties derive from it; its fields are what ``--option`` may set."""

    @abstractmethod
    def open(self, environ: Mapping[str, str], now_ns: Callable[[], int]) -> HistorySource:
        """Return the source; nothing has been asked of the vendor yet.

        Parameters
        ----------
        environ : mapping of str to str
            Where keys are found.
        now_ns : callable
            The time of day, nanoseconds since the epoch.

        Raises
        ------
        ConfigurationError
            If a key is missing, or the vendor's library is not installed.
        """


class _Shipped(Mapping[str, type[HistoryKind]]):
    """The kinds that ship, each imported when it is asked for: the libraries of the others need not be there."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = targets

    def __getitem__(self, name: str) -> type[HistoryKind]:
        module, _, attribute = self._targets[name].partition(":")
        kind: type[HistoryKind] = getattr(importlib.import_module(module), attribute)
        return kind

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


_SHIPPED: Final = _Shipped(
    {
        "alpaca": "fairlead.data.vendors.alpaca_history:AlpacaHistoryKind",
        "ibkr": "fairlead.data.vendors.ibkr.history:IbkrHistoryKind",
        "yahoo": "fairlead.data.vendors.yahoo:YahooHistoryKind",
    }
)


def open_history(name: str, params: Mapping[str, Any], environ: Mapping[str, str], now_ns: Callable[[], int]) -> HistorySource:
    """Return the source called `name`.

    Parameters
    ----------
    name : str
        ``alpaca``, ``ibkr``, ``yahoo``, an entry point of `GROUP`, or ``package.module:Class`` of a `HistoryKind`.
    params : mapping of str to text
        The settings of its kind.
    environ, now_ns : mapping, callable
        As for `HistoryKind.open`.

    Raises
    ------
    UnknownName
        If nothing answers to `name`.
    ConfigurationError
        If a setting is unknown or wrong, a key is missing, or the vendor's library is not installed.
    """
    base: type[HistoryKind] = HistoryKind  # type: ignore[type-abstract]
    kind = find_part(_KIND, name, _SHIPPED, base, GROUP)
    return build_part(_KIND, name, kind, params).open(environ, now_ns)
