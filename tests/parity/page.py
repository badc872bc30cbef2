"""The page of engine differences, made from what was recorded and from Fairlead's own answers."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import fill

from parity.answers import Answer, differences
from parity.differences import DIFFERENCES
from parity.engines import ENGINES, Engine
from parity.recorded import entry_of, own_answer, peer_answer, record_of
from parity.scenarios import SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engine-differences.md"
PEERS = Path(__file__).parent / "peers"

_TITLES = {engine.key: engine.title for engine in ENGINES}
_INTRODUCTION = """\
<!-- Made by `make parity` from tests/parity; a test holds it current. -->
# Fairlead and other engines

A backtester can be wrong in ways that its own tests do not see, because the same people wrote both. So Fairlead answers the
same questions as six other engines: each scenario is a few bars, some orders and a cost model, and every engine that can
express it must come to the same fills (bar, quantity and price, to 1e-8) and the same money (to the cent). Where an engine
decided otherwise on purpose, the difference is listed below with its reason, and a test holds that it is still there.

`make parity` installs each engine in an environment of its own under `.parity/`, asks it in a separate process, and records
the answers in `tests/parity/results/`. `make test` needs no other engine: it compares Fairlead with what is recorded. No
engine is a dependency of the package, and none is ever imported by it.
"""


def page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, _engines(), _table(), _differences(), _settings(), _gaps()]
    return "\n".join(parts)


def _engines() -> str:
    lines = ["| engine | version | licence | recorded |", "|---|---|---|---|"]
    for engine in ENGINES:
        record = record_of(engine.key)
        lines.append(f"| {engine.title} | {record.get('version', '')} | {engine.licence} | {record.get('recorded', '')} |")
    return "\n".join(lines) + "\n"


def _table() -> str:
    lines = [
        "## What agrees",
        "",
        "`=` equal, `≠` differs as explained below, `·` the engine cannot express it.",
        "",
        "| scenario | what it shows | " + " | ".join(engine.title for engine in ENGINES) + " |",
        "|---|---|" + ":-:|" * len(ENGINES),
    ]
    for scenario in SCENARIOS:
        marks = " | ".join(mark(scenario.name, engine.key) for engine in ENGINES)
        lines.append(f"| `{scenario.name}` | {scenario.shows} | {marks} |")
    return "\n".join(lines) + "\n"


def mark(scenario: str, engine: str) -> str:
    """Return the sign for one scenario and engine."""
    found = peer_answer(scenario, engine)
    if found is None:
        return "·"
    return "≠" if differences(own_answer(scenario), found) else "="


def _differences() -> str:
    lines = ["## Where engines differ, and why", ""]
    for difference in DIFFERENCES:
        lines += [
            f"### {difference.title}",
            "",
            fill(difference.why, 124),
            "",
            "| scenario | engine | what it does |",
            "|---|---|---|",
        ]
        for scenario in dict.fromkeys(case for case, _ in difference.cases):
            own = own_answer(scenario)
            lines.append(f"| `{scenario}` | Fairlead | {_told(own)} |")
            for case, engine in difference.cases:
                other = peer_answer(scenario, engine)
                if case == scenario and other is not None:
                    lines.append(f"| | {_TITLES[engine]} | {_told(other)} |")
        lines.append("")
    return "\n".join(lines)


def _told(answer: Answer) -> str:
    trades = "; ".join(str(trade) for trade in answer.trades) or "nothing"
    return f"{trades}. Equity {answer.equity:,.2f}"


def _settings() -> str:
    own = "Fairlead: the costs, participation, touch rule and account of the scenario, a leverage of 1, and else its defaults."
    lines = ["## How each engine is asked", "", own, ""]
    for engine in ENGINES:
        text = docstring(engine)
        lines += [text.replace("``", "`"), ""]
    return "\n".join(lines)


def docstring(engine: Engine) -> str:
    """Return what the script of a peer says of itself, without importing it."""
    return ast.get_docstring(ast.parse((PEERS / f"peer_{engine.key}.py").read_text())) or ""


def _gaps() -> str:
    lines = ["## What an engine cannot express", "", "| engine | reason | scenarios |", "|---|---|---|"]
    for engine in ENGINES:
        reasons: dict[str, list[str]] = {}
        for scenario in SCENARIOS:
            reason = entry_of(scenario.name, engine.key).get("inexpressible")
            if reason is not None:
                reasons.setdefault(reason, []).append(f"`{scenario.name}`")
        for reason, names in reasons.items():
            lines.append(f"| {engine.title} | {reason} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"
