"""Where features are found: those that ship, entry points, and ``package.module:NAME``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Final

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.features.definition import Feature

ENTRY_POINTS: Final = "fairlead.features"
FAMILIES: Final = (
    "cross_section",
    "fundamentals",
    "microstructure",
    "momentum",
    "regression",
    "returns",
    "session",
    "statistics",
    "trend",
    "volatility",
    "volume",
)


@cache
def shipped_features() -> Mapping[str, Feature]:
    """Return the features that ship, by name."""
    modules = [importlib.import_module(f"fairlead.features.{family}") for family in FAMILIES]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Feature)}
    return MappingProxyType(dict(sorted(found.items())))


def known_features() -> tuple[str, ...]:
    """Return every name that `find_feature` knows, without importing third parties' modules."""
    return tuple(sorted({*shipped_features(), *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def find_feature(name: str) -> Feature:
    """Return the feature that `name` stands for: shipped, entry point of ``fairlead.features``, or ``package.module:NAME``.

    Raises
    ------
    UnknownName
        If nothing answers to `name`.
    ConfigurationError
        If what answers cannot be imported or is no feature.
    """
    shipped = shipped_features()
    if name in shipped:
        return shipped[name]
    target = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}.get(name, name)
    if ":" not in target:
        raise UnknownName.among("feature", name, known_features(), "Or give 'package.module:NAME'.")
    module_name, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as exc:  # importing runs the plug-in's code, which may raise anything
        raise ConfigurationError(f"feature {name!r} cannot be imported: {exc}.") from exc
    if not isinstance(found, Feature):
        raise ConfigurationError.of(f"feature {name}", "be made with @feature", found)
    return found
