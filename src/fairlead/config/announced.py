"""The corporate actions of a session on a live feed, which brings none: what has been announced stands in a file."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.config.loading import LoadedConfig
from fairlead.core.errors import ContractError, DataError
from fairlead.core.events import CorporateAction
from fairlead.data.action_files import read_actions
from fairlead.data.live import LiveDataSettings
from fairlead.data.selection import choose_actions


def announced_actions(loaded: LoadedConfig, data: LiveDataSettings, symbols: Sequence[str]) -> tuple[CorporateAction, ...]:
    """Return the actions of a session's symbols; those of before its first session have no effect.

    Raises
    ------
    ConfigurationError
        If the file cannot be used; the text names file and line.
    """
    if data.actions is None:
        return ()
    try:
        return choose_actions(read_actions(data.actions), symbols)
    except (ContractError, DataError) as exc:
        raise loaded.problem(("data", "actions"), exc) from exc
