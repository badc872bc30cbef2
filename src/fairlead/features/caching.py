"""Values of features on disk, each set of them in a folder of its own.

``features/<dataset>/<bar_size>/<feature>-<identity>-<data>/`` holds a table and a manifest. The folder's name abbreviates whose
values they are; the manifest states it in full, and that must be what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fairlead.contracts.files import atomic_directory
from fairlead.core.errors import DataError, StorageError
from fairlead.features.value_files import (
    MANIFEST_FILE,
    VALUES_FILE,
    FeatureManifest,
    StoredValues,
    ValueKey,
    ValueWriter,
    file_name,
    read_manifest,
)


@dataclass(frozen=True, slots=True)
class KeptFeature:
    """A feature whose values are on disk.

    Attributes
    ----------
    folder : Path
    manifest : FeatureManifest
    size : int
        Bytes.
    """

    folder: Path
    manifest: FeatureManifest
    size: int


class FeatureCache:
    """The kept values under one folder.

    Parameters
    ----------
    folder : Path
        Usually ``<workspace>/features``; created by the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> tuple[KeptFeature, ...]:
        """Return everything that is kept, ordered by dataset, bar size and feature; what is damaged is left out."""
        entries = (self._entry(folder) for folder in self._folders())
        return tuple(entry for entry in entries if entry is not None)

    def open(self, key: ValueKey) -> StoredValues | None:
        """Return the values of `key`; None if they are not kept.

        Raises
        ------
        DataError
            If they are damaged.
        """
        folder = self.folder / key.path
        if not (folder / MANIFEST_FILE).exists():
            return None
        manifest = read_manifest(folder)
        for name in ("identity", "data_sha256", "symbols", "outputs"):
            if getattr(manifest, name) != getattr(key, name):
                raise DataError.of(f"{name} in {folder / MANIFEST_FILE}", f"be {getattr(key, name)}", getattr(manifest, name))
        return StoredValues(folder / VALUES_FILE, manifest)

    @contextmanager
    def writing(self, keys: Mapping[str, ValueKey]) -> Iterator[Mapping[str, ValueWriter]]:
        """Give one writer per key; the values are kept, whole, if the block ends without an error.

        Raises
        ------
        StorageError
            If the disk refuses; nothing is kept then.
        """
        with ExitStack() as stack:
            targets = {label: self.folder / key.path for label, key in keys.items()}
            folders = {label: stack.enter_context(atomic_directory(path, replace=True)) for label, path in targets.items()}
            with ExitStack() as files:
                writers = {label: files.enter_context(_writer(folders[label], key)) for label, key in keys.items()}
                yield writers
            for writer in writers.values():
                writer.write_manifest()

    def remove(self, feature: str | None = None) -> int:
        """Remove what is kept of a feature, or everything; return how many folders went.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        removed = 0
        for folder in self._folders():
            entry = None if feature is None else self._entry(folder)
            mine = feature is None or (entry is not None and entry.manifest.feature == feature)
            # The name tells whose a folder with a damaged manifest is, except that it is abbreviated.
            damaged = entry is None and re.sub(r"-[0-9a-f]+-[0-9a-f]+$", "", folder.name) == file_name(feature or "")
            if mine or damaged:
                try:
                    # In one step out of the way of whoever writes it anew at this moment.
                    with TemporaryDirectory(prefix=".removed-", dir=folder.parent) as away:
                        folder.rename(Path(away) / folder.name)
                except FileNotFoundError:  # another process was faster
                    continue
                except OSError as exc:
                    raise StorageError(f"cannot remove {folder}: {exc.strerror}. Check its permissions.") from exc
                removed += 1
        return removed

    def _folders(self) -> list[Path]:
        # A folder that somebody is still writing begins with a dot. A power cut can leave one behind.
        found = (path.parent for path in self.folder.glob(f"*/*/*/{MANIFEST_FILE}"))
        return sorted(folder for folder in found if not folder.name.startswith("."))

    def _entry(self, folder: Path) -> KeptFeature | None:
        try:
            manifest = read_manifest(folder)
            return KeptFeature(folder, manifest, (folder / VALUES_FILE).stat().st_size)
        except (DataError, OSError):
            return None


@contextmanager
def _writer(folder: Path, key: ValueKey) -> Iterator[ValueWriter]:
    writer = ValueWriter(folder, key)
    with writer.file:
        yield writer
