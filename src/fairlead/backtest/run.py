"""From a plan to a `Result`: the same few steps whether the plan came from Python or from a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from fairlead.backtest.info import RunInfo
from fairlead.backtest.provenance import code_hash, code_version, python_version
from fairlead.backtest.result import Result
from fairlead.contracts.files import canonical_json, sha256_bytes
from fairlead.core.identity import slug
from fairlead.core.time import day_to_date, format_utc, to_ns
from fairlead.engine.attendance import Attendant
from fairlead.engine.recorder import Watch
from fairlead.engine.session import Progress, SessionPlan, run_session
from fairlead.execution.fidelity import ticks_of

RunMode: TypeAlias = Literal["backtest", "replay", "paper", "live"]


def config_hash(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an effective configuration, whatever the order of its keys."""
    return sha256_bytes(canonical_json(config).encode())


def run_id(created_at: dt.datetime, title: str, hashed: str) -> str:
    """Return ``bt_{YYYYMMDDTHHMMSSZ}_{slug}_{cfg8}`` (domain rule 1.6)."""
    return f"bt_{created_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}_{slug(title)}_{hashed[:8]}"


def _costs_of(plan: SessionPlan) -> dict[str, Any]:
    if plan.venue is not None:
        return {}  # the broker's to say: each fill has its own
    execution = plan.execution
    return {name: getattr(execution, name).model_dump(mode="json") for name in ("slippage", "commission")}


def run_backtest(
    plan: SessionPlan,
    *,
    title: str,
    config: Mapping[str, Any],
    created_at: dt.datetime,
    hashed: str | None = None,
    command: str = "",
    mode: RunMode = "backtest",
    progress: Progress | None = None,
    watch: Watch | None = None,
    attendant: Attendant | None = None,
) -> Result:
    """Run `plan` and return its result.

    Parameters
    ----------
    plan : SessionPlan
        Its `run_id` may be empty: it is then made from `created_at`, `title` and the configuration's hash.
    title : str
        What a person calls the run.
    config : mapping
        Effective configuration as plain data; saved with the run.
    created_at : datetime
        Aware; the only thing about a run that differs when it is repeated.
    hashed : str, optional
        Hash of `config`, if it is known already.
    command : str
        What made the run.
    mode : {'backtest', 'replay', 'paper', 'live'}
        Whether it is a run of its own, another's run again, or a session on paper or at a broker.
    progress : callable, optional
        Told after every block how many instants have passed.
    watch : callable, optional
        Shown every instant once it is over; see `run_session`.
    attendant : Attendant, optional
        Of a session in real time.
    """
    hashed = hashed if hashed is not None else config_hash(config)
    if not plan.run_id:
        plan = replace(plan, run_id=run_id(created_at, title, hashed))
    record = run_session(plan, progress, watch, attendant)
    days = record.account.session
    source = plan.source
    ticks = ticks_of(plan.execution, source.symbols)
    info = RunInfo(
        run_id=plan.run_id,
        title=title,
        mode=mode,
        created_at=format_utc(to_ns(created_at)),
        code_version=code_version(),
        python_version=python_version(),
        seed=plan.seed,
        dataset=source.name,
        dataset_hash=source.content_hash,
        synthetic=source.is_synthetic,
        bar_size=source.bar_size.value,
        calendar=source.calendar,
        symbols=source.symbols,
        start=day_to_date(int(days[0])).isoformat(),
        end=day_to_date(int(days[-1])).isoformat(),
        config=dict(config),
        config_hash=hashed,
        code_hash=code_hash(type(a.strategy) for a in plan.allocations),
        costs=_costs_of(plan),
        command=command,
        fidelity=plan.execution.fidelity if plan.venue is None else "a broker",
        ticks=ticks.name if ticks is not None else "",
        ticks_hash=ticks.content_hash if ticks is not None else "",
    )
    return Result(record, info, instruments=dict(plan.instruments))
