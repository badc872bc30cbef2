"""Parsing: values, lines, and everything that is not a configuration."""

from pathlib import Path

import pytest

from fairlead.config.document import parse_yaml, read_document, scalar_of
from fairlead.config.problems import ConfigurationProblems, Origin


def _origin(line):
    return Origin.in_file("run.yaml", line)


def _plain(text):
    return parse_yaml(text, _origin).plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ON", "ON"),
        ("no", "no"),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("0700", "0700"),
        ("9:30", "9:30"),
        ("2020-01-31", "2020-01-31"),
        ("100_000", 100_000),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-4", 1e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("+2.5E3", 2500.0),
        ("1e999", "1e999"),
        (".nan", ".nan"),
        ("9" * 5000, "9" * 5000),
        ("1__0", "1__0"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text, value):
    """Symbols, codes, times and dates stay text; numbers are numbers in every notation."""
    found = scalar_of(text)
    assert found == value
    assert type(found) is type(value)


def test_quoted_scalars_are_text():
    assert _plain("a: '5'\nb: \"true\"\nc: !!str 7\nd: !!float 3") == {"a": "5", "b": "true", "c": "7", "d": 3.0}


def test_keys_are_text():
    """A numeric symbol such as 7203 is a key like any other."""
    assert _plain("7203: {ON: 1}") == {"7203": {"ON": 1}}


def test_every_value_knows_the_line_of_its_key():
    root = parse_yaml("a:\n\n  b: 1\nc:\n  - x\n  -\n    d: 2\n", _origin)
    assert root.child("a").child("b").origin.place == "run.yaml:3"
    assert root.child("c").child(0).origin.place == "run.yaml:5"
    assert root.child("c").child(1).child("d").origin.place == "run.yaml:7"


def test_anchors_and_merge_keys():
    """A mapping's own keys win over merged ones, and the first merged mapping over the next."""
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 9}\nw: *x\n"
    assert _plain(text)["z"] == {"b": 1, "c": 2, "a": 9}
    assert _plain(text)["w"] == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "run.yaml:3: 'a' must be given once, was also given at run.yaml:1. Remove one of the two."),
        (
            "a: 1\nb: !!python/object:os.system x\n",
            "run.yaml:2: a value must be plain YAML, was tagged '!!python/object:os.system'.",
        ),
        ("a: !!int x\n", "run.yaml:1: a value must be plain YAML, was tagged '!!int'."),
        ("a: !mine {b: 1}\n", "run.yaml:1: a value must be plain YAML, was tagged '!mine'."),
        ("a:\n  [1, 2\nb: 3\n", "run.yaml:3: the file must be valid YAML, was broken: while parsing a flow sequence"),
        ("a:\n\tb: 1\n", "run.yaml:2: the file must be valid YAML, was broken: while scanning for the next token"),
        ("a: 1\nb: \x07\n", "run.yaml:2: the file must be valid YAML, was broken: character"),
        ("a: *nothing\n", "run.yaml:1: the file must be valid YAML, was broken: found undefined alias 'nothing'."),
        ("a: 1\n---\nb: 2\n", "run.yaml:2: the file must be valid YAML, was broken: expected a single document"),
        ("a: 1\n? [x]\n: 2\n", "run.yaml:2: a key must be text, was a mapping or a list."),
        ("a: 1\nb: {<<: 3}\n", "run.yaml:2: '<<' must merge a mapping. Give it an alias of one."),
        ("a: &a\n  b: *a\n", "run.yaml:2: an alias must not contain itself."),
        ("a: &a\n  <<: *a\n", "run.yaml:2: an alias must not contain itself."),
        ("[" * 3000, "run.yaml:1: the file must not nest this deep."),
    ],
)
def test_what_is_not_yaml_is_refused_at_its_line(text, message):
    with pytest.raises(ConfigurationProblems) as caught:
        _plain(text)
    assert str(caught.value).startswith(message)
    assert len(caught.value.problems) == 1


def test_tabs_are_named_as_the_cause():
    with pytest.raises(ConfigurationProblems, match="Indent with spaces"):
        _plain("a:\n\tb: 1\n")


def test_a_reference_in_a_flow_mapping_needs_quotes():
    with pytest.raises(ConfigurationProblems, match=r'a reference needs quotes: "\$\{NAME\}"\.$'):
        _plain("a: {b: ${C}}\n")


def test_aliases_cannot_blow_up():
    """Ten lines that stand for 10^10 values are refused, not expanded."""
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(ConfigurationProblems, match="must hold at most 100000 values"):
        _plain("\n".join(lines))


def test_files_that_cannot_be_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = {
        "empty.yaml": (b"# nothing\n", "empty.yaml:1: the file must be a mapping of keys to values, was empty."),
        "list.yaml": (b"\n- 1\n", "list.yaml:2: the file must be a mapping of keys to values, was a list."),
        "word.yaml": (b"hello", "word.yaml:1: the file must be a mapping of keys to values, was a single value."),
        "latin.yaml": (b"a: \xe9", "latin.yaml:1: the file must be UTF-8 text, was not. Save it as UTF-8."),
        "bad.json": (b'{"a": 1,\n "b" 2}', "bad.json:2: the file must be valid JSON, was broken at column 6"),
        "deep.json": (b"[" * 100_000, "deep.json:1: the file must not nest this deep."),
        "twice.json": (b'{"a": 1,\n "a": 2}', "twice.json:2: 'a' must be given once, was also given at twice.json:1."),
    }
    for name, (content, message) in cases.items():
        Path(name).write_bytes(content)
        with pytest.raises(ConfigurationProblems) as caught:
            read_document(Path(name))
        assert str(caught.value).startswith(message)
    with pytest.raises(ConfigurationProblems, match=r"^none\.yaml:1: the file must be readable, was not: No such file"):
        read_document(Path("none.yaml"))
    with pytest.raises(ConfigurationProblems, match="was not: Is a directory"):
        read_document(tmp_path)


def test_json_may_be_indented_with_tabs(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes('\ufeff{\n\t"a": [1, 2e0,\n\t\t"x\\ty"],\n\t"b": null\n}'.encode())
    root = read_document(path)
    assert root.plain() == {"a": [1, 2.0, "x\ty"], "b": None}
    assert root.child("b").origin.place == f"{path}:4"
