"""Where a run's market data comes from, as settings."""

from __future__ import annotations

from typing import Literal

from fairlead.contracts.settings import Settings


class DataSettings(Settings):
    """The ``data`` section of a configuration.

    Parameters
    ----------
    type : {'historical', 'replay', 'live'}
        What drives the run. Only history can be opened so far.
    source : {'parquet', 'csv', 'bundled', 'synthetic', 'store'}
        What kind of data `path` or `dataset` names; ``bundled`` needs neither.
    path : str, optional
        A dataset's folder, a Parquet or CSV file, or a folder of such files. Relative to the current folder.
    dataset : str, optional
        Name of a dataset in the workspace's store.
    symbols : tuple of str
        Empty for all.
    bar_size : str, optional
        ``1min``, ``5min``, ..., ``1d``. Needed only where the data leaves it open.
    calendar : str
        Exchange calendar of data that does not name its own.
    timezone : str, optional
        IANA zone of the stamps in files that carry none.
    actions : str, optional
        File of the corporate actions of bars that are read from files; a dataset brings its own.
    """

    type: Literal["historical", "replay", "live"] = "historical"
    source: Literal["parquet", "csv", "bundled", "synthetic", "store"] = "parquet"
    path: str | None = None
    dataset: str | None = None
    symbols: tuple[str, ...] = ()
    bar_size: str | None = None
    calendar: str = "XNYS"
    timezone: str | None = None
    actions: str | None = None
