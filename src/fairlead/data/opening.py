"""From data settings to a source: the one place that decides what a path or a name means."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from fairlead.core.errors import ConfigurationError, DataNotFound
from fairlead.core.time import BarSize
from fairlead.data.action_files import read_actions
from fairlead.data.bundled import BUNDLED_DATASET, ensure_bundled
from fairlead.data.dataset import MANIFEST_FILE, Dataset
from fairlead.data.ingest import import_bars
from fairlead.data.live.recorded import RecordedSession, recording_in
from fairlead.data.memory import MemorySource
from fairlead.data.settings import DataSettings
from fairlead.data.source import DataSource
from fairlead.data.spacing import infer_bar_size
from fairlead.data.store import BarStore

_SHOWN: Final = 10


def store_of(workspace: Path) -> BarStore:
    """Return the bar store of a workspace."""
    return BarStore(workspace / "data" / "bars")


def open_source(
    settings: DataSettings,
    *,
    start: dt.date | dt.datetime | None,
    end: dt.date | dt.datetime | None,
    workspace: Path,
) -> DataSource:
    """Return the history that `settings` name, cut to symbols and dates.

    Parameters
    ----------
    settings : DataSettings
        ``path`` to a dataset's folder, to that of a recorded session, to a file or to a folder of files; or ``recording``, such
        a session; or ``dataset``, the name of one in the workspace's store, or in the store at ``path`` if both are given; or
        none of them with ``source: bundled``.
    start, end : date or aware datetime, optional
        Both included. A date bounds sessions, a datetime bounds bar labels.
    workspace : Path

    Raises
    ------
    DataNotFound
        If the path does not exist, or there are no bars in the dates.
    UnknownName
        If there is no such dataset or symbol.
    ConfigurationError
        If the settings name nothing, or contradict the data.
    ContractError, DataError
        If the data cannot be used.
    """
    if settings.type != "historical":
        raise ConfigurationError.of("data.type", "be 'historical' in this release", settings.type)
    recording = recording_of(settings)
    opened = _open(settings, workspace) if recording is None else _from_recording(RecordedSession(recording), settings)
    if isinstance(opened, Dataset):
        _check_dataset(opened, settings)
    return opened.select(settings.symbols, start, end)


def recording_of(settings: DataSettings) -> Path | None:
    """Return the folder of the recorded session that `settings` name; None if they name something else."""
    if settings.recording is not None:
        return Path(settings.recording)
    return None if settings.path is None or settings.dataset is not None else recording_in(Path(settings.path))


def _open(settings: DataSettings, workspace: Path) -> Dataset | MemorySource:
    store = store_of(workspace)
    if settings.path is None and settings.source == "bundled":
        if settings.dataset not in {None, BUNDLED_DATASET}:
            rule = f"be {BUNDLED_DATASET!r} or absent with source: bundled"
            raise ConfigurationError.of("data.dataset", rule, settings.dataset)
        return ensure_bundled(store)
    if settings.path is None:
        if settings.dataset is None:
            remedy = "Or use source: bundled for the prices that ship."
            raise ConfigurationError.of("data", "name a path or a dataset", settings.source, remedy)
        if settings.dataset == BUNDLED_DATASET and all(m.dataset != BUNDLED_DATASET for m in store.datasets()):
            return ensure_bundled(store)
        return store.open(settings.dataset, settings.bar_size)
    path = Path(settings.path)
    if not path.exists():
        raise _missing(path)
    if settings.dataset is not None:
        return BarStore(path).open(settings.dataset, settings.bar_size)
    if (path / MANIFEST_FILE).is_file():
        return Dataset.load(path)
    if any(path.glob(f"*/{MANIFEST_FILE}")):
        return BarStore(path.parent).open(path.name, settings.bar_size)
    return _from_files(path, settings)


def _from_files(path: Path, settings: DataSettings) -> MemorySource:
    if settings.source not in {"parquet", "csv"}:
        raise ConfigurationError.of("data.source", "be 'parquet' or 'csv' for files", settings.source, f"{path} is no dataset.")
    size = settings.bar_size or infer_bar_size(path, timezone=settings.timezone)
    result = import_bars(path, bar_size=size, calendar=settings.calendar, timezone=settings.timezone)
    actions = () if settings.actions is None else read_actions(settings.actions)
    calendar, name = settings.calendar, path.stem
    return MemorySource(result.table, bar_size=BarSize.parse(size), calendar=calendar, actions=actions, name=name)


def _from_recording(session: RecordedSession, settings: DataSettings) -> MemorySource:
    _check_bar_size(settings, session.bar_size, session.folder)
    return session.source(() if settings.actions is None else read_actions(settings.actions))


def _check_bar_size(settings: DataSettings, found: BarSize, folder: Path) -> None:
    if settings.bar_size is not None and BarSize.parse(settings.bar_size) is not found:
        raise ConfigurationError.of("data.bar_size", f"be {found.value!r} as in {folder}", settings.bar_size)


def _check_dataset(dataset: Dataset, settings: DataSettings) -> None:
    _check_bar_size(settings, dataset.bar_size, dataset.folder)
    if settings.actions is not None:
        remedy = "Import them with it: fairlead data import ... --actions FILE."
        raise ConfigurationError.of(
            "data.actions", "not be given with a dataset, which brings its own", settings.actions, remedy
        )
    if settings.source == "synthetic" and not dataset.manifest.synthetic:
        rule = f"not be 'synthetic': dataset {dataset.name!r} holds real prices"
        raise ConfigurationError.of("data.source", rule, settings.source, "Use source: store.")


def _missing(path: Path) -> DataNotFound:
    parent = next((p for p in path.absolute().parents if p.is_dir()), None)
    names = sorted(p.name for p in parent.iterdir() if not p.name.startswith(".")) if parent else []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return DataNotFound(
        f"'data.path' {path} does not exist. {parent} holds: {', '.join(names[:_SHOWN]) or '(nothing)'}{more}. "
        "Correct the path, or import data with: fairlead data import."
    )
