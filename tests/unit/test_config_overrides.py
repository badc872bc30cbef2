"""What comes over the file: profiles, overrides, the environment."""

import pytest

from fairlead.config.document import parse_yaml
from fairlead.config.interpolation import interpolate
from fairlead.config.overrides import Override, apply_overrides
from fairlead.config.problems import ConfigurationProblems, Origin
from fairlead.config.profiles import apply_profile

TEXT = """\
seed: 1
clock: {speed: max, hours: market}
list: [1, 2]
strategies:
  - {name: a, capital: 10, params: {fast: 1, slow: 2}}
  - {name: b, capital: 20}
execution: {slippage: {model: volume_based, params: {base_bps: 5}}}
profiles:
  fast:
    clock: {speed: 10x}
    list: [9]
    strategies:
      - {name: b, capital: 21}
      - {name: c, capital: 30}
      - {name: a, params: {fast: 7}}
    execution: {slippage: {model: fixed, params: {bps: 1}}}
  bare:
  wrong: 5
"""


def _root(text=TEXT):
    return parse_yaml(text, lambda line: Origin.in_file("run.yaml", line))


def test_a_profile_is_merged_deep():
    """Mappings merge by key, named items by name with new ones last, other lists are replaced, a changed model replaces."""
    merged = apply_profile(_root(), "fast").plain()
    assert merged == {
        "seed": 1,
        "clock": {"speed": "10x", "hours": "market"},
        "list": [9],
        "strategies": [
            {"name": "a", "capital": 10, "params": {"fast": 7, "slow": 2}},
            {"name": "b", "capital": 21},
            {"name": "c", "capital": 30},
        ],
        "execution": {"slippage": {"model": "fixed", "params": {"bps": 1}}},
    }


def test_no_profile_leaves_the_file_without_the_section():
    expected = {key: value for key, value in _root().plain().items() if key != "profiles"}
    assert apply_profile(_root(), None).plain() == expected
    assert apply_profile(_root(), "bare").plain() == expected


def test_a_list_with_two_items_of_one_name_is_replaced():
    root = _root("s: [{name: a}, {name: a}]\nprofiles: {p: {s: [{name: a, x: 1}]}}\n")
    assert apply_profile(root, "p").plain() == {"s": [{"name": "a", "x": 1}]}


def test_values_know_their_profile():
    root = apply_profile(_root(), "fast")
    assert root.child("clock").child("speed").origin.place == "run.yaml:10 (profile 'fast')"
    assert root.child("clock").child("hours").origin.place == "run.yaml:2"
    assert root.child("strategies").child(2).child("capital").origin.place == "run.yaml:14 (profile 'fast')"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (TEXT, "fats", "run.yaml:8: no profile named 'fats'; did you mean 'fast'? Known: bare, fast, wrong."),
        (TEXT, "wrong", "run.yaml:18: 'profiles.wrong' must be a mapping of keys to values."),
        ("a: 1\nprofiles: 3\n", None, "run.yaml:2: 'profiles' must be a mapping of names to sections of this file."),
        ("a: 1\n", "fast", "run.yaml:1: no profile named 'fast'"),
    ],
)
def test_bad_profiles(text, name, message):
    with pytest.raises(ConfigurationProblems) as caught:
        apply_profile(_root(text), name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("seed=7", ("seed",), 7),
        ("clock.speed=10x", ("clock", "speed"), "10x"),
        ("clock={speed: 1x}", ("clock",), {"speed": "1x"}),
        ("new.section.key=[1, a]", ("new", "section", "key"), [1, "a"]),
        ("strategies.b.capital=5000", ("strategies", 1, "capital"), 5000),
        ("strategies.0.params.fast=10", ("strategies", 0, "params", "fast"), 10),
        ("list.1=x=y", ("list", 1), "x=y"),
        ("seed=", ("seed",), None),
        ('instruments."BRK.B".tick_size=0.01', ("instruments", "BRK.B", "tick_size"), 0.01),
        ("instruments.'BRK.B'.tick_size=0.01", ("instruments", "BRK.B", "tick_size"), 0.01),
    ],
)
def test_an_override_sets_one_value(text, path, value):
    """The value is read as YAML; a mapping replaces; items are found by name or by index."""
    found = apply_overrides(_root(), [text])
    for part in path:
        found = found.child(part)
    assert found.plain() == value
    assert found.origin.place == f"override -o {text}"


def test_an_override_leaves_the_rest_alone():
    root = _root()
    before = root.plain()
    after = apply_overrides(root, ["strategies.a.params.fast=10"]).plain()
    assert root.plain() == before
    before["strategies"][0]["params"]["fast"] = 10
    assert after == before


def test_the_last_override_of_one_path_wins():
    assert apply_overrides(_root(), ["seed=7", "seed=8"]).child("seed").plain() == 8


def test_an_override_goes_over_the_profile():
    root = apply_overrides(apply_profile(_root(), "fast"), ["clock.speed=1x"])
    assert root.child("clock").plain() == {"speed": "1x", "hours": "market"}


def test_all_bad_overrides_are_reported_at_once():
    texts = ["seed", "=5", "seed.a=1", "strategies.x.capital=1", "list.2=1", "clock.speed=[1", "a..b=1"]
    with pytest.raises(ConfigurationProblems) as caught:
        apply_overrides(_root(), texts)
    form = "an override must have the form path.to.key=value, e.g. -o clock.speed=max."
    assert caught.value.problems[:5] == (
        f"override -o seed: {form}",
        f"override -o =5: {form}",
        "override -o seed.a=1: 'seed' must be a mapping or a list to hold 'a', was 1 at run.yaml:1.",
        caught.value.problems[3],
        "override -o list.2=1: 'list' must have an item 2, was a list of 2. Items count from 0.",
    )
    assert "no item of 'strategies' named 'x'" in caught.value.problems[3]
    assert caught.value.problems[3].endswith("Known: a, b. Or give its index, from 0.")
    assert caught.value.problems[5].startswith("override -o clock.speed=[1: ")
    assert caught.value.problems[6] == f"override -o a..b=1: {form}"


def test_the_value_of_a_secret_override_is_not_shown():
    assert Override.parse("data.api_key=hunter2").value.origin.place == "override -o data.api_key=(redacted)"
    with pytest.raises(ConfigurationProblems) as caught:
        apply_overrides(_root(), ["data.api_key:hunter2"])
    assert "hunter2" not in str(caught.value)


ENVIRON = {"N": "7", "T": "true", "EMPTY": "", "DIR": "/d", "CODE": "0700", "AWS_SECRET": "s3"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${N}", 7),
        ('"${N}"', 7),
        ("'${N}'", "7"),
        ("!!str ${N}", "7"),
        ("${T}", True),
        ("${EMPTY}", None),
        ("${EMPTY:-3}", 3),
        ("${NOT_SET:-3.5}", 3.5),
        ("${NOT_SET:-}", None),
        ("${DIR}/a/${N}", "/d/a/7"),
        ("${CODE}", "0700"),
        ("$${N}", "${N}"),
        ("$${N} ${N}", "${N} 7"),
        ("$N", "$N"),
        ("'$$${N}'", "$${N}"),
    ],
)
def test_references_to_the_environment(text, value):
    """What results is a YAML scalar again, except in single quotes; `:-` covers an empty variable too."""
    found = interpolate(_root(f"a: [{text}]" if text.startswith(("'", '"')) else f"a:\n  - {text}\n"), ENVIRON).plain()["a"][0]
    assert found == value
    assert type(found) is type(value)


def test_every_bad_reference_is_reported():
    with pytest.raises(ConfigurationProblems) as caught:
        interpolate(_root("a: ${B}\nc:\n  - x\n  - ${D}${N}\ne: ${N-1}\n"), ENVIRON)
    assert caught.value.problems == (
        "run.yaml:1: 'a' needs the environment variable B, which is not set. Set B, or give a default: ${B:-value}.",
        "run.yaml:4: 'c.1' needs the environment variable D, which is not set. Set D, or give a default: ${D:-value}.",
        "run.yaml:5: 'e' must refer to the environment as ${NAME} or ${NAME:-default}. Write $${ for a literal ${.",
    )


def test_a_value_from_a_secret_variable_is_marked():
    root = interpolate(_root("a: ${AWS_SECRET}\nb: ${DIR}\n"), ENVIRON)
    assert (root.child("a").is_secret, root.child("b").is_secret) == (True, False)
