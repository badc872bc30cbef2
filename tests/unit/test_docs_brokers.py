"""The guide to broker adapters is true: its table of cases is the suite's, and the template plays what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from broker_adapter.bench import TemplateBench
from fairlead.config.live import BrokerSettings
from fairlead.execution.brokers.seam import Broker
from support_brokers import AccountTerms

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/write-a-broker-adapter.md").read_text()
SUITE = ROOT / "tests/conformance/test_brokers.py"


def cases() -> dict[str, ast.AsyncFunctionDef]:
    found = {}
    for node in ast.parse(SUITE.read_text()).body:
        match = re.match(r"test_(c\d\d)_", getattr(node, "name", ""))
        if match:
            assert match[1].upper() not in found
            found[match[1].upper()] = node
    return found


def test_the_table_of_cases_is_that_of_the_suite():
    """Every case is in the guide, under its number and in its own words, and no other is."""
    table = dict(re.findall(r"^\| (C\d\d) \| (.+) \|$", PAGE, re.MULTILINE))
    assert table == {number: ast.get_docstring(node) for number, node in cases().items()}
    assert list(table) == [f"C{i:02d}" for i in range(1, len(table) + 1)]
    assert len(table) >= 40


def test_every_method_of_the_seam_is_in_the_guide():
    """No method of `Broker` is left out."""
    methods = {name for name in vars(Broker) if not name.startswith("_")} - {"name"}
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert methods <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_template_plays_what_the_guide_says():
    """The cases that it leaves out are those that are named."""
    bench = TemplateBench(AccountTerms())
    needed = {
        number: {arg.value for decorator in node.decorator_list for arg in decorator.args if isinstance(arg, ast.Constant)}
        for number, node in cases().items()
    }
    left_out = {number for number, needs in needed.items() if needs & bench.lacks}
    assert not bench.broker.traits.links_exits
    assert not bench.broker.traits.links_sets
    (sentence,) = re.findall(r"The template plays all but ([^.]+)\.", PAGE)
    assert left_out | {"C39", "C40"} == set(re.findall(r"C\d\d", sentence))


def test_the_brokers_of_the_examples_can_be_opened():
    """What the guide writes into a configuration is taken."""
    found = [yaml.safe_load(text)["execution"] for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert [BrokerSettings.model_validate(one).kind.endpoint().address for one in found] == ["in memory", "a simulated broker"]
