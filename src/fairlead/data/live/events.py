"""Stored history as a stream of events: the same ones, in the same order, that the blocks of a backtest hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from fairlead.data.live.feed import FeedNotice, MarketEvent
from fairlead.data.source import DataSource
from fairlead.data.ticks import TickSource


def session_events(source: DataSource, ticks: TickSource | None = None) -> Iterator[MarketEvent]:
    """Yield bars, and quotes and trades between them, in the order in which a backtest meets them.

    Parameters
    ----------
    source : DataSource
        Bars of one instant come in the order of its columns.
    ticks : TickSource, optional
        What is stamped at or before a bar's closing instant comes before the bar; what is from before the first bar's opening,
        or after the last bar's close, is left out.

    Raises
    ------
    DataNotFound
        If `source` holds no bar at all.
    """
    stream = None if ticks is None else ticks.stream()
    started = False
    for block in source.blocks(carry=0):
        columns = range(len(block.symbols))
        for row in range(block.start, len(block)):
            if stream is not None:
                if not started:
                    stream.skip(int(block.label_ns[row]) - 1)
                    started = True
                yield from stream.until(int(block.known_ns[row]))
            for column in columns:
                bar = block.bar(row, column)
                if bar is not None:
                    yield bar


def slices(events: Iterable[MarketEvent | FeedNotice]) -> Iterator[list[MarketEvent | FeedNotice]]:
    """Yield together what has one stamp."""
    for _, together in groupby(events, key=_known_ns):
        yield list(together)


def _known_ns(event: MarketEvent | FeedNotice) -> int:
    return event.known_ns
