"""The hash of bars as data: independent of the file format, its version and its compression."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairlead.core.arrays import IntArray
from fairlead.data.table import SCHEMA_VERSION


def bars_sha256(table: pa.Table) -> str:
    """Return the SHA-256 of a canonical table's rows, as 64 hex digits.

    Equal rows in equal order give an equal hash, however the table is chunked or encoded.
    """
    digest = hashlib.sha256(f"bars {SCHEMA_VERSION} {table.num_rows}\n".encode())
    names, ranks = symbol_ranks(table)
    digest.update("\n".join(names).encode())
    digest.update(np.ascontiguousarray(ranks, dtype="<i4").data)
    for name, kind in (("known", "<i8"), ("label", "<i8"), ("session", "<i4")):
        width = pa.int64() if kind == "<i8" else pa.int32()
        for chunk in table.column(name).chunks:
            digest.update(np.ascontiguousarray(chunk.view(width).to_numpy(), dtype=kind).data)
    for name in ("open", "high", "low", "close", "volume"):
        for chunk in table.column(name).chunks:
            digest.update(np.ascontiguousarray(chunk.to_numpy(), dtype="<f8").data)
    return digest.hexdigest()


def symbol_ranks(table: pa.Table) -> tuple[list[str], IntArray]:
    """Return the sorted symbols of a canonical table, and each row's place among them."""
    column = table.column("symbol")
    names = sorted(pc.unique(column).to_pylist())
    ranks: IntArray = pc.index_in(column, value_set=pa.array(names, pa.string())).to_numpy()
    return names, ranks
