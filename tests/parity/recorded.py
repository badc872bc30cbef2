"""What the other engines answered: recorded by `make parity`, kept with the tests, compared without a network."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from parity.answers import Answer, answer_of
from parity.differences import EXPLAINED
from parity.fairlead_side import run
from parity.scenario import Scenario
from parity.scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "results"
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@cache
def record_of(engine: str) -> dict[str, Any]:
    """Return all that was recorded of an engine; nothing if it never ran."""
    path = RESULTS / f"{engine}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"scenarios": {}}
    return found


def entry_of(scenario: str, engine: str) -> dict[str, Any]:
    """Return what is recorded of one scenario."""
    found: dict[str, Any] = record_of(engine)["scenarios"].get(scenario, {})
    return found


def peer_answer(scenario: str, engine: str) -> Answer | None:
    """Return the recorded answer; None if the engine cannot express the scenario."""
    entry = entry_of(scenario, engine)
    if "fills" not in entry:
        return None
    return answer_of([(b, s, q, p) for b, s, q, p in entry["fills"]], cash=entry["cash"], equity=entry["equity"])


@cache
def own_answer(scenario: str) -> Answer:
    """Return Fairlead's answer, worked out now."""
    return run(BY_NAME[scenario])


def asked(scenario: Scenario, engine: str) -> bool:
    """Whether the recorded entry answers this very scenario, and not an earlier form of it."""
    return entry_of(scenario.name, engine).get("asked") == scenario.sha256_for(engine)


def is_explained(scenario: str, engine: str) -> bool:
    """Whether a difference is expected."""
    return (scenario, engine) in EXPLAINED
