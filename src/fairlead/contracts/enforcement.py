"""How strictly broken rules are held: not at all, with a warning, or with a refusal; one level for each area."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError, FairleadError


class Enforcement(StrEnum):
    """What a broken rule leads to."""

    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"

    def apply(self, check: Callable[[], FairleadError | None], warn: Callable[[str], None]) -> None:
        """Make a check at this level: not at all, its error told to `warn`, or its error raised.

        Parameters
        ----------
        check : callable
            Returns the error to raise, None if all is well. Not called at ``off``.
        warn : callable
            Told the error's text at ``warn``.

        Raises
        ------
        FairleadError
            What `check` returned, at ``enforce``.
        """
        error = None if self is Enforcement.OFF else check()
        if error is None:
            return
        if self is Enforcement.ENFORCE:
            raise error
        warn(str(error))


SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {"contracts": "ENABLE_CONTRACTS", "slas": "ENABLE_SLA_CHECKS", "guards": "ENABLE_RISK_GUARDS"}
)
"""Area -> the environment variable that switches it."""

_WORDS: Final = {
    **{level.value: level for level in Enforcement},
    **dict.fromkeys(("1", "true", "yes", "on"), Enforcement.ENFORCE),
    **dict.fromkeys(("0", "false", "no"), Enforcement.OFF),
}


class EnforcementSettings(Settings):
    """The levels of all areas.

    Parameters
    ----------
    contracts : {'off', 'warn', 'enforce'}
        Rules of frames and rows.
    slas : {'off', 'warn', 'enforce'}
        Service levels of data.
    guards : {'off', 'warn', 'enforce'}
        Checks before an order leaves.
    """

    contracts: Enforcement = Enforcement.ENFORCE
    slas: Enforcement = Enforcement.ENFORCE
    guards: Enforcement = Enforcement.ENFORCE

    def switched(self, environ: Mapping[str, str]) -> Self:
        """Return the settings with the levels that the environment gives: `SWITCHES`; what it leaves out or empty stays.

        Parameters
        ----------
        environ : mapping of str to str
            A level, or a truth value for ``enforce`` (1, true, yes, on) or ``off`` (0, false, no), in any letter case.

        Raises
        ------
        ConfigurationError
            If a switch says something else: a misspelt switch must not turn a check off.
        """
        levels = {}
        for area, name in SWITCHES.items():
            text = environ.get(name, "").strip()
            if text:
                levels[area] = _level(name, text)
        return self.model_copy(update=levels)


def _level(name: str, text: str) -> Enforcement:
    level = _WORDS.get(text.lower())
    if level is None:
        raise ConfigurationError.of(name, f"be {', '.join(e.value for e in Enforcement)}, 1 or 0", text)
    return level
