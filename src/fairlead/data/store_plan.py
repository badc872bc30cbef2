"""What a write would do to a dataset, worked out before the disk is touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fairlead.contracts.manifests import ActionRecord, BarFile, SymbolSpan
from fairlead.core.events import CorporateAction
from fairlead.core.time import day_to_date, to_ns
from fairlead.data.coverage import Coverage
from fairlead.data.dataset import BARS_FILE, QUARANTINE_FILE, Dataset, read_month
from fairlead.data.fingerprint import bars_sha256, symbol_ranks
from fairlead.data.merging import column_ns, merge_actions, merge_bars, revise_bars, session_days, split_months
from fairlead.data.quarantine import Quarantine, merge_quarantine


@dataclass(frozen=True, slots=True)
class StorePlan:
    """What a write would do.

    Attributes
    ----------
    kept : list of BarFile
        Months that stay as they are.
    months : dict of str to pyarrow Table
        Months to write, whole, by folder.
    added : list of pyarrow Table
        The rows in them that are new.
    coverage : Coverage or None
        What need not be asked of a vendor, if the dataset was pulled.
    revised : int
        Stored bars that get other values.
    """

    kept: list[BarFile]
    months: dict[str, pa.Table]
    added: list[pa.Table]
    actions: tuple[CorporateAction, ...]
    quarantine: Quarantine
    coverage: Coverage | None
    revised: int

    @property
    def action_records(self) -> list[dict[str, Any]]:
        """The corporate actions as they are written."""
        return [ActionRecord.of(action).as_json() for action in self.actions]

    def changes_anything(self, stored: Dataset) -> bool:
        """Return whether `stored` is not that already."""
        # Quarantined rows are only ever added, so equal counts mean equal content.
        has_more = len(self.quarantine) != stored.manifest.quarantined
        return bool(self.months) or has_more or self.actions != stored.actions or self.coverage != Coverage.read(stored.folder)


def plan_write(
    stored: Dataset | None,
    table: pa.Table,
    actions: Sequence[CorporateAction],
    quarantined: Iterable[Any],
    pulled: Coverage | None = None,
) -> StorePlan:
    """Return what it takes to add `table`; with `pulled`, what is stored otherwise gives way to it, else that is refused.

    Raises
    ------
    ContractError
        If a bar or an action differs from the one that is stored.
    DataError
        If what is stored cannot be read.
    """
    months: dict[str, pa.Table] = {}
    added: list[pa.Table] = []
    revised = 0
    files = {} if stored is None else {file.path: file for file in stored.manifest.files}
    for month, bars in split_months(table).items():
        file = files.get(f"{month}/{BARS_FILE}")
        if file is None or stored is None:
            months[month], fresh = bars, bars
        else:
            stored.verify_file(file)
            if file.content_sha256 == bars_sha256(bars):
                continue
            before, changed = read_month(stored.folder, file), 0
            if pulled is None:
                merged, fresh = merge_bars(before, bars)
            else:
                merged, fresh, changed = revise_bars(before, bars)
            revised += changed
            if fresh.num_rows or changed:
                months[month] = merged
        added.append(fresh)
    known = None if stored is None else Coverage.read(stored.folder)
    return StorePlan(
        [file for path, file in files.items() if path.removesuffix(f"/{BARS_FILE}") not in months],
        months,
        added,
        merge_actions(stored.actions if stored else (), actions, revise=pulled is not None),
        merge_quarantine(stored.folder / QUARANTINE_FILE if stored else None, quarantined),
        pulled if known is None else known if pulled is None else known.joined(pulled),
        revised,
    )


def symbol_spans(stored: Dataset | None, added: Sequence[pa.Table]) -> tuple[SymbolSpan, ...]:
    """Return how much of each symbol the dataset then has."""
    spans = {} if stored is None else {span.symbol: span for span in stored.manifest.symbols}
    for table in added:
        names, ranks = symbol_ranks(table)
        counts = np.bincount(ranks, minlength=len(names))
        first, last = np.full(len(names), np.iinfo(np.int32).max), np.full(len(names), np.iinfo(np.int32).min)
        np.minimum.at(first, ranks, session_days(table))
        np.maximum.at(last, ranks, session_days(table))
        for i, name in enumerate(names):
            new = SymbolSpan(
                symbol=name, rows=int(counts[i]), first_session=day_to_date(first[i]), last_session=day_to_date(last[i])
            )
            old = spans.get(name, new)
            spans[name] = SymbolSpan(
                symbol=name,
                rows=new.rows if old is new else old.rows + new.rows,
                first_session=min(old.first_session, new.first_session),
                last_session=max(old.last_session, new.last_session),
            )
    return tuple(spans[name] for name in sorted(spans))


def label_span(stored: Dataset | None, added: Sequence[pa.Table]) -> tuple[int, int]:
    """Return the labels of the first and the last bar that it then has."""
    bounds = [] if stored is None else [to_ns(stored.manifest.first_label), to_ns(stored.manifest.last_label)]
    for table in added:
        labels = column_ns(table, "label")
        bounds += [int(labels.min()), int(labels.max())] if len(labels) else []
    return min(bounds), max(bounds)
