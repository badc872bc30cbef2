"""The catalogue of features is what the code declares, and says of each all that a reader needs."""

import re
from pathlib import Path

import pytest

from fairlead.core.errors import UnknownName
from fairlead.features.catalogue import PAGE, catalogue, write_catalogue
from fairlead.features.definition import Uses
from fairlead.features.description import Dependency, describe, features_by_family, input_text, range_text
from fairlead.features.registry import FAMILIES, shipped_features

ROOT = Path(__file__).parents[2]
STANDARD = {
    "adx": "Wilder 1978",
    "bollinger": "Bollinger",
    "garman_klass": "Garman and Klass 1980",
    "keltner": "Keltner 1960",
    "macd": "Appel",
    "parkinson": "Parkinson 1980",
    "rsi": "Wilder 1978",
}


def section(name: str) -> str:
    """What the page says of one feature."""
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", catalogue(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_is_what_the_code_declares():
    """A feature that was added or changed is in the documentation."""
    assert (ROOT / PAGE).read_text() == catalogue(), f"{PAGE} is out of date. Run: python -m fairlead.features.catalogue"


def test_writing_the_page_gives_the_same_bytes_each_time(tmp_path):
    first = write_catalogue(tmp_path).read_bytes()
    assert write_catalogue(tmp_path).read_bytes() == first
    assert (tmp_path / PAGE).read_text() == catalogue()


def test_every_feature_has_its_section_once():
    headings = re.findall(r"^### (\S+)$", catalogue(), re.MULTILINE)
    assert sorted(headings) == sorted(shipped_features())


@pytest.mark.parametrize("name", shipped_features())
def test_every_feature_that_ships_says_what_it_is(name):
    """Formula, a sentence, and a sentence for every parameter."""
    found = describe(name)
    assert found.formula
    assert found.summary.endswith(".")
    assert all(parameter.doc for parameter in found.parameters)
    assert found.formula in section(name)


@pytest.mark.parametrize("name", STANDARD)
def test_what_has_an_inventor_names_him(name):
    assert STANDARD[name] in shipped_features()[name].reference
    assert f"Reference: {shipped_features()[name].reference}." in section(name)


def test_a_section_has_parameters_outputs_and_warm_up():
    text = section("bollinger")
    assert "| `n` | 20 | [2, 100000] | Bars in the window. |" in text
    assert "| `width` | 2.0 | (0, inf) | Standard deviations to each side. |" in text
    assert "| `upper` | any | price |" in text
    assert "| `percent_b` | any | none |" in text
    assert "Inputs `close`. Warm-up 19. Version 1." in text
    assert "| `value` | 0 to 100 | none |" in section("rsi")


def test_the_warm_up_of_what_is_used_is_counted():
    """A signal line begins after the slow average and its own."""
    assert describe("macd").warm_up == 26 - 1 + 9 - 1
    assert describe("macd", {"n_slow": 50}).warm_up == 50 - 1 + 9 - 1


def test_what_a_feature_depends_on_is_a_tree_with_its_parameters():
    tree = describe("keltner", {"n": 5}).tree
    assert tree.label == "keltner(n=5, n_atr=10, width=2.0)"
    assert [child.label for child in tree.inputs] == ["ema(n=5)", "atr(n=10)"]
    assert tree.inputs[0].inputs == (Dependency("close"),)
    assert tree.inputs[1].inputs[0].inputs == tuple(map(Dependency, ("high", "low", "close")))


def test_other_parameters_are_another_identity():
    assert describe("rsi").identity == describe("rsi", {"n": 14}).identity
    assert describe("rsi").identity != describe("rsi", {"n": 15}).identity


def test_families_hold_every_feature_once():
    groups = features_by_family()
    assert list(groups) == sorted(FAMILIES)
    names = [feature.name for members in groups.values() for feature in members]
    assert sorted(names) == sorted(shipped_features())
    assert [feature.name for feature in features_by_family("returns")["returns"]] == sorted(
        feature.name for feature in groups["returns"]
    )
    with pytest.raises(UnknownName, match="no family of features named 'tends'; did you mean 'trend'"):
        features_by_family("tends")


def test_a_feature_of_elsewhere_has_its_module_for_a_family():
    found = describe("support_features:after_slow")
    assert (found.family, found.ships) == ("support_features", False)
    assert describe("rsi").ships


def test_ranges_and_inputs_are_written_as_one_would():
    assert [range_text(*r) for r in ((-float("inf"), float("inf")), (0, float("inf")), (-float("inf"), 0), (-1, 1))] == [
        "",
        ">= 0",
        "<= 0",
        "-1 to 1",
    ]
    assert input_text(Uses("macd", "signal", n_fast=5)) == "macd.signal(n_fast=5)"
