"""A small line: three symbols over two weeks, its configuration, and its minutes as files that a test can spoil."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from fairlead.data.calendars import ExchangeCalendar
from fairlead.factory.sources import Minutes, SyntheticData, open_minutes
from support_cli import fairlead

CLOCKS_CHANGE = ("2024-03-04", "2024-03-15")
"""New York goes to summer time on 10 March."""
EARLY_CLOSE = ("2024-11-25", "2024-12-06")
"""A holiday on 28 November and an early close the day after."""

Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def minutes(span: tuple[str, str] = CLOCKS_CHANGE, symbols: int = 3) -> Minutes:
    return open_minutes(SyntheticData(symbols=symbols, start=span[0], end=span[1]), Path())


@lru_cache(maxsize=4)
def frames(span: tuple[str, str] = CLOCKS_CHANGE, symbols: int = 3) -> dict[str, pl.DataFrame]:
    """Minutes by symbol; not to be changed."""
    return dict(minutes(span, symbols).frames())


def calendar() -> ExchangeCalendar:
    return ExchangeCalendar.get("XNYS")


def config(span: tuple[str, str] = CLOCKS_CHANGE, **sections: Any) -> dict[str, Any]:
    """A configuration of the small line as plain data; `sections` replace its own."""
    data = {"type": "synthetic", "symbols": 3, "start": span[0], "end": span[1]}
    signals = {"model": "opening_range", "params": {"score_sessions": 2}}
    return {"name": "Small line", "data": data, "candidates": {"max_candidates": 2}, "signals": signals} | sections


def write_config(folder: Path, plain: dict[str, Any], name: str = "factory.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(plain))
    return path


def write_minutes(folder: Path, span: tuple[str, str] = CLOCKS_CHANGE, **spoil: Spoil) -> dict[str, Any]:
    """Write the minutes as Parquet files, those of some symbols spoilt, and return the data section that reads them."""
    folder.mkdir(parents=True)
    for symbol, frame in frames(span).items():
        change = spoil.get(symbol, lambda whole: whole)
        change(frame).rename({"timestamp": "ts"}).write_parquet(folder / f"{symbol}.parquet")
    return {"type": "files", "path": str(folder), "start": span[0], "end": span[1]}


def run_line(folder, plain=None, *options, workspace="w", **environ):
    path = write_config(folder, plain or config())
    return fairlead("factory", "run", path.name, "-w", workspace, *options, cwd=folder, **environ)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def manifest(folder, run_id="small", workspace="w"):
    return json.loads((folder / workspace / "runs" / run_id / "manifest.json").read_text())
