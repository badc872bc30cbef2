"""`load_settings`: from a file to validated settings, with every mistake named at its line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fairlead.config.document import KeyPath, Node, read_document
from fairlead.config.effective import hash_of
from fairlead.config.interpolation import interpolate
from fairlead.config.overrides import apply_overrides
from fairlead.config.problems import ConfigurationProblems, Problem
from fairlead.config.profiles import apply_profile
from fairlead.config.redaction import redacted, secrets_of
from fairlead.config.settings import SessionSettings
from fairlead.config.strategies import FindStrategy, check_strategies
from fairlead.config.translation import named_problem, origin_of, problems_of, switches_for_numbers
from fairlead.core.errors import FairleadError
from fairlead.core.redaction import Secrets
from fairlead.sdk.registry import find_strategy

PROFILE_VARIABLE: Final = "FAIRLEAD_PROFILE"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A validated configuration.

    Parameters
    ----------
    settings : SessionSettings
        What to wire; the parameters of each strategy are complete.
    effective : dict
        The same as plain data, defaults included and secrets redacted: what is saved with a run.
    hash : str
        SHA-256 of `effective` as canonical JSON.
    path : Path
        The file.
    document : Node
        The file after profile, overrides and environment, for messages that name a line.
    """

    settings: SessionSettings
    effective: dict[str, Any]
    hash: str
    path: Path
    document: Node

    @property
    def secrets(self) -> Secrets:
        """What the file and the variables it refers to hold that no log may show."""
        return secrets_of(self.document)

    def where(self, *path: str | int) -> str:
        """Return ``file:line`` of the setting at `path`, or of the section that would hold it."""
        return str(origin_of(self.document, path).place)

    def problem(self, path: KeyPath, error: FairleadError, fields: Collection[str] = ()) -> ConfigurationProblems:
        """Return `error`, found after loading (an unknown symbol, dates without data), at the line of the setting `path`.

        Parameters
        ----------
        path : tuple of str or int
            What the error is about, e.g. ``("data", "symbols")``.
        error : FairleadError
        fields : collection of str, optional
            Keys that may stand under `path`, so that ``'key' must ...`` is understood as one of them though it is not written.
        """
        return ConfigurationProblems.of_all([named_problem(self.document, path, str(error), fields)])


def load_settings(
    path: Path | str,
    *,
    environ: Mapping[str, str],
    profile: str | None = None,
    overrides: Sequence[str] = (),
    find: FindStrategy = find_strategy,
) -> LoadedConfig:
    """Return the validated settings of the YAML or JSON file at `path`.

    In rising order of precedence: defaults, the file, its profile, overrides. References to the environment are replaced last,
    so that a value which is overridden needs no variable.

    Parameters
    ----------
    path : Path or str
    environ : mapping of str to str
        Environment variables; ``FAIRLEAD_PROFILE`` names the profile if `profile` is None.
    profile : str, optional
        A key of the section ``profiles``.
    overrides : sequence of str
        ``a.b=value`` each, see `Override`.
    find : callable, optional
        From a strategy's reference to its class.

    Raises
    ------
    ConfigurationProblems
        Listing every mistake as ``file:line: 'a.b.c' must <rule>, was <value>. <remedy>``, in file order.
    """
    path = Path(path)
    root = apply_profile(read_document(path), profile or environ.get(PROFILE_VARIABLE) or None)
    return settings_of(interpolate(apply_overrides(root, overrides), environ), path, find)


def settings_of(root: Node, path: Path, find: FindStrategy = find_strategy) -> LoadedConfig:
    """Return the validated settings of a document whose profile, overrides and references have been applied.

    Raises
    ------
    ConfigurationProblems
        As `load_settings`.
    """
    params, problems = check_strategies(root, find)
    settings = _validated(root, problems)
    entries = [
        entry.model_copy(update={"params": params[i]}) if i in params else entry for i, entry in enumerate(settings.strategies)
    ]
    settings = settings.model_copy(update={"strategies": tuple(entries)})
    plain = settings.model_dump(mode="json")
    effective = redacted(plain, root)
    assert isinstance(effective, dict)
    return LoadedConfig(settings, effective, hash_of(effective), path, root)


def _validated(root: Node, problems: list[Problem]) -> SessionSettings:
    switches = switches_for_numbers(SessionSettings, root)
    problems = [*problems, *switches.values()]
    try:
        settings = SessionSettings.model_validate(root.plain())
    except ValidationError as exc:
        found = problems_of(exc, SessionSettings, root, known=switches)
        raise ConfigurationProblems.of_all([*problems, *found]) from exc
    if problems:
        raise ConfigurationProblems.of_all(problems)
    return settings
