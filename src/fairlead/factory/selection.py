"""The second stage: after each session closes, its daily bars select the candidates of the next (domain rule 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from fairlead.contracts.files import atomic_directory
from fairlead.contracts.signals import CandidateList
from fairlead.core.errors import ContractError
from fairlead.core.time import NS_PER_DAY, day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.daily import up_to
from fairlead.factory.plugin import SignalPlugin, scores_of
from fairlead.factory.settings import CandidateSettings
from fairlead.factory.sources import STAMP

CANDIDATES_FOLDER: Final = "candidates"


def select_candidates(
    daily: Mapping[str, pl.DataFrame],
    plugin: SignalPlugin,
    calendar: ExchangeCalendar,
    settings: CandidateSettings,
    tell: Callable[[int, int], None],
) -> list[CandidateList]:
    """Return one list for each session that has a session of data after it, in order.

    Raises
    ------
    StrategyError
        If the plug-in fails.
    ContractError
        If the plug-in scores a symbol that it was not shown, or a score is no finite number.
    """
    stamps = np.unique(np.concatenate([frame[STAMP].to_physical().to_numpy() for frame in daily.values()]))
    days = (stamps // NS_PER_DAY).tolist()
    lists = []
    # What the last session selects is for a session that the data does not have.
    for done, day in enumerate(days[:-1], start=1):
        shown = up_to(daily, day, settings.lookback_sessions)
        scores = scores_of(plugin, shown)
        for symbol in scores:
            if symbol not in shown:
                rule = f"be one of the {len(shown)} symbols that had bars by {day_to_date(day)}"
                raise ContractError.of(f"symbol that {plugin.name} scores", rule, symbol)
        lists.append(
            CandidateList.select(
                scores,
                asof_session=day_to_date(day),
                calendar=calendar,
                strategy=plugin.name,
                strategy_version=plugin.version,
                max_candidates=settings.max_candidates,
            )
        )
        tell(done, len(days) - 1)
    return lists


def write_candidates(folder: Path, lists: list[CandidateList]) -> None:
    """Write each list as ``{valid_session}.json`` into the folder, which is replaced as a whole.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    with atomic_directory(folder, replace=True) as staging:
        for item in lists:
            item.write(staging / f"{item.valid_session}.json")


def read_candidates(folder: Path) -> list[CandidateList]:
    """Return the lists that `write_candidates` wrote, in order.

    Raises
    ------
    DataError
        If a file is damaged.
    ContractError
        If a list breaks a rule, or is not of the session that names its file.
    """
    lists = []
    for path in sorted(folder.glob("*.json")):
        item = CandidateList.read(path)
        if path.stem != item.valid_session.isoformat():
            raise ContractError.of(f"{path}: valid_session", f"be {path.stem}, as its name says", str(item.valid_session))
        lists.append(item)
    return lists
