"""`load_factory`: from a file to the validated settings of a signal factory's line, with every mistake named at its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.config.document import Node
from fairlead.config.effective import hash_of
from fairlead.config.loading import read_with_values, validated
from fairlead.config.problems import ConfigurationProblems
from fairlead.config.redaction import redacted
from fairlead.config.translation import named_problem
from fairlead.core.errors import FairleadError
from fairlead.factory.settings import FactorySettings


@dataclass(frozen=True, slots=True)
class LoadedFactory:
    """A validated configuration of a line.

    Attributes
    ----------
    settings : FactorySettings
    effective : dict
        The same as plain data, defaults included: what is saved with a run. Where results go is no part of it.
    hash : str
        SHA-256 of `effective` as canonical JSON.
    document : Node
        The file after profile, overrides and environment.
    """

    settings: FactorySettings
    effective: dict[str, Any]
    hash: str
    document: Node

    def problem(self, path: tuple[str, ...], error: FairleadError) -> ConfigurationProblems:
        """Return `error`, found after loading (an unknown dataset), at the line of the setting `path`."""
        return ConfigurationProblems.of_all([named_problem(self.document, path, str(error))])


def load_factory(
    path: Path | str, *, environ: Mapping[str, str], profile: str | None = None, overrides: Sequence[str] = ()
) -> LoadedFactory:
    """Return the validated settings of the YAML or JSON file at `path`; the rules are those of `load_settings`.

    The switches of the environment (`EnforcementSettings.switched`) are applied last.

    Raises
    ------
    ConfigurationProblems
        Listing every mistake as ``file:line: 'a.b.c' must <rule>, was <value>. <remedy>``, in file order.
    ConfigurationError
        If a switch of the environment is misspelt.
    """
    root = read_with_values(Path(path), environ=environ, profile=profile, overrides=overrides)
    settings = validated(FactorySettings, root)
    settings = settings.model_copy(update={"enforcement": settings.enforcement.switched(environ)})
    effective = redacted(settings.model_dump(mode="json", exclude={"workspace"}), root)
    assert isinstance(effective, dict)
    return LoadedFactory(settings, effective, hash_of(effective), root)
