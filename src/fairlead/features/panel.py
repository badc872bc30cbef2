"""Features of a source as one panel: every instant of its dates, every symbol, every output."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from fairlead.contracts.files import atomic_write_bytes
from fairlead.core.arrays import BoolArray, DayArray, FloatArray, IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import BarSize
from fairlead.data.source import DataSource
from fairlead.features.plan import Plan, Request
from fairlead.features.supply import FeatureSupply

FILE_KINDS: Final = (".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class FeaturePanel:
    """Values of features at n instants for k symbols.

    Attributes
    ----------
    plan : Plan
        What computed them; `plan.asked` has the labels that were asked for.
    symbols : tuple of str
    bar_size : BarSize
    label_ns, known_ns : int64 arrays of shape (n,)
        Opening instants (of a daily bar: its session date at 00:00 UTC), and when each row became known.
    session : int32 array of shape (n,)
        Session dates, in days since the epoch.
    close : float64 array of shape (n, k)
        Raw closes; NaN where a symbol has no bar.
    values : dict of str to float64 array of shape (n, k)
        The label, or ``label.output`` of a feature with several outputs -> values in units of the day.
    """

    plan: Plan
    symbols: tuple[str, ...]
    bar_size: BarSize
    label_ns: IntArray
    known_ns: IntArray
    session: DayArray
    close: FloatArray
    values: Mapping[str, FloatArray]

    @property
    def has_bar(self) -> BoolArray:
        """Whether a symbol has a bar in a row, shape (n, k)."""
        return ~np.isnan(self.close)

    @property
    def warm_up(self) -> int:
        """Bars of a symbol without a value of some feature, if no input is missing."""
        return max((node.warm_up for node in self.plan.asked.values()), default=0)

    def pooled(self, first_session: int, last_session: int, *, leave_out: int = 0) -> dict[str, FloatArray]:
        """Return the values of the bars between two session dates, both included: symbol after symbol, shape (bars,).

        Parameters
        ----------
        first_session, last_session : int
            In days since the epoch.
        leave_out : int
            The first bars of each symbol in the panel, which do not count: its warm-up.
        """
        rows = (self.session >= first_session) & (self.session <= last_session)
        counted = self.has_bar & (np.cumsum(self.has_bar, axis=0) > leave_out)
        chosen = counted[rows].T
        return {name: array[rows].T[chosen] for name, array in self.values.items()}

    def to_table(self) -> pa.Table:
        """Return one row per bar, ordered by symbol and time: ``symbol``, ``ts``, ``known`` and one column per value."""
        present = self.has_bar.T
        shape, stamp = present.shape, pa.timestamp("ns", tz="UTC")
        columns: dict[str, pa.Array] = {
            "symbol": pa.array(np.repeat(np.array(self.symbols, object), present.sum(axis=1)), pa.string()),
            "ts": pa.array(np.broadcast_to(self.label_ns, shape)[present]).view(stamp),
            "known": pa.array(np.broadcast_to(self.known_ns, shape)[present]).view(stamp),
        }
        columns |= {name: pa.array(array.T[present], from_pandas=True) for name, array in self.values.items()}
        return pa.table(columns)


def write_panel(panel: FeaturePanel, path: Path) -> None:
    """Write `FeaturePanel.to_table` as the file that the ending of `path` names: ``.csv`` or ``.parquet``.

    Raises
    ------
    ConfigurationError
        If it is another one.
    StorageError
        If the disk refuses.
    """
    table = panel.to_table()
    buffer = io.BytesIO()
    if path.suffix == ".parquet":
        pq.write_table(table, buffer)
    elif path.suffix == ".csv":
        for i, name in enumerate(table.column_names):
            if pa.types.is_timestamp(table.schema.types[i]):
                seconds = table.column(name).cast(pa.timestamp("s", tz="UTC"))
                table = table.set_column(i, name, pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ"))
        csv.write_csv(table, buffer, csv.WriteOptions(quoting_style="none"))
    else:
        raise ConfigurationError.of("file", f"end in {' or '.join(FILE_KINDS)}", str(path))
    atomic_write_bytes(path, buffer.getvalue())


def compute_panel(
    requests: Mapping[str, Request],
    source: DataSource,
    *,
    supply: FeatureSupply | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> FeaturePanel:
    """Return features at every instant of a source, warmed up on all that came before it.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    source : DataSource
    supply : FeatureSupply, optional
        What features read beside the bars, and whether kept values are used. By default neither.
    progress : callable
        Told how many instants are done.

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong, or needs what the source and `supply` do not have.
    DataNotFound
        If the source has no bar.
    StrategyError
        If a kernel raises.
    """
    feed, given = None, supply or FeatureSupply(cache=False)
    parts: dict[str, list[FloatArray]] = {}
    stamps: list[tuple[IntArray, IntArray, DayArray, FloatArray]] = []
    done = 0
    for block in source.blocks(carry=0):
        feed = feed or given.open(requests, source, block)
        feed.take(block)
        rows = slice(block.start, len(block))
        stamps.append((block.label_ns[rows], block.known_ns[rows], block.session[rows], block.close[rows]))
        for label, node in feed.plan.asked.items():
            outputs = [output.name for output in node.feature.outputs]
            for name, array in zip(outputs, feed.values(label), strict=True):
                parts.setdefault(label if len(outputs) == 1 else f"{label}.{name}", []).append(array)
        done += len(block) - block.start
        progress(done)
    assert feed is not None, "a source without a bar raises"
    label_ns, known_ns, session, close = (np.concatenate(arrays) for arrays in zip(*stamps, strict=True))
    values = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return FeaturePanel(feed.plan, source.symbols, source.bar_size, label_ns, known_ns, session, close, values)
