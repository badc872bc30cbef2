"""Corporate actions of every kind, for tests: by hand and at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from fairlead.core.events import ActionKind, CorporateAction
from support_sessions import FIRST_DAY, days, minutes, random_bars

SYMBOLS = ("A", "B", "C", "D")
"""Those of `histories`. D begins late: it is a child that has no price at first, or the new name of C."""

ROWS = 60
RATIOS = (0.25, 0.5, 2.0, 3.0)


def pairs(symbols: Sequence[str]) -> st.SearchStrategy[tuple[str, str]]:
    """Two different symbols, in their order: no two companies hand out each other's shares."""
    return st.permutations(range(len(symbols))).map(lambda found: (symbols[min(found[:2])], symbols[max(found[:2])]))


def actions_of_any_kind(
    symbols: Sequence[str], days: st.SearchStrategy[int], *, kinds: Sequence[ActionKind] = tuple(ActionKind)
) -> st.SearchStrategy[CorporateAction]:
    """One action of some kind; `days` gives the ex-session."""
    one, two = st.sampled_from(list(symbols)), pairs(symbols)
    ratios, cash = st.sampled_from(RATIOS), st.sampled_from([0.01, 0.5, 2.0])
    by_kind = {
        ActionKind.DIVIDEND: st.builds(lambda s, d, c: CorporateAction(s, d, ActionKind.DIVIDEND, c), one, days, cash),
        ActionKind.SPLIT: st.builds(lambda s, d, r: CorporateAction(s, d, ActionKind.SPLIT, r), one, days, ratios),
        ActionKind.STOCK_DIVIDEND: st.builds(CorporateAction.stock_dividend, one, days, st.sampled_from([0.05, 1.0])),
        ActionKind.SPIN_OFF: st.builds(_spin_off, two, days, ratios, st.sampled_from([None, 0.2])),
        ActionKind.RENAME: st.builds(lambda p, d: CorporateAction.rename(p[0], d, p[1]), two, days),
        ActionKind.MERGER: st.builds(_merger, two, days, st.sampled_from([0.0, *RATIOS]), st.sampled_from([None, 3.0])),
        ActionKind.DELISTING: st.builds(_delisting, one, days, st.sampled_from([None, 0.0, 1.5])),
    }
    return st.one_of(*(by_kind[kind] for kind in kinds))


def _spin_off(pair: tuple[str, str], day: int, ratio: float, basis: float | None) -> CorporateAction:
    return CorporateAction.spin_off(pair[0], day, pair[1], ratio, basis=basis)


def _merger(pair: tuple[str, str], day: int, ratio: float, cash: float | None) -> CorporateAction:
    shares = ratio if ratio or cash else 1.0
    return CorporateAction.merger(pair[0], day, cash=cash, shares=shares, acquirer=pair[1] if shares else "")


def _delisting(symbol: str, day: int, cash: float | None) -> CorporateAction:
    return CorporateAction.delisting(symbol, day, cash=cash)


def without_contradictions(actions: Sequence[CorporateAction]) -> list[CorporateAction]:
    """Leave out what concerns a symbol that has ended before."""
    kept: list[CorporateAction] = []
    ended: set[str] = set()
    for action in sorted(actions, key=lambda a: a.sort_key):
        if action.symbol not in ended and action.other not in ended:
            kept.append(action)
            if action.ends_symbol:
                ended.add(action.symbol)
    return kept


@st.composite
def histories(draw):
    """Return minutes in sessions of ten, or days, of four symbols with holes and corporate actions of every kind."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    gaps = draw(st.sampled_from([0.0, 0.3, 0.7]))
    bars = {symbol: random_bars(random, ROWS, gaps=gaps) for symbol in SYMBOLS[:3]}
    daily = draw(st.booleans())
    step = 1 if daily else 10
    span = ROWS // step
    begins = draw(st.integers(1, span - 1))
    bars["D"] = [None] * (begins * step) + random_bars(random, ROWS - begins * step, gaps=gaps)
    days_ = st.integers(0, span - 1)
    kinds = [kind for kind in ActionKind if kind is not ActionKind.RENAME]
    found = draw(st.lists(actions_of_any_kind(SYMBOLS[:3], days_, kinds=kinds), max_size=8))
    if draw(st.booleans()):
        found.append(CorporateAction.rename("C", begins, "D"))
        bars["C"][begins * step :] = [None] * (ROWS - begins * step)
    else:
        found.append(CorporateAction.spin_off("A", draw(days_), "D", 0.5))
    actions = [replace(action, ex_session=action.ex_session + FIRST_DAY) for action in without_contradictions(found)]
    rows = draw(st.sampled_from([None, 1, 7, 25]))
    if daily:
        return days(bars, actions=actions, rows=rows)
    return minutes(bars, per_session=10, actions=actions, rows=rows)
