"""However a run is cut into blocks, its instants and curves come back as they were, and small blocks leave next to nothing."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.bars import BarBlock, Cursor, CursorMarks
from fairlead.core.fills import Fill
from fairlead.core.orders import Side
from fairlead.core.portfolio import Portfolio
from fairlead.engine import instants as kept
from fairlead.engine.equity import CurveRecorder
from fairlead.engine.instants import Instants

MINUTE = 60_000_000_000
SYMBOLS = tuple(f"S{i:03d}" for i in range(200))


@settings(max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([1, 1, 1, 2, 7, 99, 100, 101, 300]), max_size=30),
    per_session=st.sampled_from([1, 5, 390]),
    together=st.sampled_from([1, 2, 256]),
)
def test_they_come_back_whatever_the_blocks(sizes, per_session, together):
    n = sum(sizes)
    session = (19_724 + np.arange(n) // per_session).astype(np.int32)
    known = session.astype(np.int64) * 1_440 * MINUTE + (np.arange(n) % per_session) * MINUTE
    found, first = Instants(), 0
    before, kept.TOGETHER = kept.TOGETHER, together
    try:
        for size in sizes:
            part = slice(first, first := first + size)
            found.add(known[part], session[part])
    finally:
        kept.TOGETHER = before
    assert found.stamps().tolist() == known.tolist()
    assert found.sessions().tolist() == session.tolist()
    assert (found.stamps().dtype, found.sessions().dtype) == (np.int64, np.int32)


def blocks(count: int, rows: int, random: np.random.Generator):
    """Blocks of so many rows each, as history has them and as a feed does."""
    price = random.uniform(10, 20, (count, len(SYMBOLS)))
    known = np.arange(1, count + 1, dtype=np.int64) * MINUTE
    session = (np.arange(count) // 390).astype(np.int32)
    for first in range(0, count, rows):
        part = slice(first, min(first + rows, count))
        whole = price[part].copy()
        yield BarBlock(SYMBOLS, known[part] - MINUTE, known[part], session[part], *[whole] * 4, whole, whole)


def recorded(count: int, rows: int):
    """The curves of two ledgers, one of which trades now and then, in one symbol and in several."""
    cursor = Cursor(next(blocks(count, rows, np.random.default_rng(1))))
    ledgers = {name: Portfolio(1_000.0, CursorMarks(cursor)) for name in ("idle", "trading")}
    curves, seen = CurveRecorder(ledgers), 0
    for block in blocks(count, rows, np.random.default_rng(1)):
        cursor.block, cursor.row = block, 0
        curves.open_block(block)
        for row in range(len(block)):
            cursor.row = row
            if seen % 50 == 7:
                symbol, side = SYMBOLS[seen // 50 % 3], Side.BUY if seen % 150 else Side.SELL
                ledgers["trading"].apply(Fill("f", "o", "trading", symbol, side, 2.0, 15.0, 15.0, 0.1, 0, 0))
                curves.mark_changed("trading")
                curves.note_changes(row)
            seen += 1
        curves.close_block(block)
    return curves


def test_a_curve_of_one_row_blocks_is_that_of_history():
    found, expected = (recorded(1_000, rows) for rows in (1, 1_000))
    for one, other in zip(found.curves()[1].values(), expected.curves()[1].values(), strict=True):
        for name in ("ts_ns", "session", "equity", "cash", "gross", "net"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()
    one, other = found.prices(), expected.prices()
    assert one.session.tolist() == other.session.tolist() == [0, 1, 2]
    assert one.ts_ns.tolist() == other.ts_ns.tolist()
    assert one.mark.tolist() == other.mark.tolist()


def test_an_instant_of_a_session_in_real_time_leaves_numbers_and_no_objects():
    """Two curves of three numbers, a stamp and a session: some sixty bytes, however many symbols there are."""
    tracemalloc.start()
    try:
        curves = recorded(400, 1)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        del curves
        more = recorded(3_400, 1)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (after - before) / 3_000 < 200
    assert len(more.curves()[0].ts_ns) == 3_400
