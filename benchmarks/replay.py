"""Measure the replay of order files on this machine: `python benchmarks/replay.py [--symbols N] [--days N]`.

One-minute bars of many symbols over a year, in Parquet files, with two pairs of brackets a symbol and session. What is timed is
everything from the files to the metrics. The replay is compared with a slow one first, which reads the rules anew; if they
differ, the script says so and exits 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from fairlead.backtest.replay import ReplayAbout, ReplayRunDirectory, ReplaySettings, simulate_orders
from fairlead.backtest.replay.bars import load_bars
from fairlead.backtest.replay.simulation import replay_orders
from fairlead.contracts.orders import CanonicalOrder, OrderFile, OrderSource, OrderWriter, read_orders
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import BarSize, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.resampling import resample_m1_to_m5
from fairlead.data.synthetic import SyntheticSettings, generate_bars
from machine import describe_machine

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support_slow_replay import SlowReplay, listed

START = dt.date(2024, 1, 2)
SETUPS = (6, 60)
"""Bars of five minutes after the opening at which pairs of orders become valid."""
VALID_BARS = 12
TARGET = 5e6


def main() -> int:
    """Measure, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--days", type=int, default=366, help="calendar days from 2 January 2024 on (default 366)")
    parser.add_argument("--runs", type=int, default=5, help="timed runs (default 5)")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    if arguments.write and not arguments.write.isidentifier():
        parser.error(f"--write must be a plain name, was {arguments.write!r}")
    with tempfile.TemporaryDirectory() as folder:
        desk = Path(folder)
        make_desk(desk / "small", 5, 7)
        if problem := gate(desk / "small"):
            print(problem, file=sys.stderr)
            return 1
        make_desk(desk / "large", arguments.symbols, arguments.days)
        results = {"machine": describe_machine(), "runs": arguments.runs, "replay": measure(desk / "large", arguments.runs)}
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text)
    if arguments.write:
        target = Path(__file__).parent / "results" / f"{arguments.write}.json"
        target.write_text(text + "\n", encoding="utf-8")
    return 0


def make_desk(desk: Path, symbols: int, days: int) -> None:
    """Write minutes, five-minute bars and orders."""
    calendar = ExchangeCalendar.get("XNYS")
    names = tuple(f"S{i:03}" for i in range(symbols))
    end = START + dt.timedelta(days=days - 1)
    table = generate_bars(SyntheticSettings(symbols=names, start=START, end=end, bar_size=BarSize.M1, seed=5001), calendar)
    bars = pl.DataFrame(pl.from_arrow(table.select(["symbol", "label", "open", "high", "low", "close", "volume"])))
    bars = bars.rename({"label": "ts"})
    orders: list[CanonicalOrder] = []
    for folder in ("m1", "m5"):
        (desk / folder).mkdir(parents=True)
    for symbol in names:
        minutes = bars.filter(pl.col("symbol") == symbol).drop("symbol")
        minutes.write_parquet(desk / "m1" / f"{symbol}.parquet")
        upper = minutes.rename({name: name.upper() for name in ("open", "high", "low", "close", "volume")})
        five = resample_m1_to_m5(upper, calendar).drop("N_M1", "PARTIAL")
        five.write_parquet(desk / "m5" / f"{symbol}.parquet")
        orders += pairs_of(symbol, five, calendar)
    OrderWriter(desk / "orders.csv").extend(orders)


def pairs_of(symbol: str, five: pl.DataFrame, calendar: ExchangeCalendar) -> list[CanonicalOrder]:
    """Return the orders of a symbol: at two times of each session, a stop on either side of the last close."""
    label = five["ts"].to_physical().to_numpy()
    close = np.round(five["CLOSE"].to_numpy() * 100).astype(np.int64)
    session = calendar.closing_instants(label, BarSize.M5)[1]
    opens = np.searchsorted(session, np.unique(session))
    found = []
    for first in opens.tolist():
        for setup in SETUPS:
            place = first + setup
            if place + VALID_BARS >= len(session) or session[place + VALID_BARS] != session[first]:
                continue
            found += pair(symbol, int(label[place]), int(close[place - 1]))
    return found


def pair(symbol: str, known_ns: int, cents: int) -> list[CanonicalOrder]:
    """Return two bracketed stops around a price, of which one cancels the other."""
    valid_from = to_datetime(known_ns)
    step = max(2, cents // 500)
    legs = []
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        levels = [Decimal(cents + sign * step * k) / 100 for k in (1, -1, 5)]
        legs.append(
            CanonicalOrder.new(
                run_id="bt_bench",
                strategy="pairs",
                strategy_version="1.0.0",
                symbol=symbol,
                side=side,
                qty=Decimal(10),
                order_type=OrderType.STOP,
                oco_id=f"{symbol}_{valid_from:%Y%m%d_%H%M%S}",
                stop_price=levels[0],
                stop_loss_price=levels[1],
                take_profit_price=levels[2],
                valid_from=valid_from,
                valid_to=valid_from + dt.timedelta(minutes=5 * VALID_BARS),
                source=OrderSource.BACKTEST,
                created_at=valid_from,
            )
        )
    return legs


def gate(desk: Path) -> str:
    """Return what is wrong if the slow replay gives other trades."""
    rules = ReplaySettings()
    bars = load_bars(desk / "m5", desk / "m1", rules)
    orders = read_orders(desk / "orders.csv").orders
    result = replay_orders(OrderFile(desk / "orders.csv", orders), bars, rules)
    slow = SlowReplay(orders, listed(bars), rules).run()
    mine = {t.order.order_id: (t.entry_price, t.exit_price, t.exit_reason) for t in result.fills.trades}
    theirs = {key: (fate[2], fate[4], fate[5]) for key, fate in slow.items() if fate[0] == "filled"}
    if not mine or mine != theirs:
        return f"the replay gives {len(mine)} trades, the slow one {len(theirs)}, and they are not the same"
    net = sum(trade.net_pnl for trade in result.fills.trades)
    final = float(result.curve.equity[-1])
    return "" if abs(final - rules.initial_cash - net) < 1e-6 else f"equity ends at {final}, the trades made {net}"


def measure(desk: Path, runs: int) -> dict[str, object]:
    """Time the replay from files to metrics, its parts, and the writing of the run directory."""
    rules = ReplaySettings(initial_cash=1e6)
    whole, parts = [], {"read_orders": [], "read_bars": [], "replay": []}
    result = None
    for run in range(runs + 1):
        begin = time.perf_counter()
        result = simulate_orders(desk / "orders.csv", desk / "m5", rules, data_path_m1=desk / "m1")
        if run:  # the first run loads the machine code
            whole.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        file = read_orders(desk / "orders.csv")
        parts["read_orders"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        bars = load_bars(desk / "m5", desk / "m1", rules)
        parts["read_bars"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        replay_orders(file, bars, rules)
        parts["replay"].append(time.perf_counter() - begin)
    assert result is not None
    about = ReplayAbout(run_id="bench", created_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    begin = time.perf_counter()
    with ReplayRunDirectory(desk / "run", about, rules) as directory:
        directory.replay(desk / "orders.csv", desk / "m5", data_path_m1=desk / "m1")
    directory_s = time.perf_counter() - begin
    count, best = len(result.bars.ints), min(whole)
    return {
        "what": "orders.csv and Parquet files of one-minute and five-minute bars -> trades, equity, metrics",
        "symbols": len(result.bars.symbols),
        "execution_bars": count,
        "signal_bars": len(result.bars.signal.symbol),
        "orders": len(result.file.orders),
        "trades": len(result.fills.trades),
        "equity_points": len(result.curve.ts_ns),
        "min_s": best,
        "median_s": statistics.median(whole),
        "bars_per_minute": 60 * count / best,
        "target_bars_per_minute": TARGET,
        "parts_min_s": {name: min(taken) for name, taken in parts.items()},
        "with_run_directory_s": directory_s,
    }


if __name__ == "__main__":
    sys.exit(main())
