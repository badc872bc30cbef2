"""Measure the features on this machine: `python benchmarks/features.py [--symbols N] [--bars N]`.

Batch and streaming are compared bit for bit first; if they differ, the script says so and exits 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from fairlead.features import Stream, compute_symbols
from machine import describe_machine

BATCH = {"sma": "sma", "rsi": "rsi", "atr": "atr", "macd": "macd"}
TWENTY = (
    *("sma", "ema", "wma", "macd", "rsi", "atr", "bollinger", "volatility", "volume_ratio", "simple_return"),
    *("log_return", "donchian", "keltner", "stochastic", "cci", "adx", "obv", "parkinson", "garman_klass", "zscore"),
)
WARM = "import fairlead.features as f, numpy as n; f.compute_symbols({'s': 'sma'}, {'close': n.ones((1, 50))})"


def main() -> int:
    """Measure, print, and write the results if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each measurement (default 5)")
    parser.add_argument("--write", metavar="NAME", help="also write benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    if arguments.write and not arguments.write.isidentifier():
        parser.error(f"--write must be a plain name, was {arguments.write!r}")
    if problem := parity():
        print(problem, file=sys.stderr)
        return 1
    results: dict[str, object] = {"machine": describe_machine(), "runs": arguments.runs}
    results["batch"] = batch(arguments.symbols, arguments.bars, arguments.runs)
    results["streaming"] = streaming()
    results["warm_start"] = warm_start(arguments.runs)
    text = json.dumps(results, indent=2, sort_keys=True)
    print(text)
    if arguments.write:
        target = Path(__file__).parent / "results" / f"{arguments.write}.json"
        target.write_text(text + "\n", encoding="utf-8")
    return 0


def walks(
    symbols: int, bars: int, names: tuple[str, ...] = ("open", "high", "low", "close", "volume")
) -> dict[str, np.ndarray]:
    """Return random bars, columns of shape (symbols, bars)."""
    rng = np.random.default_rng(5001)
    close = 100 + np.cumsum(rng.standard_normal((symbols, bars), np.float32) * 0.01, axis=1, dtype=np.float64)
    made = {"close": lambda: close, "open": lambda: close - 0.01, "high": lambda: close + 0.05, "low": lambda: close - 0.05}
    made["volume"] = lambda: rng.integers(0, 1000, close.shape).astype(float)
    return {name: made[name]() for name in names}


def parity() -> str:
    """Return what is wrong if streaming differs from batch anywhere."""
    data = walks(20, 300)
    history = compute_symbols({name: name for name in TWENTY}, data)
    stream = Stream({name: name for name in TWENTY}, 20)
    for t in range(300):
        stream.update({name: values[:, t] for name, values in data.items()})
        for name in TWENTY:
            if not np.array_equal(stream.values(name), history[name][:, :, t].T, equal_nan=True):
                return f"{name}: streaming differs from batch at bar {t}"
    return ""


def batch(symbols: int, bars: int, runs: int) -> dict[str, object]:
    """Time SMA, RSI, ATR and MACD on two threads."""
    data = walks(symbols, bars, ("high", "low", "close"))
    compute_symbols(BATCH, {name: column[:1, :50] for name, column in data.items()})  # loads the kernels
    taken = []
    values = held = 0
    for _ in range(runs + 1):
        begin = time.perf_counter()
        result = compute_symbols(BATCH, data, threads=2)
        taken.append(time.perf_counter() - begin)
        values = sum(array.size for array in result.values())
        held = sum(array.nbytes for array in (*data.values(), *result.values()))
        del result
    # The first run pays for memory that a virtual machine has to ask of its host; it is told, and not counted.
    seconds = statistics.median(taken[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "what": f"SMA + RSI + ATR + MACD, {symbols} symbols x {bars} bars, 2 threads",
        "values_per_s": values / seconds,
        "median_s": seconds,
        "min_s": min(taken[1:]),
        "max_s": max(taken[1:]),
        "first_s": taken[0],
        "target_values_per_s": 60e6,
        "peak_memory_over_input_and_output": peak / held,
        "target_memory": 1.5,
    }


def streaming() -> dict[str, object]:
    """Time slices of 500 symbols through 20 features."""
    data = walks(500, 300)
    stream = Stream({name: name for name in TWENTY}, 500)
    slices = [{name: np.ascontiguousarray(values[:, t]) for name, values in data.items()} for t in range(300)]
    times = []
    for columns in slices:
        begin = time.perf_counter()
        stream.update(columns)
        times.append(time.perf_counter() - begin)
    warm = times[50:]
    return {
        "what": "20 features x 500 symbols, one slice",
        "median_ms": statistics.median(warm) * 1e3,
        "p95_ms": sorted(warm)[int(0.95 * len(warm))] * 1e3,
        "target_ms": 1.0,
    }


def warm_start(runs: int) -> dict[str, object]:
    """Time a new process up to its first value; the kernels are in the disk cache by now."""
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", WARM], check=True)
        taken.append(time.perf_counter() - begin)
    return {"what": "process start to the first value", "median_s": statistics.median(taken), "target_s": 1.0}


if __name__ == "__main__":
    sys.exit(main())
