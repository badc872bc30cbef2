"""`make parity`: install the other engines, ask them all, record their answers and compare.

Each engine has an environment of its own. It gets the scenarios as a file and writes its answers to another, in a process of
its own.
"""

# ruff: noqa: T201  a script that prints

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fairlead.engine.clock import WallClock
from parity import recorded
from parity.answers import differences
from parity.engines import ENGINES, HERE, HOME, Engine, NotInstalled, bare_environ, environment
from parity.page import PAGE, page
from parity.recorded import RESULTS, is_explained, own_answer, peer_answer
from parity.scenarios import SCENARIOS


def ask(engine: Engine, python: Path) -> dict[str, Any]:
    """Return the engine's answers to every scenario, and its version."""
    questions, answers = HOME / f"{engine.key}-questions.json", HOME / f"{engine.key}-answers.json"
    questions.write_text(json.dumps([scenario.as_json_for(engine.key) for scenario in SCENARIOS]))
    answers.unlink(missing_ok=True)
    script = HERE / "peers" / f"peer_{engine.key}.py"
    done = subprocess.run([python, script, questions, answers], env=bare_environ(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: {engine.title} failed.\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    told: dict[str, Any] = json.loads(answers.read_text())
    return told


def installed(engine: Engine) -> Path:
    """Return the interpreter of an engine's environment; end here if there can be none."""
    try:
        return environment(engine)
    except NotInstalled as failure:
        sys.exit(f"error: {engine.title} could not be installed: {failure}")


def record(engine: Engine, told: dict[str, Any]) -> None:
    """Write what an engine answered, unless that is what stands there already."""
    path = RESULTS / f"{engine.key}.json"
    scenarios = {s.name: {"asked": s.sha256_for(engine.key), **told["scenarios"][s.name]} for s in SCENARIOS}
    fresh = {"engine": engine.key, "version": told["version"], "scenarios": scenarios}
    before = json.loads(path.read_text()) if path.exists() else {}
    if {**before, "recorded": None} == {**fresh, "recorded": None}:
        return
    fresh["recorded"] = WallClock().now().date().isoformat()
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(fresh, indent=1, sort_keys=True) + "\n")


def compare(engines: list[Engine]) -> list[str]:
    """Print the table and return what differs without an explanation, or agrees in spite of one."""
    wrong = []
    width = max(len(s.name) for s in SCENARIOS) + 2
    print("\n" + " " * width + "".join(f"{engine.key:<17}" for engine in engines))
    for scenario in SCENARIOS:
        cells = []
        for engine in engines:
            other = peer_answer(scenario.name, engine.key)
            if other is None:
                cells.append("not expressible")
                continue
            found = differences(own_answer(scenario.name), other)
            expected = is_explained(scenario.name, engine.key)
            if bool(found) == expected:
                cells.append("as documented" if expected else "equal")
                continue
            cells.append("DIFFERS" if found else "EQUAL AFTER ALL")
            wrong.append(f"{scenario.name} with {engine.title}: " + ("; ".join(found) or "the documented difference is gone"))
        print(f"{scenario.name:<{width}}" + "".join(f"{cell:<17}" for cell in cells))
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", choices=[[], *(engine.key for engine in ENGINES)], help="which; default: all")
    parser.add_argument("--page", action="store_true", help="only write the page again, from what is recorded")
    chosen = parser.parse_args()
    engines = [engine for engine in ENGINES if not chosen.engines or engine.key in chosen.engines]
    if not chosen.page:
        HOME.mkdir(exist_ok=True)
        for engine in engines:
            record(engine, ask(engine, installed(engine)))
    recorded.record_of.cache_clear()
    wrong = compare(engines)
    if wrong:
        sys.exit("\nUndocumented:\n" + "\n".join(f"- {line}" for line in wrong))
    PAGE.write_text(page())
    print(f"\nNothing differs without an explanation. See {PAGE.relative_to(HOME.parent)}.")


if __name__ == "__main__":
    main()
