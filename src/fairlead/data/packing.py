"""Packing: the wide form of every month of a dataset, made, and taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.core.errors import DataError, StorageError
from fairlead.data.dataset import Dataset, read_month
from fairlead.data.wide import write_wide

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Packing:
    """What packing a dataset has done.

    Attributes
    ----------
    made, kept : int
        Months whose wide form was written, and those that had it.
    unfit : tuple of str
        Month files whose bars have no wide form: see `fairlead.data.wide.write_wide`. They are read as ever.
    size : int
        Of all wide files, in bytes.
    """

    made: int
    kept: int
    unfit: tuple[str, ...]
    size: int


def pack_dataset(dataset: Dataset, progress: Progress | None = None) -> Packing:
    """Give every month of a dataset its wide form; those that have it are left alone, damaged ones are replaced.

    One month is in memory at a time. Runs over the dataset read the wide form from then on, and give the same results.

    Parameters
    ----------
    dataset : Dataset
    progress : callable, optional
        Told how many months are done.

    Raises
    ------
    DataError
        If a month's file was changed, is missing or cannot be read.
    StorageError
        If the disk refuses; months that are done stay done.
    """
    made = kept = 0
    unfit: list[str] = []
    for done, file in enumerate(dataset.manifest.files, start=1):
        if _is_packed(dataset, done - 1):
            kept += 1
        else:
            dataset.verify_file(file)
            if write_wide(dataset.wide_path(file), read_month(dataset.folder, file), file.content_sha256):
                made += 1
            else:
                unfit.append(file.path)
        if progress is not None:
            progress(done)
    return Packing(made, kept, tuple(unfit), sum(path.stat().st_size for path in packed_files(dataset)))


def unpack_dataset(dataset: Dataset) -> int:
    """Delete the wide form of every month, and return how many bytes that frees.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    freed = 0
    for path in packed_files(dataset):
        with _deleting(path):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def packed_files(dataset: Dataset) -> list[Path]:
    """Return the wide files that there are, whole or not."""
    return [path for path in map(dataset.wide_path, dataset.manifest.files) if path.is_file()]


def _is_packed(dataset: Dataset, place: int) -> bool:
    try:
        return dataset.wide_month(dataset.manifest.files[place]) is not None
    except DataError:
        return False


@contextmanager
def _deleting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(f"cannot delete {path}: {exc.strerror or exc}. Check the rights of its folder.") from exc
