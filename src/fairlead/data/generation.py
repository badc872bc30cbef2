"""Synthetic history into a store: however many months it takes, all of it arrives or, after an error, nothing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from fairlead.contracts.files import atomic_directory
from fairlead.contracts.manifests import BarManifest
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.dataset import MANIFEST_FILE
from fairlead.data.store import BarStore, check_dataset_name
from fairlead.data.synthetic import SyntheticSettings, describe, generate_bar_batches

Progress = Callable[[int], None]


def months_of(settings: SyntheticSettings) -> int:
    """Return how many calendar months the span touches."""
    return 1 + (settings.end.year - settings.start.year) * 12 + settings.end.month - settings.start.month


def generate_dataset(
    store: BarStore,
    dataset: str,
    settings: SyntheticSettings,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> BarManifest:
    """Generate bars month by month, at flat memory, and add them to a dataset that is marked as synthetic.

    Parameters
    ----------
    store : BarStore
    dataset : str
        Created if need be. The same settings again change nothing.
    settings : SyntheticSettings
    replace : bool
        Forget what the dataset holds.
    progress : callable, optional
        Told how many of `months_of` are done.

    Raises
    ------
    ContractError
        If the dataset holds real prices, or others than these.
    DataNotFound
        If there is no session in the span.
    StorageError
        If the disk refuses; the dataset is what it was before.
    """
    check_dataset_name(dataset)
    folder = store.root / dataset / settings.bar_size.value
    known = folder.parent.exists()
    try:
        with atomic_directory(folder, replace=True) as staging:
            manifest = _fill(BarStore(staging), dataset, settings, None if replace else folder, progress)
            made = staging / dataset / settings.bar_size.value
            for item in made.iterdir():
                item.rename(staging / item.name)
            made.rmdir()
            made.parent.rmdir()
    except BaseException:
        if not known:
            with contextlib.suppress(OSError):
                folder.parent.rmdir()
        raise
    return manifest


def _fill(
    store: BarStore, dataset: str, settings: SyntheticSettings, old: Path | None, progress: Progress | None
) -> BarManifest:
    if old is not None and (old / MANIFEST_FILE).is_file():
        shutil.copytree(old, store.root / dataset / settings.bar_size.value)
    manifest: BarManifest | None = None
    for table in generate_bar_batches(settings, ExchangeCalendar.get(settings.calendar)):
        manifest = store.write(
            dataset,
            table,
            bar_size=settings.bar_size,
            calendar=settings.calendar,
            synthetic=True,
            seed=settings.seed,
            source=describe(settings),
        )
        if progress is not None:
            last = manifest.last_label
            progress(1 + (last.year - settings.start.year) * 12 + last.month - settings.start.month)
    assert manifest is not None, "a span without sessions has raised"
    return manifest
