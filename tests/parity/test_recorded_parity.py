"""Fairlead comes to what other engines came to. `make parity` recorded their answers; nothing here needs them installed."""

from __future__ import annotations

import ast
import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from parity.agreements import AGREEMENTS
from parity.answers import Answer, Trade, answer_of, differences
from parity.differences import EXPLAINED
from parity.engines import ENGINES
from parity.page import PAGE, docstring, page
from parity.recorded import asked, entry_of, own_answer, peer_answer, record_of
from parity.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
KEYS = [engine.key for engine in ENGINES]
ANSWERED = [(s.name, key) for s in SCENARIOS for key in KEYS if "fills" in entry_of(s.name, key)]


@pytest.mark.parametrize(("scenario", "engine"), ANSWERED)
def test_fairlead_agrees_or_differs_as_documented(scenario, engine):
    """Fills equal to 1e-8 and money to the cent; or else the difference is one that is explained, and it is still there."""
    other = peer_answer(scenario, engine)
    assert other is not None
    found = differences(own_answer(scenario), other)
    if (scenario, engine) in EXPLAINED:
        assert found, "the documented difference is gone: take it off the list"
    else:
        assert found == []


def test_at_least_fifteen_scenarios_agree_with_three_engines_each():
    """Every scenario that is meant to agree does so with three engines or more, and there are more than fifteen of them."""
    equal = {s.name: [k for k in KEYS if (s.name, k) in ANSWERED and (s.name, k) not in EXPLAINED] for s in AGREEMENTS}
    assert [name for name, engines in equal.items() if len(engines) < 3] == []
    assert len(equal) >= 15
    assert {engine for engines in equal.values() for engine in engines} == set(KEYS)


@pytest.mark.parametrize("engine", KEYS)
def test_recorded_answers_belong_to_the_scenarios_as_they_are(engine):
    """A scenario that was changed after the recording has no answer yet: run `make parity`."""
    assert [s.name for s in SCENARIOS if not asked(s, engine)] == []
    assert sorted(record_of(engine)["scenarios"]) == sorted(s.name for s in SCENARIOS)


@pytest.mark.parametrize("engine", KEYS)
def test_every_scenario_is_answered_or_a_reason_is_given(engine):
    """No engine passes over a scenario in silence."""
    for scenario in SCENARIOS:
        entry = entry_of(scenario.name, engine)
        assert ("fills" in entry) != bool(entry.get("inexpressible")), scenario.name


def test_every_trade_happens_after_its_decision():
    """No engine's answer, nor Fairlead's, trades before the first bar that an order may meet, but where that is the subject."""
    for scenario in SCENARIOS:
        first = min((step.bar for step in scenario.steps), default=0)
        if not scenario.settings:
            answers = [own_answer(scenario.name), *(peer_answer(scenario.name, k) for k in KEYS)]
            assert all(trade.bar > first for answer in answers if answer for trade in answer.trades), scenario.name


def test_explained_differences_exist():
    """Every entry names a scenario that its engine answered, and none is listed twice."""
    assert set(EXPLAINED) <= set(ANSWERED)
    cases = [case for difference in set(EXPLAINED.values()) for case in difference.cases]
    assert len(cases) == len(set(cases))


def test_scenario_names_are_unique():
    assert len({s.name for s in SCENARIOS}) == len(SCENARIOS)


def test_the_page_is_current():
    """The page says what the records and Fairlead say now: `make parity` writes it."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.key)
def test_engines_stay_apart(engine):
    """An engine is pinned in its own environment, is no dependency of ours, and its script imports nothing of ours."""
    name = re.escape(engine.distribution)
    requirements = (Path(__file__).parent / f"requirements-{engine.key}.txt").read_text()
    assert re.search(rf"^{name}=={re.escape(record_of(engine.key)['version'])}$", requirements, re.MULTILINE)
    assert all(re.fullmatch(r"[\w.\-]+==[\w.]+", line) for line in requirements.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert [d for d in ours if re.match(rf"{name}\b", d)] == []
    tree = ast.parse((PEERS / f"peer_{engine.key}.py").read_text())
    modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert not {module.partition(".")[0] for module in modules} & {"fairlead", "parity"}
    assert "Settings: " in docstring(engine)


# --- the comparison itself --------------------------------------------------------------------------------------------------

BOUGHT = Answer((Trade(1, "A", 100.0, 50.0),), cash=5_000.0, equity=10_000.0)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(BOUGHT, trades=(Trade(1, "A", 100.0, 50.0 + 3e-8),)),
        dataclasses.replace(BOUGHT, trades=(Trade(1, "A", 100.0 + 3e-8, 50.0),)),
        dataclasses.replace(BOUGHT, trades=(Trade(2, "A", 100.0, 50.0),)),
        dataclasses.replace(BOUGHT, trades=(Trade(1, "B", 100.0, 50.0),)),
        dataclasses.replace(BOUGHT, trades=()),
        dataclasses.replace(BOUGHT, trades=(*BOUGHT.trades, Trade(2, "A", 1.0, 50.0))),
        dataclasses.replace(BOUGHT, cash=5_000.01),
        dataclasses.replace(BOUGHT, equity=9_999.99),
        dataclasses.replace(BOUGHT, equity=float("nan")),
    ],
)
def test_the_comparison_sees(other):
    """A price or quantity off by more than 1e-8, another bar or symbol, a missing or extra fill, a cent."""
    assert len(differences(BOUGHT, other)) == 1
    assert len(differences(other, BOUGHT)) == 1


def test_the_comparison_forgives_rounding_and_how_an_execution_is_cut():
    """Within 1e-8 and a tenth of a cent is equal; parts at one price in one bar are one trade, buys and sells are not."""
    parts = [(1, "A", 60.0, 50.0 + 1e-9), (1, "A", 40.0, 50.0)]
    assert differences(BOUGHT, answer_of(parts, cash=5_000.001, equity=9_999.999)) == []
    assert len(answer_of([(1, "A", 60.0, 50.0), (1, "A", -60.0, 50.0)], cash=0.0, equity=0.0).trades) == 2
