"""Published price lists of brokers, as data: one file a preset, in `fairlead/execution/presets`."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from pydantic import Field

from fairlead.contracts.settings import Settings
from fairlead.core.errors import UnknownName


class CommissionPreset(Settings):
    """A broker's price list and where it is from.

    Parameters
    ----------
    title : str
    as_of : date
        When the list was in force.
    source : str
        The documents it was taken from.
    notes : str
        What it leaves out or simplifies.
    model : str
        Commission model.
    params : dict
        Its settings.
    """

    title: str = Field(min_length=1)
    as_of: dt.date
    source: str = Field(min_length=1)
    notes: str = ""
    model: str
    params: dict[str, Any] = Field(default_factory=dict)


def known_presets() -> tuple[str, ...]:
    """Return the names of the presets that ship, sorted."""
    return tuple(sorted(_files()))


@lru_cache(maxsize=64)
def commission_preset(name: str) -> CommissionPreset:
    """Return a preset.

    Raises
    ------
    UnknownName
        If none has this name.
    """
    known = _files()
    if name not in known:
        raise UnknownName.among("commission preset", name, known)
    return CommissionPreset.model_validate(yaml.safe_load(known[name].read_text(encoding="utf-8")))


def _files() -> dict[str, Traversable]:
    folder = files("fairlead.execution").joinpath("presets")
    return {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
