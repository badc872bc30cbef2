"""The files that hold a feature's values: a Parquet table and the manifest beside it.

The table has one row per instant and symbol, sorted so: ``known``, ``symbol``, ``has_bar`` and one column per output; one row
group per block of history.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, ValidationError

from fairlead.contracts.files import sha256_file, write_json
from fairlead.contracts.manifests import Count, Sha256
from fairlead.contracts.settings import Settings
from fairlead.core.arrays import IntArray
from fairlead.core.errors import DataError, StorageError
from fairlead.core.time import BarSize, to_datetime
from fairlead.features.values import Part

FEATURE_MANIFEST_VERSION: Final = "1.0"
VALUES_FILE: Final = "values.parquet"
MANIFEST_FILE: Final = "manifest.json"
_KEYS: Final = ("known", "symbol", "has_bar")
_SHOWN: Final = 12


class ValueKey(Settings):
    """Whose values they are.

    Parameters
    ----------
    feature : str
    version : int
    params : dict
        All of them.
    identity : str
        See `fairlead.features.identity.definition_hash`.
    dataset : str
    bar_size : BarSize
    dataset_sha256 : str
        Content hash of the bars.
    data_sha256 : str
        Of all that went in: bars, symbols, corporate actions, and what is read beside them.
    symbols, outputs : tuple of str
    """

    feature: str
    version: int
    params: dict[str, Any]
    identity: Sha256
    dataset: str
    bar_size: BarSize
    dataset_sha256: str
    data_sha256: Sha256
    symbols: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where they are, below the folder of all features."""
        name = f"{file_name(self.feature)}-{self.identity[:_SHOWN]}-{self.data_sha256[:_SHOWN]}"
        return Path(file_name(self.dataset)) / self.bar_size.value / name


class FeatureManifest(ValueKey):
    """What a folder of values says about itself.

    Parameters
    ----------
    rows : int
        Instants.
    first_known, last_known : datetime
    sha256 : str
        Of the file ``values.parquet``.
    """

    schema_version: str
    rows: Count
    first_known: AwareDatetime
    last_known: AwareDatetime
    sha256: Sha256


class StoredValues:
    """Values on disk, read one row group at a time.

    Parameters
    ----------
    path : Path
    manifest : FeatureManifest

    Raises
    ------
    DataError
        If the file cannot be read, or is not the one that the manifest describes.
    """

    def __init__(self, path: Path, manifest: FeatureManifest) -> None:
        self._path = path
        self._width = len(manifest.symbols)
        self._columns = [field.name for field in _schema(manifest.outputs)]
        try:
            found = sha256_file(path)
            if found != manifest.sha256:
                raise DataError.of(str(path), f"have the SHA-256 {manifest.sha256} that its manifest states", found)
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException, StorageError) as exc:
            raise DataError(f"cannot read {path}: {exc}.") from exc
        if self._file.metadata.num_rows != manifest.rows * self._width or self._file.schema_arrow.names != self._columns:
            raise DataError.of(str(path), "have the rows and columns that its manifest states", self._file.schema_arrow.names)

    @cached_property
    def first_ns(self) -> IntArray:
        """First instant of each part."""
        return self._bounds("min_raw")

    @cached_property
    def last_ns(self) -> IntArray:
        """Last instant of each part."""
        return self._bounds("max_raw")

    def part(self, index: int) -> Part:
        """Return one part.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        names = [name for name in self._columns if name != "symbol"]
        try:
            table = self._file.read_row_group(index, columns=names)
        except (OSError, pa.ArrowException) as exc:
            raise DataError(f"cannot read {self._path}: {exc}.") from exc
        known = table.column("known").cast(pa.int64()).to_numpy()[:: self._width]
        has_bar, *values = (table.column(name).to_numpy().reshape(-1, self._width) for name in names[1:])
        return Part(known, has_bar, tuple(values))

    def _bounds(self, which: str) -> IntArray:
        metadata = self._file.metadata
        groups = (metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups))
        return np.array([getattr(group, which) for group in groups], np.int64)


class ValueWriter:
    """Takes the values of one feature block by block.

    Parameters
    ----------
    folder : Path
    key : ValueKey
    """

    def __init__(self, folder: Path, key: ValueKey) -> None:
        self._folder, self._key = folder, key
        self._schema = _schema(key.outputs)
        self._first: int | None = None
        self._last = self._rows = 0
        self._names = pa.array(key.symbols, pa.string())
        self.file = pq.ParquetWriter(
            folder / VALUES_FILE,
            self._schema,
            compression="zstd",
            use_dictionary=["symbol"],
            column_encoding={"known": "DELTA_BINARY_PACKED"},
            write_statistics=["known"],
        )

    def add(self, part: Part) -> None:
        """Write a part as one row group."""
        rows, width = part.has_bar.shape
        if rows == 0:
            return
        symbols = pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(width, dtype=np.int32), rows)), self._names)
        known = pa.array(np.repeat(part.known_ns, width)).view(self._schema.field("known").type)
        columns = [known, symbols, *(pa.array(array.reshape(-1)) for array in (part.has_bar, *part.values))]
        self.file.write_table(pa.table(columns, schema=self._schema), row_group_size=rows * width)
        self._first = int(part.known_ns[0]) if self._first is None else self._first
        self._last = int(part.known_ns[-1])
        self._rows += rows

    def write_manifest(self) -> None:
        """Write the manifest, after the last part."""
        manifest = FeatureManifest(
            **self._key.model_dump(),
            schema_version=FEATURE_MANIFEST_VERSION,
            rows=self._rows,
            first_known=to_datetime(self._first or 0),
            last_known=to_datetime(self._last),
            sha256=sha256_file(self._folder / VALUES_FILE),
        )
        write_json(self._folder / MANIFEST_FILE, manifest.model_dump(mode="json"))


def read_manifest(folder: Path) -> FeatureManifest:
    """Return the manifest in a folder of values.

    Raises
    ------
    DataError
        If it cannot be read, or is of another major version.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = FeatureManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise DataError(f"cannot read {path}: {exc}.") from exc
    if manifest.schema_version.split(".")[0] != FEATURE_MANIFEST_VERSION.split(".")[0]:
        raise DataError.of(f"schema_version in {path}", f"be {FEATURE_MANIFEST_VERSION}", manifest.schema_version)
    return manifest


def file_name(text: str) -> str:
    """Return a name as a part of a path; different names may become equal."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:80] or "_"


def _schema(outputs: Sequence[str]) -> pa.Schema:
    kinds = (pa.timestamp("ns", tz="UTC"), pa.dictionary(pa.int32(), pa.string()), pa.bool_())
    fields = [*zip(_KEYS, kinds, strict=True), *((f"{name}_" if name in _KEYS else name, pa.float64()) for name in outputs)]
    return pa.schema(fields)
