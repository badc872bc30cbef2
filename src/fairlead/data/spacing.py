"""Which bar size a table of bars has, judged by the spacing of its stamps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from fairlead.core.arrays import IntArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize
from fairlead.data.readers import read_tables
from fairlead.data.stamps import Reading, read_labels

# Enough to see many sessions of any bar size; reading more would not change the answer.
_ROWS_LOOKED_AT: Final = 20_000


def infer_bar_size(source: Any, *, symbol: str | None = None, timezone: str | None = None) -> BarSize:
    """Return the bar size of a file or frame.

    The lower quartile of the spacings decides, not their median: long bars make as many steps over the night as inside a
    session.

    Parameters
    ----------
    source : path, pandas.DataFrame, polars.DataFrame, or mapping of str to either frame
        Of several tables, the first one is looked at.
    symbol, timezone : str, optional
        As for `fairlead.data.ingest.import_bars`.

    Raises
    ------
    ConfigurationError
        If the spacing is that of no bar size, or there are fewer than two stamps.
    ContractError, DataError
        If the source cannot be read.
    """
    if isinstance(source, Mapping):
        source = {key: source[key] for key in sorted(source)[:1]}
    table = read_tables(source, symbol)[0]
    stamps = table.rows["ts"].head(_ROWS_LOOKED_AT)
    labels = read_labels(stamps, Reading(BarSize.D1, timezone or "UTC"), where=table.origin)
    spacing = typical_spacing(labels.label_ns[~(labels.unreadable | labels.ambiguous)])
    sizes = {size.ns: size for size in BarSize}
    if spacing not in sizes:
        found = "fewer than two stamps" if spacing is None else _text(spacing)
        raise ConfigurationError(
            f"'bar_size' must be given: the stamps of {table.origin} are {found} apart, which is not one of "
            f"{', '.join(size.value for size in BarSize)}."
        )
    return sizes[spacing]


def typical_spacing(label_ns: IntArray) -> int | None:
    """Return the lower quartile of the distances between distinct stamps, in nanoseconds; None if there are fewer than two."""
    steps = np.diff(np.unique(label_ns))
    return int(np.quantile(steps, 0.25, method="lower")) if len(steps) else None


def _text(spacing_ns: int) -> str:
    return f"{spacing_ns / NS_PER_DAY:g} days" if spacing_ns >= NS_PER_DAY else f"{spacing_ns / NS_PER_MINUTE:g} minutes"
