"""Going on with a study that was interrupted: only if it is still the same study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.backtest.info import plain
from fairlead.backtest.run import config_hash
from fairlead.backtest.trials import Trial, TrialSetup
from fairlead.backtest.trialstore import Study, TrialStore
from fairlead.core.errors import ConfigurationError, DataError


def study_to_resume(setup: TrialSetup, store: TrialStore, name: str, kind: str) -> Study:
    """Return the study of a kind that is named by its id, its beginning, or ``latest``.

    Raises
    ------
    DataNotFound
        If there is none of that kind and name.
    ConfigurationError
        If code, configuration or data are not what they were when it began.
    """
    study = store.study(name, kind)
    now = {"code": setup.code_hash, "configuration": config_hash(setup.config), "data": setup.source.content_hash}
    then = {"code": study.code_hash, "configuration": study.config_hash, "data": study.data_hash}
    changed = [part for part in now if now[part] != then[part]]
    if changed:
        remedy = f"Trials of one {kind} must be comparable: start a new one."
        raise ConfigurationError(f"{kind} {study.id} cannot be resumed: {' and '.join(changed)} changed since. {remedy}")
    return study


def check_recorded(study: str, recorded: Trial, asked: Mapping[str, Any]) -> None:
    """Raise `DataError` if a recorded trial is not that of the parameters which are asked for in its place."""
    if recorded.params != plain(dict(asked)):
        raise DataError(
            f"cannot resume {study}: the registry holds {recorded.params} where {dict(asked)} belongs. Begin it anew."
        )
