"""A dataset on disk, opened for reading: its manifest, its corporate actions, and selections that stream month by month."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from fairlead.contracts.files import canonical_json, sha256_file
from fairlead.contracts.manifests import BAR_MANIFEST_VERSION, ActionRecord, BarFile, BarManifest
from fairlead.core.bars import BarBlock
from fairlead.core.errors import DataError, DataNotFound, StorageError
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.blocks import assemble_pieces, block_rows, panels_of
from fairlead.data.selection import DateRange, choose_actions, choose_symbols, span_text
from fairlead.data.table import BAR_SCHEMA
from fairlead.data.wide import WIDE_FILE, WideMonth
from fairlead.data.windows import Piece

BARS_FILE: Final = "bars.parquet"
MANIFEST_FILE: Final = "manifest.json"
ACTIONS_FILE: Final = "actions.json"
QUARANTINE_FILE: Final = "quarantine.csv"
BATCH_ROWS: Final = 65_536

_AGAIN: Final = "Import the data again with --replace."
_RECORDS: Final = TypeAdapter(tuple[ActionRecord, ...])


class Dataset:
    """One dataset at one bar size. Obtain it from `BarStore.open` or `Dataset.load`.

    Parameters
    ----------
    folder : Path
        Where ``manifest.json`` is.
    manifest : BarManifest
    actions : tuple of CorporateAction
    held : mapping of str to bytes, optional
        The month files themselves by their path in `folder`, which is then not read.
    """

    def __init__(
        self,
        folder: Path,
        manifest: BarManifest,
        actions: tuple[CorporateAction, ...],
        held: Mapping[str, bytes] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.actions = actions
        self._held = held or {}

    @classmethod
    def load(cls, folder: Path, *, verify: bool = False) -> Dataset:
        """Open the dataset in `folder`.

        Parameters
        ----------
        folder : Path
        verify : bool
            Read every file and compare its hash with the manifest.

        Raises
        ------
        DataNotFound
            If there is no manifest.
        DataError
            If the manifest or the actions cannot be read, are of a newer major version, or a file was changed.
        """
        manifest = read_manifest(folder)
        dataset = cls(folder, manifest, _read_actions(folder / ACTIONS_FILE, manifest.actions_sha256))
        if verify:
            dataset.verify()
        return dataset

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.manifest.dataset

    @property
    def bar_size(self) -> BarSize:
        """Length of a bar."""
        return self.manifest.bar_size

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol it holds, sorted."""
        return tuple(span.symbol for span in self.manifest.symbols)

    def verify(self) -> None:
        """Compare every file with the hash that the manifest states.

        Raises
        ------
        DataError
            Naming the first file that was changed or is missing.
        """
        for file in self.manifest.files:
            self.verify_file(file)

    def verify_file(self, file: BarFile) -> None:
        """Compare one month file with the hash that the manifest states.

        Raises
        ------
        DataError
            If it was changed or is missing.
        """
        path = self.folder / file.path
        if not path.is_file():
            raise DataError(f"{path} is missing; the manifest lists it. {_AGAIN}")
        found = sha256_file(path)
        if found != file.sha256:
            raise _changed(path, file.sha256, found)

    def wide_path(self, file: BarFile) -> Path:
        """Return where the wide form of a month is, if it has one."""
        return (self.folder / file.path).with_name(WIDE_FILE)

    def wide_month(self, file: BarFile) -> WideMonth | None:
        """Return the wide form of a month; None if it has none, or only one of other bars.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        return None if self._held else WideMonth.open(self.wide_path(file), file.content_sha256)

    def read(self, file: BarFile) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one month file in pieces.

        Raises
        ------
        DataError
            If the file is missing, unreadable or not the one the manifest lists.
        """
        return _read_month(self.folder / file.path, file, content=self._held.get(file.path))

    def carried(self, limit: int) -> Dataset | None:
        """Return the dataset with its files in memory, for a machine that has none of them; None if they exceed `limit` bytes.

        Raises
        ------
        StorageError
            If a file cannot be read.
        """
        paths = {file.path: self.folder / file.path for file in self.manifest.files}
        try:
            if sum(path.stat().st_size for path in paths.values()) > limit:
                return None
            held = {name: path.read_bytes() for name, path in paths.items()}
        except OSError as exc:
            raise StorageError(f"cannot read {self.folder}: {exc.strerror}. {_AGAIN}") from exc
        return Dataset(self.folder, self.manifest, self.actions, held)

    def select(
        self,
        symbols: Sequence[str] | None = None,
        start: dt.date | dt.datetime | None = None,
        end: dt.date | dt.datetime | None = None,
    ) -> StoredSource:
        """Choose symbols and dates; nothing but the manifest is read yet.

        Parameters
        ----------
        symbols : sequence of str, optional
            All if None or empty.
        start, end : date or aware datetime, optional
            Both included. A date bounds sessions, a datetime bounds bar labels (opening instants).

        Raises
        ------
        UnknownName
            If the dataset has no such symbol.
        DataNotFound
            If no selected symbol has a bar in the range.
        ConfigurationError
            If `end` is before `start`, or a datetime has no time zone.
        """
        chosen = choose_symbols(symbols, self.symbols, self.name)
        dates = DateRange(start, end)
        first, last = dates.sessions
        spans = [
            (date_to_day(span.first_session), date_to_day(span.last_session))
            for span in self.manifest.symbols
            if span.symbol in set(chosen)
        ]
        if not any(a <= last and b >= first for a, b in spans):
            raise _nothing(self.name, chosen, dates, min(a for a, _ in spans), max(b for _, b in spans))
        return StoredSource(self, chosen, dates)


class StoredSource:
    """A selection of a stored dataset; a `DataSource`. Reads one month file at a time, in batches."""

    def __init__(self, dataset: Dataset, symbols: tuple[str, ...], dates: DateRange) -> None:
        self._dataset = dataset
        self._dates = dates
        self.symbols = symbols
        self.actions = choose_actions(dataset.actions, symbols, dates)
        first, last = dates.sessions
        self._files = [
            file
            for file in dataset.manifest.files
            if date_to_day(file.first_session) <= last and date_to_day(file.last_session) >= first
        ]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self._dataset.name

    @property
    def bar_size(self) -> BarSize:
        """Length of a bar."""
        return self._dataset.bar_size

    @property
    def folder(self) -> Path:
        """Where the dataset is."""
        return self._dataset.folder

    @property
    def calendar(self) -> str:
        """Name of the exchange calendar."""
        return self._dataset.manifest.calendar

    @property
    def is_synthetic(self) -> bool:
        """Whether the prices were generated."""
        return self._dataset.manifest.synthetic

    @property
    def expected_rows(self) -> int:
        """Instants in the months that the selection touches: exact for whole months, else an upper bound."""
        return sum(file.instants for file in self._files)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what is selected: symbols, dates, the hashes of the months touched, and the corporate actions."""
        selection = {
            "actions": [action.facts for action in self.actions],
            "bar_size": self.bar_size.value,
            "calendar": self.calendar,
            "months": [file.content_sha256 for file in self._files],
            "range": [None if bound is None else bound.isoformat() for bound in (self._dates.start, self._dates.end)],
            "symbols": list(self.symbols),
        }
        return hashlib.sha256(canonical_json(selection).encode()).hexdigest()

    def whole(self) -> StoredSource:
        """Return the same symbols over all dates of the dataset; itself if no dates were chosen."""
        return self if self._dates == DateRange() else StoredSource(self._dataset, self.symbols, DateRange())

    def carried(self, limit: int) -> StoredSource | None:
        """Return the same selection with the dataset's files in memory; see `Dataset.carried`."""
        dataset = self._dataset.carried(limit)
        return None if dataset is None else StoredSource(dataset, self.symbols, self._dates)

    def blocks(self, *, carry: int) -> Iterator[BarBlock]:
        """Yield history in order; see `DataSource.blocks`.

        Raises
        ------
        DataNotFound
            If the selection holds no bar at all.
        DataError
            If a file is missing, unreadable or not the one the manifest lists.
        """
        found = False
        pieces = self._pieces()
        for block in assemble_pieces(pieces, self.symbols, carry=carry, actions=self.actions, expected=self.expected_rows):
            found = True
            yield block
        if not found:
            spans = [s for s in self._dataset.manifest.symbols if s.symbol in self.symbols]
            first, last = min(s.first_session for s in spans), max(s.last_session for s in spans)
            raise _nothing(self.name, self.symbols, self._dates, date_to_day(first), date_to_day(last))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the selected dates, for all symbols of the dataset, in pieces of at most 65,536."""
        return self._batches(self._files)

    def _batches(self, files: Iterable[BarFile]) -> Iterator[pa.RecordBatch]:
        for file in files:
            for batch in self._dataset.read(file):
                part = self._dates.cut(batch)
                if part.num_rows:
                    yield part

    def _pieces(self) -> Iterator[Piece]:
        # Lazily: a month is opened when it is due.
        months = ((file, self._dataset.wide_month(file)) for file in self._files)
        for is_wide, run in groupby(months, key=lambda month: month[1] is not None):
            if not is_wide:
                yield from panels_of(self._batches(file for file, _ in run), self.symbols, rows=block_rows(len(self.symbols)))
                continue
            for _, wide in run:
                if wide is not None:
                    yield from wide.pieces(self.symbols, self._dates)


def read_manifest(folder: Path) -> BarManifest:
    """Return the manifest of the dataset in `folder`.

    Raises
    ------
    DataNotFound
        If there is none.
    DataError
        If it cannot be read, or is of another major version.
    """
    path = folder / MANIFEST_FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise DataNotFound(f"no dataset at {folder}: it has no {MANIFEST_FILE}.") from exc
    except (OSError, ValueError) as exc:
        raise DataError(f"cannot read {path}: {exc}. {_AGAIN}") from exc
    version = str(content.get("schema_version")) if isinstance(content, dict) else "none"
    if version.split(".")[0] != BAR_MANIFEST_VERSION.split(".")[0]:
        raise DataError.of(f"schema_version in {path}", f"be {BAR_MANIFEST_VERSION}", version, _AGAIN)
    try:
        return BarManifest.model_validate(content)
    except ValidationError as exc:
        problem = exc.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{path} is not a manifest: '{where}' {problem['msg']}. {_AGAIN}") from exc


def read_month(folder: Path, file: BarFile) -> pa.Table:
    """Return one month file as a canonical table.

    Raises
    ------
    DataError
        If the file is missing, unreadable or not the one the manifest lists.
    """
    return pa.Table.from_batches(list(_read_month(folder / file.path, file, dictionary=False)), BAR_SCHEMA)


def _read_month(
    path: Path, file: BarFile, *, dictionary: bool = True, content: bytes | None = None
) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(
            path if content is None else pa.BufferReader(content), read_dictionary=["symbol"] if dictionary else None
        ) as parquet:
            if parquet.metadata.num_rows != file.rows:
                raise DataError.of(f"rows in {path}", f"be {file.rows} as in the manifest", parquet.metadata.num_rows, _AGAIN)
            yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=BAR_SCHEMA.names)
    except FileNotFoundError as exc:
        raise DataError(f"{path} is missing; the manifest lists it. {_AGAIN}") from exc
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"cannot read {path}: {exc}. {_AGAIN}") from exc


def _read_actions(path: Path, sha256: str) -> tuple[CorporateAction, ...]:
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise _changed(path, sha256, found)
        return tuple(record.action() for record in _RECORDS.validate_json(content))
    except FileNotFoundError as exc:
        raise DataError(f"{path} is missing. {_AGAIN}") from exc
    except (OSError, ValidationError) as exc:
        raise DataError(f"cannot read {path}: {exc}. {_AGAIN}") from exc


def _changed(path: Path, expected: str, found: str) -> DataError:
    return DataError.of(str(path), f"have the SHA-256 {expected} that the manifest states", found, _AGAIN)


def _nothing(name: str, symbols: Sequence[str], dates: DateRange, first: int, last: int) -> DataNotFound:
    whom = symbols[0] if len(symbols) == 1 else f"the {len(symbols)} selected symbols"
    return DataNotFound(f"dataset {name!r} has no bars of {whom} from {dates}. It has them from {span_text(first, last)}.")
