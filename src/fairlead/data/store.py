"""The bar store: datasets as monthly Parquet files under a manifest, written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.contracts.files import (
    atomic_directory,
    atomic_write_text,
    canonical_json,
    recover_replaced,
    sha256_bytes,
    sha256_file,
    write_json,
)
from fairlead.contracts.manifests import BAR_MANIFEST_VERSION, BarFile, BarManifest
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize, day_to_date, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.coverage import COVERAGE_FILE, Coverage
from fairlead.data.dataset import (
    ACTIONS_FILE,
    BARS_FILE,
    BATCH_ROWS,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    Dataset,
    read_manifest,
)
from fairlead.data.fingerprint import bars_sha256
from fairlead.data.merging import (
    REPLACE,
    canonical,
    column_ns,
    session_days,
)
from fairlead.data.quarantine import quarantine_csv
from fairlead.data.store_plan import StorePlan, label_span, plan_write, symbol_spans
from fairlead.data.wide import WIDE_FILE, write_wide

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")


class BarStore:
    """Datasets of bars under one folder.

    Parameters
    ----------
    root : path
        Usually ``<workspace>/data/bars``; created by the first write.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def datasets(self) -> list[BarManifest]:
        """Return the manifest of every dataset, ordered by name and bar size.

        Raises
        ------
        DataError
            If a manifest cannot be read.
        """
        return sorted((read_manifest(folder) for folder in self._folders()), key=lambda m: (m.dataset, m.bar_size.ns))

    def open(self, name: str, bar_size: BarSize | str | None = None, *, verify: bool = False) -> Dataset:
        """Open the dataset called `name`.

        Parameters
        ----------
        name : str
        bar_size : BarSize or str, optional
            May be left out if the dataset has one bar size only.
        verify : bool
            Compare every file with its hash.

        Raises
        ------
        UnknownName
            If there is no such dataset, or it has no bars of this size.
        ConfigurationError
            If it has several bar sizes and none was named.
        DataError
            If a file was changed, is missing or cannot be read.
        """
        sizes: dict[str, list[str]] = {}
        for folder in self._folders():
            sizes.setdefault(folder.parent.name, []).append(folder.name)
        if name not in sizes:
            raise UnknownName.among("dataset", name, sizes, "Import one with: fairlead data import.")
        if bar_size is None and len(sizes[name]) > 1:
            raise ConfigurationError.of("bar_size", f"be one of {', '.join(sizes[name])} for dataset {name!r}", None)
        wanted = sizes[name][0] if bar_size is None else BarSize.parse(bar_size).value
        if wanted not in sizes[name]:
            raise UnknownName.among(f"bar size in dataset {name!r}", wanted, sizes[name])
        return Dataset.load(self.root / name / wanted, verify=verify)

    def write(
        self,
        dataset: str,
        table: pa.Table,
        *,
        bar_size: BarSize | str,
        calendar: str,
        actions: Sequence[CorporateAction] = (),
        synthetic: bool = False,
        seed: int | None = None,
        source: str = "",
        quarantined: Iterable[Any] = (),
        replace: bool = False,
    ) -> BarManifest:
        """Add `table` to a dataset, which is created if need be; all of it or, after an error, nothing.

        Rows and actions that are there already are left alone: writing the same data again touches no file.

        Parameters
        ----------
        dataset : str
            Letters, digits, ``_``, ``-`` and ``.``.
        table : pyarrow Table
            Canonical bars, sorted by (known, symbol).
        bar_size, calendar : BarSize, str
        actions : sequence of CorporateAction
        synthetic, seed : bool, int
            Whether the prices were generated, and from which seed.
        source : str
            Where they came from, in words.
        quarantined : iterable of mapping, dataclass or named tuple
            Rows that were refused on the way, kept beside the data.
        replace : bool
            Forget what the dataset holds, and write it anew from `table` alone.

        Raises
        ------
        ContractError
            If a bar or an action differs from the one that is stored, the dataset has another calendar or is synthetic where
            these bars are not, or `table` is not canonical.
        DataNotFound
            If a new dataset would have no bar.
        StorageError
            If the disk refuses; the dataset is what it was before.
        """
        stored = None if replace else self._stored(dataset, BarSize.parse(bar_size))
        if stored is not None:
            _check_same_kind(stored.manifest, calendar=calendar, synthetic=synthetic, seed=seed)
        plan = plan_write(stored, canonical(table), actions, quarantined)
        return self._write(
            dataset, BarSize.parse(bar_size), stored, plan, calendar=calendar, synthetic=synthetic, seed=seed, source=source
        )

    def write_pulled(
        self,
        dataset: str,
        table: pa.Table,
        *,
        bar_size: BarSize,
        calendar: str,
        actions: Sequence[CorporateAction],
        quarantined: Iterable[Any],
        coverage: Coverage,
    ) -> tuple[BarManifest, int]:
        """Add to a dataset what a vendor answered, as `write` does; what it tells differently now replaces what is stored.

        Parameters
        ----------
        coverage : Coverage
            What need not be asked again; it joins what the dataset says already, and becomes so with the bars or not at all.

        Returns
        -------
        manifest : BarManifest
        revised : int
            How many stored bars have other values now.

        Raises
        ------
        ContractError
            If the dataset has another calendar or is synthetic, or `table` is not canonical.
        DataNotFound
            If a new dataset would have no bar.
        StorageError
            If the disk refuses; the dataset is what it was before.
        """
        stored = self._stored(dataset, bar_size)
        if stored is not None:
            _check_same_kind(stored.manifest, calendar=calendar, synthetic=False, seed=None)
        plan = plan_write(stored, canonical(table), actions, quarantined, coverage)
        manifest = self._write(dataset, bar_size, stored, plan, calendar=calendar, source=f"pulled from {coverage.source}")
        return manifest, plan.revised

    def _stored(self, dataset: str, size: BarSize) -> Dataset | None:
        check_dataset_name(dataset)
        folder = self.root / dataset / size.value
        recover_replaced(folder.parent)
        return Dataset.load(folder) if (folder / MANIFEST_FILE).exists() else None

    def _write(
        self,
        dataset: str,
        size: BarSize,
        stored: Dataset | None,
        plan: StorePlan,
        *,
        calendar: str,
        source: str,
        synthetic: bool = False,
        seed: int | None = None,
    ) -> BarManifest:
        folder = self.root / dataset / size.value
        if stored is not None and not plan.changes_anything(stored):
            return stored.manifest
        if not plan.kept and not plan.months:
            raise DataNotFound(f"nothing to write: dataset {dataset!r} would have no bar.")
        with _staging(folder) as staging:
            # A dataset that is packed stays packed.
            packed = stored is not None and any(stored.wide_path(file).is_file() for file in stored.manifest.files)
            files = _write_bars(staging, folder, plan, packed=packed)
            write_json(staging / ACTIONS_FILE, plan.action_records)
            if plan.quarantine:
                atomic_write_text(staging / QUARANTINE_FILE, quarantine_csv(plan.quarantine))
            if plan.coverage is not None:
                write_json(staging / COVERAGE_FILE, plan.coverage.to_json())
            first, last = label_span(stored, plan.added)
            manifest = BarManifest(
                schema_version=BAR_MANIFEST_VERSION,
                dataset=dataset,
                bar_size=size,
                calendar=calendar,
                timezone=ExchangeCalendar.get(calendar).timezone,
                synthetic=synthetic,
                seed=seed,
                source=_sources(stored, source),
                rows=sum(file.rows for file in files),
                symbols=symbol_spans(stored, plan.added),
                first_label=to_datetime(first),
                last_label=to_datetime(last),
                files=files,
                content_sha256=_content_sha256(files, plan.action_records),
                actions=len(plan.actions),
                actions_sha256=sha256_file(staging / ACTIONS_FILE),
                quarantined=len(plan.quarantine),
            )
            write_json(staging / MANIFEST_FILE, manifest.model_dump(mode="json"))
        return manifest

    def _folders(self) -> list[Path]:
        # Staging and set-aside folders start with a dot; a power cut can leave one behind.
        for dataset in self.root.glob("*"):
            recover_replaced(dataset)
        found = (path.parent for path in self.root.glob(f"*/*/{MANIFEST_FILE}"))
        return sorted(folder for folder in found if not folder.name.startswith(".") and not folder.parent.name.startswith("."))


def check_dataset_name(name: str) -> None:
    """Refuse a name that could not be a folder's.

    Raises
    ------
    ConfigurationError
        If `name` is not up to 64 letters, digits, ``_``, ``-`` and ``.``.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError.of("dataset", "be up to 64 letters, digits, '_', '-' or '.'", name)


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    try:
        with atomic_directory(folder, replace=True) as staging:
            yield staging
    except BaseException:
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # only if it is empty: a dataset that never came to be leaves no folder
        raise


def _write_bars(staging: Path, folder: Path, plan: StorePlan, *, packed: bool) -> tuple[BarFile, ...]:
    files = list(plan.kept)
    for file in plan.kept:
        (staging / file.path).parent.mkdir(parents=True)
        for name in (Path(file.path), Path(file.path).with_name(WIDE_FILE)):
            if (folder / name).is_file():
                _link_or_copy(folder / name, staging / name)
    for month, bars in plan.months.items():
        path = staging / month / BARS_FILE
        path.parent.mkdir(parents=True)
        pq.write_table(bars, path, compression="zstd", row_group_size=BATCH_ROWS, use_dictionary=["symbol"])
        sessions = session_days(bars)
        content = bars_sha256(bars)
        if packed:
            write_wide(path.with_name(WIDE_FILE), bars, content)
        files.append(
            BarFile(
                path=f"{month}/{BARS_FILE}",
                rows=bars.num_rows,
                instants=1 + int(np.count_nonzero(np.diff(column_ns(bars, "known")))),
                first_session=day_to_date(sessions[0]),
                last_session=day_to_date(sessions[-1]),
                sha256=sha256_file(path),
                content_sha256=content,
            )
        )
    return tuple(sorted(files, key=lambda file: file.path))


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        # A file of a dataset is never written in place, so that two folders can share it; long history would be copied
        # again with every month that is added.
        os.link(old, new)
    except OSError:  # a file system without links
        shutil.copyfile(old, new)


def _content_sha256(files: Sequence[BarFile], actions: list[dict[str, Any]]) -> str:
    return sha256_bytes(canonical_json({"actions": actions, "months": [file.content_sha256 for file in files]}).encode())


def _check_same_kind(stored: BarManifest, *, calendar: str, synthetic: bool, seed: int | None) -> None:
    # A dataset that is partly generated would pass for real, or real prices for generated ones.
    for name, old, new in (
        ("calendar", stored.calendar, calendar),
        ("synthetic", stored.synthetic, synthetic),
        ("seed", stored.seed, seed),
    ):
        if old != new:
            raise ContractError.of(f"{name} of dataset {stored.dataset}", f"be {old!r} as in the stored data", new, REPLACE)


def _sources(stored: Dataset | None, new: str) -> str:
    old = stored.manifest.source if stored else ""
    return old if new in old else "; ".join(part for part in (old, new) if part)
