"""The narrow replay: a canonical order file over bars, by the rules R1-R12 and nothing else (domain rules 6.8-6.12).

No strategy runs and nothing is sized: the orders are what they are, and the same files give the same bytes.

`simulate_insidebar_from_orders(orders_csv, data_path, tz, costs, initial_cash, *, data_path_m1, calendar, requested_end, ...)`
    Replays and returns a `ReplayResult`; writes nothing.
`run_replay(orders_csv, data_path, run_dir, about, settings, *, data_path_m1, instruments)`
    Replays and leaves the run directory of domain rule 6.12, its manifest finalised for every outcome.
`ReplayRunDirectory(run_dir, about, settings)`
    The same for a line of several steps, of which the replay is the last::

        with ReplayRunDirectory(workspace / "runs" / about.run_id, about, settings) as run:
            with run.step("resample") as detail:
                detail["bars"] = ...
            run.gate("sla", {"passed": True})
            result = run.replay(orders_csv, data_path, data_path_m1=minutes)

    The manifest is there from the first line on. If the block raises, it says FAILED_PRECONDITION or ERROR with reason and
    error id, and the exception goes on; if it ends without a replay, that is an ERROR too.
"""

from fairlead.backtest.replay.directory import ReplayRunDirectory, run_replay, status_of_failure
from fairlead.backtest.replay.result import ReplayResult
from fairlead.backtest.replay.settings import ReplayAbout, ReplayCosts, ReplaySettings
from fairlead.backtest.replay.simulation import simulate_insidebar_from_orders, simulate_orders

__all__ = [
    "ReplayAbout",
    "ReplayCosts",
    "ReplayResult",
    "ReplayRunDirectory",
    "ReplaySettings",
    "run_replay",
    "simulate_insidebar_from_orders",
    "simulate_orders",
    "status_of_failure",
]
