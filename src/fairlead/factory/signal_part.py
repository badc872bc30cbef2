"""Which plug-in a line uses, as settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, ClassVar

from fairlead.contracts.plugins import PartSettings
from fairlead.factory.inside_bar import InsideBarSignals
from fairlead.factory.opening_range import OpeningRange
from fairlead.factory.plugin import SignalPlugin


class SignalSettings(PartSettings[SignalPlugin]):
    """Which signal plug-in, and its settings.

    Parameters
    ----------
    model : str
        ``insidebar``, ``opening_range``, an entry point of the group ``fairlead.signals``, or ``package.module:Class``.
    params : dict
        The plug-in's settings.
    """

    kind: ClassVar[str] = "signal plug-in"
    group: ClassVar[str] = "fairlead.signals"
    base: ClassVar[type[Any]] = SignalPlugin
    shipped: ClassVar[Mapping[str, type[Any]]] = MappingProxyType(
        {"insidebar": InsideBarSignals, "opening_range": OpeningRange}
    )


def known_plugins() -> tuple[str, ...]:
    """Return the names of all registered plug-ins, shipped and by entry point, sorted."""
    return tuple(sorted({*SignalSettings.shipped, *(point.name for point in entry_points(group=SignalSettings.group))}))
