"""The scan against a reference that is written down naively, under truncation, and on bars that were built of minutes."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts.sessions import hours_of
from fairlead.core.time import NS_PER_MINUTE, BarSize, to_datetime
from fairlead.data.resampling import resample_bars
from fairlead.strategies.inside_bar import BarArrays, scan
from fairlead.strategies.inside_bar.building import BarBuilder
from fairlead.strategies.inside_bar.rules import DEFINITION_MODES
from support_inside_bar import CALENDAR, arrays, walk

NEW_YORK = ZoneInfo("America/New_York")
# Over the change of the clocks, and an early close.
SPANS = (("2024-03-06", "2024-03-13"), ("2024-10-31", "2024-11-06"), ("2024-11-27", "2024-12-03"))
MARKETS = [walk(*span, seed=seed, swing=0.03) for seed, span in enumerate(SPANS)]
PARAMETERS = st.fixed_dictionaries(
    {
        "inside_bar_definition_mode": st.sampled_from(DEFINITION_MODES),
        "inside_bar_mode": st.sampled_from(("inclusive", "strict")),
        "atr_period": st.integers(1, 20),
        "min_mother_bar_size": st.sampled_from((0.0, 0.5, 0.93, 1.5)),
        "min_mother_body_fraction": st.sampled_from((0.0, 0.313, 0.55)),
        "min_inside_body_fraction": st.sampled_from((0.0, 0.2, 0.40)),
        "entry_level_mode": st.sampled_from(("mother_bar", "inside_bar")),
        "risk_reward_ratio": st.sampled_from((0.5, 1.0, 2.0)),
        "stop_distance_cap_ticks": st.sampled_from((3, 10, 40)),
        "order_validity_policy": st.sampled_from(("session_end", "fixed_minutes", "one_bar")),
        "order_validity_minutes": st.sampled_from((5, 20, 60)),
        "valid_from_policy": st.sampled_from(("signal_ts", "next_bar")),
        "max_trades_per_session": st.integers(1, 3),
        "required_warmup_bars": st.sampled_from((0, 40)),
        "session_windows": st.sampled_from((("09:30-11:00", "14:00-15:00"), ("09:30-16:00",), ("09:35-10:00", "10:00-12:55"))),
    }
)


def naive(data, p):  # noqa: C901, PLR0915  one text, to be read beside the rules
    """Setups by the text of the rules, from rows and wall clocks, with everything computed anew for every bar."""
    rows = [(stamp.tz_convert(NEW_YORK), *map(float, row[:4])) for stamp, row in zip(data.index, data.to_numpy(), strict=True)]
    closes = {}
    for stamp, *_ in rows:
        closes[stamp.date()] = stamp + dt.timedelta(minutes=5)
    windows = [[dt.time.fromisoformat(edge) for edge in window.split("-")] for window in p["session_windows"]]

    def window_of(stamp):
        for k, (first, last) in enumerate(windows):
            if first <= stamp.time() < last and (stamp.date() in closes and stamp < closes[stamp.date()]):
                return k
        return None

    def end_of(stamp, k):
        return min(dt.datetime.combine(stamp.date(), windows[k][1], NEW_YORK), closes[stamp.date()].to_pydatetime())

    def body(row):
        return min(row[1], row[4]), max(row[1], row[4])

    def is_inside(m, i):
        hard = p["inside_bar_mode"] == "strict"
        le = (lambda a, b: a < b) if hard else (lambda a, b: a <= b)
        return {
            DEFINITION_MODES[0]: le(i[2], m[2]) and le(m[3], i[3]),
            DEFINITION_MODES[1]: le(i[2], body(m)[1]) and le(body(m)[0], i[3]),
            DEFINITION_MODES[2]: le(body(i)[1], body(m)[1]) and le(body(m)[0], body(i)[0]),
            DEFINITION_MODES[3]: le(i[2], m[2]) and le(m[3], i[4]) and le(i[4], m[2]),
        }[p["inside_bar_definition_mode"]]

    def fraction(row):
        return round(abs(row[4] - row[1]) / (row[2] - row[3]), 9) if row[2] > row[3] else 0.0

    used, over, found = {}, set(), []
    for n in range(1, len(rows)):
        m, i = rows[n - 1], rows[n]
        k = window_of(i[0])
        key = (i[0].date(), k)
        if k is None or key in over or not is_inside(m, i):
            continue
        if window_of(m[0]) != k or m[0].date() != i[0].date() or i[0] - m[0] != dt.timedelta(minutes=5):
            continue
        if n + 1 < p["required_warmup_bars"]:
            continue
        if p["min_mother_bar_size"]:
            first = n - p["atr_period"]
            if first < 1:
                continue
            ranges = [
                max(rows[j][2] - rows[j][3], *(abs(rows[j][c] - rows[j - 1][4]) for c in (2, 3))) for j in range(first, n)
            ]
            atr = sum(ranges) / len(ranges)
            if not atr > 0 or round((m[2] - m[3]) / atr, 9) < p["min_mother_bar_size"]:
                continue
        if fraction(m) < p["min_mother_body_fraction"] or fraction(i) < p["min_inside_body_fraction"]:
            continue
        if used.get(key, 0) >= p["max_trades_per_session"]:
            over.add(key)
            continue
        source = m if p["entry_level_mode"] == "mother_bar" else i
        cents = {
            name: round(price * 100) for name, price in (("up", source[2]), ("down", source[3]), ("low", m[3]), ("high", m[2]))
        }
        risks = cents["up"] - cents["low"], cents["high"] - cents["down"]
        if min(risks) <= 0:
            over.add(key)
            continue
        signal = i[0] + dt.timedelta(minutes=5)
        start = signal + dt.timedelta(minutes=5 if p["valid_from_policy"] == "next_bar" else 0)
        w = window_of(start)
        if w is None:
            over.add(key)
            continue
        end = {
            "session_end": end_of(start, w),
            "fixed_minutes": min(start + dt.timedelta(minutes=p["order_validity_minutes"]), end_of(start, w)),
            "one_bar": start + dt.timedelta(minutes=5),
        }[p["order_validity_policy"]]
        used[key] = used.get(key, 0) + 1
        levels = []
        for sign, entry, risk in ((1, cents["up"], risks[0]), (-1, cents["down"], risks[1])):
            kept = min(risk, p["stop_distance_cap_ticks"])
            reward = -(-kept // 2) if p["risk_reward_ratio"] == 0.5 else kept * int(p["risk_reward_ratio"])
            levels += [entry, entry - sign * kept, entry + sign * reward]
        found.append((signal.tz_convert("UTC"), start.tz_convert("UTC"), end.astimezone(dt.UTC), *levels))
    return found


def told(signals):
    levels = ("long_entry", "sl_long", "tp_long", "short_entry", "sl_short", "tp_short")
    return [
        (
            signal.timestamp,
            *(dt.datetime.fromisoformat(signal.metadata[name]) for name in ("valid_from", "valid_to")),
            *(int(getattr(signal, name) * 100) for name in levels),
        )
        for signal in signals
    ]


@settings(max_examples=60, deadline=None)
@given(market=st.sampled_from(MARKETS), p=PARAMETERS)
def test_the_machine_finds_what_the_rules_say(market, p):
    """Every setup, its validity and its levels."""
    assert told(scan("A", market, p, CALENDAR, run_id="t").signals) == naive(market, p)


def test_there_is_something_to_find():
    """Else the test above proves nothing."""
    counts = [len(scan("A", market, {"required_warmup_bars": 0}, CALENDAR, run_id="t").signals) for market in MARKETS]
    assert min(counts) >= 3


@settings(max_examples=40, deadline=None)
@given(
    market=st.sampled_from(MARKETS),
    p=PARAMETERS,
    cut=st.integers(0, 400),
    trigger=st.sampled_from(("stop_cross", "close_confirm")),
)
def test_cutting_the_future_changes_no_past_signal(market, p, cut, trigger):
    """Signals and rejects of the part are the first ones of the whole."""
    whole = scan("A", market, p | {"entry_trigger": trigger}, CALENDAR, run_id="t")
    part = scan("A", market.iloc[:cut], p | {"entry_trigger": trigger}, CALENDAR, run_id="t")
    assert part.signals == whole.signals[: len(part.signals)]
    assert part.rejects == whole.rejects[: len(part.rejects)]
    if cut:
        last = market.index[min(cut, len(market)) - 1] + dt.timedelta(minutes=5)
        assert all(signal.timestamp > last for signal in whole.signals[len(part.signals) :])


@settings(max_examples=25, deadline=None)
@given(
    span=st.sampled_from(SPANS),
    seed=st.integers(0, 1000),
    missing=st.floats(0, 0.9),
    target=st.sampled_from((BarSize.M5, BarSize.M15, BarSize.M30, BarSize.H1)),
)
def test_bars_built_one_by_one_are_those_of_the_resampling(span, seed, missing, target):
    """Whatever minutes are missing, over early closes and changes of the clocks, and truncated at the close."""
    minutes = walk(*span, seed=seed, size=BarSize.M1, swing=0.03)
    kept = minutes[np.random.default_rng(seed).random(len(minutes)) >= missing]
    builder, hours = BarBuilder(target.ns), hours_of(CALENDAR)
    built = []
    for start, *prices in zip(*(column.tolist() for column in arrays(kept)), strict=True):
        late = builder.finish(start) if seed % 2 else None  # asked at an instant without a bar of its own
        built += [late] if late is not None else []
        built += builder.add(tuple(prices), start, start + NS_PER_MINUTE, hours(start))
    rest = builder.finish(2**62)
    built += [rest] if rest is not None else []
    expected = arrays(resample_bars(kept, CALENDAR, target=target))
    assert BarArrays(*map(list, zip(*built, strict=True))) == BarArrays(*(column.tolist() for column in expected))
    assert to_datetime(built[0].start_ns) <= kept.index[0]
