"""Real prices for the first run: five US stocks of the `bokeh-sampledata` package, in the public domain."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from fairlead.core.errors import ContractError, UnknownName
from fairlead.core.events import CorporateAction
from fairlead.core.time import BarSize
from fairlead.data.adjustments import derive_actions
from fairlead.data.dataset import Dataset
from fairlead.data.ingest import import_bars
from fairlead.data.store import BarStore

BUNDLED_DATASET: Final = "us_equities"
BUNDLED_SYMBOLS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
BUNDLED_CALENDAR: Final = "XNYS"
BUNDLED_SOURCE: Final = (
    "Daily prices of AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01, from the Quandl WIKI Prices collection, packaged "
    "by bokeh-sampledata. Public domain: its publisher declared it so and permitted redistribution. Open, high, low, close and "
    "volume are unadjusted; splits and dividends are derived from the adjusted closes of the same source."
)


def bundled_bars() -> tuple[pa.Table, tuple[CorporateAction, ...]]:
    """Return the canonical table of the bundled prices, checked like any import, and their splits and dividends.

    Raises
    ------
    ContractError, DataError
        If the installed package holds other data than it should.
    """
    from bokeh_sampledata import stocks  # noqa: PLC0415  parses its file when imported

    frames: dict[str, pl.DataFrame] = {}
    actions: list[CorporateAction] = []
    for symbol in BUNDLED_SYMBOLS:
        columns: dict[str, list[Any]] = getattr(stocks, symbol)
        session = np.array(columns["date"], "datetime64[D]").astype(np.int32)
        close, adjusted = np.array(columns["close"], np.float64), np.array(columns["adj_close"], np.float64)
        actions += derive_actions(symbol, session, close, adjusted)
        frames[symbol] = pl.DataFrame({name: columns[name] for name in ("date", "open", "high", "low", "close", "volume")})
    result = import_bars(frames, bar_size=BarSize.D1, calendar=BUNDLED_CALENDAR)
    return result.table, tuple(sorted(actions, key=lambda action: action.sort_key))


def ensure_bundled(store: BarStore) -> Dataset:
    """Return the dataset ``us_equities`` of `store`, imported if it is not there yet.

    Raises
    ------
    ContractError
        If another dataset has this name and other prices.
    StorageError
        If the disk refuses.
    """
    try:
        dataset = store.open(BUNDLED_DATASET, BarSize.D1)
    except UnknownName:
        dataset = None
    if dataset is not None and dataset.manifest.source == BUNDLED_SOURCE:
        return dataset
    table, actions = bundled_bars()
    if dataset is not None and (dataset.symbols, dataset.manifest.rows) != (BUNDLED_SYMBOLS, table.num_rows):
        raise ContractError(
            f"dataset {BUNDLED_DATASET!r} in {store.root} is not the bundled one: its source is {dataset.manifest.source!r}. "
            "Rename or remove it, or name it in the configuration as a dataset of its own."
        )
    # Another release may have described the same prices in other words; writing them again changes nothing then, and is
    # refused if a price differs.
    store.write(
        BUNDLED_DATASET,
        table,
        bar_size=BarSize.D1,
        calendar=BUNDLED_CALENDAR,
        actions=actions,
        source=BUNDLED_SOURCE,
    )
    return store.open(BUNDLED_DATASET, BarSize.D1)
