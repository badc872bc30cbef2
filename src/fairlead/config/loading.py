"""`load_settings`: from a file to validated settings, with every mistake named at its line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from fairlead.config.document import KeyPath, Node, read_document
from fairlead.config.effective import hash_of
from fairlead.config.including import include
from fairlead.config.interpolation import interpolate
from fairlead.config.overrides import apply_overrides
from fairlead.config.problems import ConfigurationProblems, Problem
from fairlead.config.profiles import apply_profile
from fairlead.config.redaction import redacted, secrets_of
from fairlead.config.settings import SessionSettings
from fairlead.config.strategies import FindStrategy, check_strategies
from fairlead.config.translation import named_problem, origin_of, problems_of, switches_for_numbers
from fairlead.config.writtenkeys import written_keys
from fairlead.contracts.settings import SettingsT
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
    so that a value which is overridden needs no variable. A section that names a file (``risk: risk.yml``) is read from there.

    Parameters
    ----------
    path : Path or str
    environ : mapping of str to str
        Environment variables; ``FAIRLEAD_PROFILE`` names the profile if `profile` is None, and ``ENABLE_CONTRACTS``,
        ``ENABLE_SLA_CHECKS`` and ``ENABLE_RISK_GUARDS`` switch the levels of ``enforcement``.
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
    return settings_of(read_with_values(path, environ=environ, profile=profile, overrides=overrides), path, find, environ)


def settings_of(
    root: Node, path: Path, find: FindStrategy = find_strategy, environ: Mapping[str, str] = MappingProxyType({})
) -> LoadedConfig:
    """Return the validated settings of a document whose profile, overrides and references have been applied.

    Parameters
    ----------
    root : Node
    path : Path
        The file that it came from.
    find : callable, optional
        As in `load_settings`.
    environ : mapping of str to str, optional
        Its switches of ``enforcement`` apply; without them the document's own levels do.

    Raises
    ------
    ConfigurationProblems
        As `load_settings`.
    """
    params, problems = check_strategies(root, find)
    settings = validated(SessionSettings, root, [*problems, *written_keys(root)])
    entries = [
        entry.model_copy(update={"params": params[i]}) if i in params else entry for i, entry in enumerate(settings.strategies)
    ]
    enforcement = settings.enforcement.switched(environ)
    settings = settings.model_copy(update={"strategies": tuple(entries), "enforcement": enforcement})
    plain = settings.model_dump(mode="json")
    if settings.risk is None:
        del plain["risk"]  # written down, an empty section would arm the defaults
    effective = redacted(plain, root)
    assert isinstance(effective, dict)
    return LoadedConfig(settings, effective, hash_of(effective), path, root)


def validated(model: type[SettingsT], root: Node, problems: Sequence[Problem] = ()) -> SettingsT:
    """Return the settings of type `model` that a document holds.

    Parameters
    ----------
    model : class
    root : Node
        The document, without its profiles.
    problems : sequence of Problem
        What is wrong with it already.

    Raises
    ------
    ConfigurationProblems
        Listing `problems` and every other mistake, each at its line.
    """
    switches = switches_for_numbers(model, root)
    problems = [*problems, *switches.values()]
    try:
        settings = model.model_validate(root.plain())
    except ValidationError as exc:
        found = problems_of(exc, model, root, known=switches)
        raise ConfigurationProblems.of_all([*problems, *found]) from exc
    if problems:
        raise ConfigurationProblems.of_all(problems)
    return settings


def read_with_values(
    path: Path, *, environ: Mapping[str, str], profile: str | None = None, overrides: Sequence[str] = ()
) -> Node:
    """Return the document at `path` with profile, overrides and references to the environment applied; see `load_settings`."""
    root = apply_profile(read_document(path), profile or environ.get(PROFILE_VARIABLE) or None)
    # Once before the overrides, which may set a value of the file that is named, and once after: they may name another.
    root = include(apply_overrides(include(root, path.parent), overrides), path.parent)
    return include(interpolate(root, environ), path.parent, lambda file: interpolate(read_document(file), environ))
