"""Nothing that a strategy can read at an instant depends on what comes later, or on how history was cut into chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.bars import BarBlock, BarSlice, Cursor, CursorMarks, effective_actions, forward_fill
from fairlead.core.events import CorporateAction
from fairlead.core.time import NS_PER_DAY
from fairlead.sdk.history import FIELDS, HistoricalData
from support_actions import actions_of_any_kind

SYMBOLS = ("A", "B")
ACTIONS = st.lists(actions_of_any_kind(SYMBOLS, st.integers(0, 14)), max_size=4)


def a_block(rng: np.random.Generator, n: int, actions: list[CorporateAction]) -> BarBlock:
    close = np.exp(rng.normal(4, 0.2, (n, 2)))
    close[rng.random((n, 2)) < 0.25] = np.nan
    days = np.arange(n)
    mark = forward_fill(close)
    columns = {s: i for i, s in enumerate(SYMBOLS)}
    placed = effective_actions(actions, columns, days.astype(np.int32), mark, open_=close * 0.99)
    return BarBlock(
        SYMBOLS,
        days.astype(np.int64) * NS_PER_DAY,
        days.astype(np.int64) * NS_PER_DAY + 1,
        days.astype(np.int32),
        close * 0.99,
        close * 1.02,
        close * 0.98,
        close,
        close * 1e3,
        mark,
        actions=placed,
    )


def everything_seen(block: BarBlock, row: int) -> list[object]:
    """Every value that the history, the marks and the slice give at `row`."""
    cursor = Cursor(block, row)
    data = HistoricalData(cursor)
    seen: list[object] = [cursor.known_ns, *map(str, CursorMarks(cursor).values()), list(BarSlice(block, row))]
    for n in (1, 3, 50):
        for adjusted in (True, False):
            for field in FIELDS:
                seen.append(data.panel(n, field, adjusted=adjusted).tobytes())
                seen.extend(data.values(s, n, field, adjusted=adjusted).tobytes() for s in SYMBOLS)
        seen.extend(data.bars(s, n) for s in SYMBOLS)
    return seen


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 15), st.data(), ACTIONS, ACTIONS, st.integers(0, 2**32 - 1))
def test_rewriting_the_future_changes_nothing(n, data, actions, other_actions, seed):
    """Later prices are replaced, later corporate actions too; every earlier reading stays the same, byte for byte."""
    row = data.draw(st.integers(0, n - 2))
    ours = a_block(np.random.default_rng(seed), n, actions)
    other = a_block(np.random.default_rng(seed + 1), n, actions)
    fields = {}
    for name in (*FIELDS, "mark"):
        table = getattr(ours, name).copy()
        table[row + 1 :] = getattr(other, name)[row + 1 :]
        fields[name] = table
    fields["mark"] = forward_fill(fields["close"])
    kept = [a for a in actions if a.ex_session <= row]
    rewritten = kept + [a for a in other_actions if a.ex_session > row]
    placed = effective_actions(rewritten, ours.columns, ours.session, fields["mark"], open_=fields["open"])
    changed = BarBlock(SYMBOLS, ours.label_ns, ours.known_ns, ours.session, **fields, actions=placed)
    assert everything_seen(changed, row) == everything_seen(ours, row)


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 15), st.data(), ACTIONS, st.integers(0, 2**32 - 1))
def test_cutting_the_future_off_changes_nothing(n, data, actions, seed):
    row = data.draw(st.integers(0, n - 2))
    whole = a_block(np.random.default_rng(seed), n, actions)
    cut = slice(0, row + 1)
    names = ("label_ns", "known_ns", "session", *FIELDS, "mark")
    kept = {name: getattr(whole, name)[cut] for name in names}
    placed = effective_actions(actions, whole.columns, kept["session"], kept["mark"], open_=kept["open"])
    truncated = BarBlock(SYMBOLS, **kept, actions=placed)
    assert everything_seen(truncated, row) == everything_seen(whole, row)
