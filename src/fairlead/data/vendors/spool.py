"""The pages of a pull that is under way, beside its dataset: each one whole on the disk before the next is asked for.

A dataset is written a few times in a pull, not with every page: a page of daily bars may touch every month it has.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.contracts.files import atomic_file, canonical_json
from fairlead.contracts.locking import held_alone
from fairlead.contracts.manifests import ActionRecord
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.batch import QuarantinedRow
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.merging import session_days
from fairlead.data.vendors.history import PageRequest
from fairlead.data.vendors.planning import AskFor, Task

_KEY: Final = b"fairlead"
_SUFFIX: Final = ".page"


@dataclass(frozen=True, slots=True)
class DonePage:
    """A task that was answered, and what passed the door.

    Attributes
    ----------
    settled : int
        The last day of it that the vendor will not correct any more.
    rows_in : int
        Bars in the answer.
    """

    task: Task
    settled: int
    table: pa.Table
    actions: tuple[CorporateAction, ...]
    quarantined: tuple[QuarantinedRow, ...]
    rows_in: int

    def cut(self) -> DonePage:
        """Return what of it will not be corrected any more: the rest is asked again."""
        if self.settled >= date_to_day(self.task.request.last):
            return self
        kept = self.table.slice(0, int(np.searchsorted(session_days(self.table), self.settled, side="right")))
        actions = tuple(action for action in self.actions if action.ex_session <= self.settled)
        return DonePage(self.task, self.settled, kept, actions, self.quarantined, kept.num_rows + len(self.quarantined))


class Spool:
    """A folder of done pages. Obtain one with `opened_spool`.

    Parameters
    ----------
    folder : Path
    source : str
        The vendor's name.
    calendar : ExchangeCalendar
    bar_size : BarSize
    """

    def __init__(self, folder: Path, source: str, calendar: ExchangeCalendar, bar_size: BarSize) -> None:
        self.folder = folder
        self._source, self._calendar, self._bar_size = source, calendar, bar_size

    def add(self, page: DonePage) -> None:
        """Keep a page. When this returns, it is on the disk.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        request = page.task.request
        facts = {
            "source": self._source,
            "calendar": self._calendar.name,
            "kind": page.task.kind.value,
            "symbol": request.symbol,
            "first": request.first.isoformat(),
            "last": request.last.isoformat(),
            "settled": page.settled,
            "rows_in": page.rows_in,
            "actions": [ActionRecord.of(action).as_json() for action in page.actions],
            "quarantined": [list(row) for row in page.quarantined],
        }
        with atomic_file(self._path(page.task)) as part:
            pq.write_table(page.table.replace_schema_metadata({_KEY: canonical_json(facts)}), part, compression="zstd")

    def pages(self) -> list[DonePage]:
        """Return what is kept, in the order of its dates.

        Raises
        ------
        ConfigurationError
            If it is of a pull from another source, or by another calendar.
        DataError
            If a page cannot be read.
        """
        found = [self._read(path) for path in sorted(self.folder.glob(f"*{_SUFFIX}"))]
        return sorted(found, key=lambda page: (page.task.request.first, page.task.request.symbol, page.task.kind))

    def clear(self) -> None:
        """Forget the pages: the dataset has them."""
        for path in self.folder.glob(f"*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def _path(self, task: Task) -> Path:
        request = task.request
        return self.folder / f"{request.first:%Y%m%d}-{request.last:%Y%m%d}-{request.symbol}-{task.kind.value}{_SUFFIX}"

    def _read(self, path: Path) -> DonePage:
        try:
            table = pq.read_table(path)
            facts: dict[str, Any] = json.loads(table.schema.metadata[_KEY])
            first, last = (dt.date.fromisoformat(facts[name]) for name in ("first", "last"))
        except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as exc:
            raise DataError(f"cannot read {path}: {exc}. Remove it: the pull asks for this page again.") from exc
        for name, own in (("source", self._source), ("calendar", self._calendar.name)):
            if facts[name] != own:
                rule = f"be {facts[name]!r}, as in the pull of this dataset that was interrupted"
                raise ConfigurationError.of(f"--{name}", rule, own, f"Finish that one first, or remove {self.folder}.")
        request = PageRequest(symbol=facts["symbol"], bar_size=self._bar_size, first=first, last=last, calendar=self._calendar)
        return DonePage(
            Task(AskFor(facts["kind"]), request),
            facts["settled"],
            table.replace_schema_metadata(None),
            tuple(ActionRecord.model_validate(record).action() for record in facts["actions"]),
            tuple(QuarantinedRow(*row) for row in facts["quarantined"]),
            facts["rows_in"],
        )


@contextlib.contextmanager
def opened_spool(dataset_folder: Path, source: str, calendar: ExchangeCalendar, bar_size: BarSize) -> Iterator[Spool]:
    """Give the spool of a dataset, and be the only one that has it.

    Parameters
    ----------
    dataset_folder : Path
        Of the dataset, without the bar size.

    Raises
    ------
    ConfigurationError
        If another pull of this dataset is under way.
    StorageError
        If the disk refuses.
    """
    folder = dataset_folder / f".pull-{bar_size.value}"
    with held_alone(folder / "lock") as is_free:
        if not is_free:
            rule = "not be pulled by two at once"
            raise ConfigurationError.of("dataset", rule, dataset_folder.name, "Wait for the other pull, or stop it.")
        try:
            yield Spool(folder, source, calendar, bar_size)
        finally:
            # The lock's file stays beside a dataset; one that never came to be leaves nothing.
            if not any(folder.glob(f"*{_SUFFIX}")) and not (dataset_folder / bar_size.value).exists():
                shutil.rmtree(folder, ignore_errors=True)
                with contextlib.suppress(OSError):
                    dataset_folder.rmdir()
