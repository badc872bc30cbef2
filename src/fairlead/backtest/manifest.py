"""What a run says about itself: manifest, diagnostics and steps, as plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fairlead.backtest import recordfile
from fairlead.backtest.info import plain
from fairlead.backtest.result import LEDGER_TOLERANCE, Result
from fairlead.contracts.files import canonical_json, sha256_bytes, sha256_file
from fairlead.core.identity import short_hash

SCHEMA_VERSION: Final = "1.0"
MANIFEST: Final = "manifest.json"


def manifest(result: Result, folder: Path, rows: dict[str, int]) -> dict[str, Any]:
    """Return the manifest of a finished run whose files lie in `folder`."""
    info, record = result.info, result.record
    strategies = record.strategies
    params = {s.name: dict(s.params) for s in strategies}
    errors = [f"{s.name}: {s.error}" for s in strategies if s.status == "stopped"]
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": info.run_id,
        "created_at": info.created_at,
        "engine": {"backtest": "event", "replay": "replay"}.get(info.mode, "live"),
        "mode": info.mode,
        "strategy": [s.name for s in strategies],
        "strategy_version": [s.version for s in strategies],
        "params": params,
        "params_hash": sha256_bytes(canonical_json(plain(params)).encode()),
        "code_version": info.code_version,
        "python_version": info.python_version,
        "seed": info.seed,
        "universe": list(info.symbols),
        "data": {
            "symbols": list(info.symbols),
            "timeframe_signal": info.bar_size,
            "timeframe_exec": info.bar_size if info.fidelity == "bars" else info.fidelity,
            "fidelity": info.fidelity,
            "range_requested": [info.start, info.end],
            "range_effective": _effective_range(result),
            "calendar": info.calendar,
            "paths": [info.dataset, *([info.ticks] if info.ticks else [])],
            "sha256": info.dataset_hash,
            "ticks_sha256": info.ticks_hash or None,
            "synthetic": info.synthetic,
        },
        "costs": plain(info.costs),
        "sizing": None,
        "gates": {"coverage": None, "sla": None},
        "result": {
            "status": "ERROR" if errors else "SUCCESS",
            "reason": "; ".join(errors),
            "error_id": short_hash(*(error.replace("|", "/") for error in errors)) if errors else None,
            "digest": record.digest,
            "warnings": result.warnings,
        },
        "artefacts": [{"name": n, "sha256": sha256_file(folder / n), "rows": rows.get(n)} for n in names],
        "info": plain(info.to_dict()),
        "record": plain(recordfile.record_facts(record)),
        "instruments": [plain(asdict(item)) for _, item in sorted(result.instruments.items())],
        "risk_free": result.risk_free,
    }


def diagnostics(result: Result) -> dict[str, Any]:
    """Return counts and checks by which a run can be judged sound."""
    record = result.record
    rejected = Counter(order.reason or "unknown" for order in record.orders if order.status == "REJECTED")
    return {
        "schema_version": SCHEMA_VERSION,
        "counts": {
            "bars": record.bars,
            "instants": len(record.account.ts_ns),
            "sessions": len(result.sessions.days),
            "orders": dict(Counter(order.status.value for order in record.orders)),
            "rejections": dict(rejected),
            "fills": len(record.fills),
            "actions_applied": len(record.applied_actions),
            "actions_in_data": len(record.market_actions),
            **({"cash_flows": len(record.cash_flows)} if record.cash_flows else {}),
        },
        "checks": {
            "ledger": {
                "relative_error": result.ledger_error,
                "tolerance": LEDGER_TOLERANCE,
                "passed": result.ledger_error <= LEDGER_TOLERANCE,
            }
        },
        "strategies": [{"name": s.name, "status": s.status, "error": s.error} for s in record.strategies],
        "warnings": result.warnings,
        "stage_seconds": dict(record.stage_seconds),
    }


def run_steps(result: Result) -> list[dict[str, Any]]:
    """Return the steps of the run in order; durations are the only values that differ between equal runs."""
    record = result.record
    steps: list[dict[str, Any]] = [
        {"step": "load", "status": "ok", "detail": {"dataset": result.info.dataset, "bars": record.bars}},
        *(
            {"step": f"strategy:{s.name}", "status": s.status, "detail": {"version": s.version, "error": s.error}}
            for s in record.strategies
        ),
        *({"step": f"stage:{name}", "status": "ok", "seconds": seconds} for name, seconds in record.stage_seconds.items()),
        {
            "step": "finish",
            "status": result.status,
            "detail": {"orders": len(record.orders), "fills": len(record.fills), "digest": record.digest},
        },
    ]
    return [{"seq": seq, **step} for seq, step in enumerate(steps)]


def _effective_range(result: Result) -> list[str]:
    days = result.sessions.days
    return [str(day) for day in days[[0, -1]].astype("datetime64[D]")] if len(days) else []
