"""A journal as a Parquet file, for those who want to ask it questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.contracts.files import atomic_file
from fairlead.journal.records import Record

_ROWS_AT_ONCE: Final = 10_000
_S: Final = pa.string()
SCHEMA: Final = pa.schema(
    [("seq", pa.int64()), ("ts_ns", pa.int64())]
    + [(name, _S) for name in ("kind", "run_id", "strategy", "symbol", "order_id", "payload", "previous", "hash")]
)
"""The fields of a record."""


def export_parquet(records: Iterable[Record], path: Path) -> int:
    """Write records to `path`, whole or not at all and in bounded memory; return how many.

    Raises
    ------
    StorageError
        If the disk refuses; `path` is what it was.
    """
    written = 0
    with atomic_file(path) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for batch in _batches(iter(records)):
            columns = zip(*batch, strict=True)
            writer.write_batch(pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA))
            written += len(batch)
    return written


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, _ROWS_AT_ONCE)):
        yield batch
