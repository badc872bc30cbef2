"""The trades of a line against a walk over its minutes that knows nothing of the engine: R1, R2, R4 to R10 in plain words."""

import json

import polars as pl
import pytest

from support_cli import fairlead
from support_factory import CLOCKS_CHANGE, EARLY_CLOSE, config, write_config


def by_hand(orders, minutes, busy_until):
    """Return (side, entry, exit, reason) of one group of orders, None if it never trades."""
    legs = {leg["side"]: leg for leg in orders}
    for at, bar in enumerate(minutes):
        if not orders[0]["valid_from"] <= bar["timestamp"] < orders[0]["valid_to"]:
            continue
        reached = [
            s
            for s, leg in legs.items()
            if (bar["HIGH"] >= leg["stop_price"] if s == "BUY" else bar["LOW"] <= leg["stop_price"])
        ]
        for side in [s for s in reached if busy_until is not None and bar["timestamp"] <= busy_until]:
            del legs[side]
            reached.remove(side)
        if reached:
            # Two legs in one minute: the nearer to its opening.
            side = min(reached, key=lambda s: abs(legs[s]["stop_price"] - bar["OPEN"]))
            return walk(legs[side], 1 if side == "BUY" else -1, minutes, at)
    return None


def walk(leg, sign, minutes, at):
    entry_bar, trigger = minutes[at], leg["stop_price"]
    entry = entry_bar["OPEN"] if sign * (entry_bar["OPEN"] - trigger) >= 0 else trigger
    stop, target = leg["stop_loss_price"], leg["take_profit_price"]
    for bar in minutes[at:]:
        worst, best = (bar["LOW"], bar["HIGH"]) if sign > 0 else (bar["HIGH"], bar["LOW"])
        later = bar is not entry_bar
        if later and sign * (bar["OPEN"] - stop) <= 0:
            return leg["side"], entry, bar["OPEN"], "stop_loss", bar["timestamp"]
        if sign * (worst - stop) <= 0:
            return leg["side"], entry, stop, "stop_loss", bar["timestamp"]
        if later and sign * (bar["OPEN"] - target) >= 0:
            return leg["side"], entry, bar["OPEN"], "take_profit", bar["timestamp"]
        if sign * (best - target) >= 0:
            return leg["side"], entry, target, "take_profit", bar["timestamp"]
    return leg["side"], entry, minutes[-1]["CLOSE"], "session_end", minutes[-1]["timestamp"]


@pytest.mark.parametrize("span", [CLOCKS_CHANGE, EARLY_CLOSE])
@pytest.mark.parametrize("model", ["insidebar", "opening_range"])
def test_every_trade_is_what_the_minutes_say(tmp_path, span, model):
    signals = {"model": model, "params": {"score_sessions": 2}}
    path = write_config(tmp_path, config(span, run_id="small", signals=signals, candidates={"max_candidates": 3}))
    done = fairlead("factory", "run", path.name, "-w", "w", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    run, handed = tmp_path / "w/runs/small", tmp_path / "w/factory/small"
    orders = pl.read_csv(run / "orders.csv", try_parse_dates=True)
    trades = {row["oco_id"]: row for row in pl.read_csv(run / "trades.csv").iter_rows(named=True)}
    minutes = {p.stem: pl.read_parquet(p) for p in (handed / "m1").iterdir()}
    busy, checked = {}, 0
    for (group,), legs in orders.sort("valid_from", "symbol").group_by(["oco_id"], maintain_order=True):
        symbol, day = legs["symbol"][0], legs["valid_from"][0].date()
        session = minutes[symbol].filter(pl.col("timestamp").dt.date() == day)
        expected = by_hand(legs.to_dicts(), session.to_dicts(), busy.get((symbol, day)))
        found = trades.pop(group, None)
        if expected is None:
            assert found is None
            continue
        busy[symbol, day] = expected[4]
        assert (found["side"], found["exit_reason"]) == (expected[0], expected[3])
        assert (found["entry_price"], found["exit_price"]) == pytest.approx(expected[1:3], abs=1e-9)
        checked += 1
    assert trades == {}
    assert checked == json.loads((run / "metrics.json").read_text())["num_trades"] > 0
