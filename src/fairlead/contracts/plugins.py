"""Exchangeable parts: shipped under a name, or a third party's by entry point or as ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError, UnknownName

PartT = TypeVar("PartT", bound=Settings)


def find_part(kind: str, name: str, shipped: Mapping[str, type[PartT]], base: type[PartT], group: str) -> type[PartT]:
    """Return the class that `name` stands for.

    Parameters
    ----------
    kind : str
        What to call it in an error, e.g. ``"slippage model"``.
    name : str
        A shipped name, an entry point of `group`, or ``package.module:Class``.
    shipped : mapping of str to class
    base : class
        What the class must derive from.
    group : str
        Entry point group, e.g. ``"fairlead.slippage"``.

    Raises
    ------
    UnknownName
        If nothing answers to `name`.
    ConfigurationError
        If what answers cannot be imported or is not a `base`.
    """
    if name in shipped:
        return shipped[name]
    declared = {point.name: point.value for point in entry_points(group=group)}
    target = declared.get(name, name)
    if ":" not in target:
        raise UnknownName.among(kind, name, {*shipped, *declared}, "Or give 'package.module:Class'.")
    module_name, _, attribute = target.partition(":")
    try:
        part = getattr(importlib.import_module(module_name), attribute)
    except Exception as exc:  # importing runs the plug-in's code, which may raise anything
        raise ConfigurationError(f"{kind} {name!r} cannot be imported: {exc}.") from exc
    if not (isinstance(part, type) and issubclass(part, base)) or inspect.isabstract(part):
        raise ConfigurationError.of(f"{kind} {name}", f"be a concrete subclass of {base.__name__}", part)
    return part


def build_part(kind: str, name: str, part: type[PartT], params: Mapping[str, Any]) -> PartT:
    """Return `part` built from `params`.

    Raises
    ------
    ConfigurationError
        Naming every parameter that is unknown or out of range.
    """
    try:
        return part(**params)
    except ValidationError as exc:
        texts = [f"'{'.'.join(map(str, e['loc']))}': {e['msg']}, was {e.get('input')!r}" for e in exc.errors()]
        known = ", ".join(part.model_fields) or "none"
        raise ConfigurationError(f"{kind} {name!r} does not take these params: {'; '.join(texts)}. Known: {known}.") from exc


class PartSettings(Settings, Generic[PartT]):
    """Which part of a kind, and its settings. A subclass says what the kind is.

    Parameters
    ----------
    model : str
        A shipped name, an entry point of the kind's group, or ``package.module:Class``.
    params : dict
        The part's settings; the defaults of those that are not given are filled in, so that what a run used can be read from
        its configuration.
    """

    kind: ClassVar[str]
    group: ClassVar[str]
    base: ClassVar[type[Any]]
    shipped: ClassVar[Mapping[str, type[Any]]]

    model: str
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model")
    @classmethod
    def _is_known(cls, value: str) -> str:
        cls._part(value)
        return value

    @field_validator("params")
    @classmethod
    def _fit(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        model = info.data.get("model")
        return value if model is None else build_part(cls.kind, model, cls._part(model), value).model_dump(mode="json")

    def build(self) -> PartT:
        """Return the part."""
        return build_part(self.kind, self.model, self._part(self.model), self.params)

    @classmethod
    def _part(cls, name: str) -> type[PartT]:
        return find_part(cls.kind, name, cls.shipped, cls.base, cls.group)
