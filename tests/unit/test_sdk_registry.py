"""Finding strategies by name, by module and by file; refusing what is none."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.sdk import Strategy, find_strategy
from fairlead.sdk.registry import StrategyFile, content_of, known_strategies

GOOD = '''
from fairlead.sdk import Strategy, parameter

class Good(Strategy):
    """Does good.

    And more.
    """
    version = "2.1.0"
    window: int = parameter(5, ge=1)

class NoStrategy: ...
thing = 3
'''


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Install packages with entry points: `plugins("pkg", {"name": "module:Class"}, module_source)`."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(package: str, entries: dict[str, str], **modules: str) -> None:
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[fairlead.strategies]", *lines, ""]))
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)

    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_registered_name_is_found(plugins):
    plugins("fl-good", {"good_one": "plug_good:Good"}, plug_good=GOOD)
    found = find_strategy(" good_one ")
    assert (found.__name__, found.__module__, found.version) == ("Good", "plug_good", "2.1.0")
    assert issubclass(found, Strategy)


def test_finding_one_name_imports_no_other(plugins):
    plugins("fl-two", {"good_two": "plug_two:Good", "bad_two": "plug_bad:X"}, plug_two=GOOD, plug_bad="raise OSError")
    find_strategy("good_two")
    assert "plug_two" in sys.modules
    assert "plug_bad" not in sys.modules


def test_an_unknown_name_is_answered_with_a_guess_the_known_and_the_other_forms(plugins):
    plugins("fl-three", {"good_three": "plug_three:Good"}, plug_three=GOOD)
    text = r"no strategy named 'good_tree'; did you mean 'good_three'\? Known: .*good_three.*or give 'package.module:Class'"
    with pytest.raises(UnknownName, match=text):
        find_strategy("good_tree")
    assert "plug_three" not in sys.modules


def test_a_name_registered_twice_is_refused_with_both_targets(plugins):
    plugins("fl-first", {"twice": "plug_first:Good"}, plug_first=GOOD)
    plugins("fl-second", {"twice": "plug_second:Good"}, plug_second=GOOD)
    text = r"'strategy twice' must be registered once, was \['plug_first:Good', 'plug_second:Good'\]. Uninstall one"
    with pytest.raises(ConfigurationError, match=text):
        find_strategy("twice")
    assert "registered once" in known_strategies()["twice"].error


def test_the_same_target_seen_twice_is_no_conflict(plugins):
    plugins("fl-same", {"same": "plug_same:Good"}, plug_same=GOOD)
    plugins("fl-same-again", {"same": "plug_same:Good"})
    assert find_strategy("same").__name__ == "Good"


def test_a_broken_plug_in_is_listed_with_its_error(plugins):
    plugins("fl-mixed", {"z_good": "plug_ok:Good", "a_bad": "plug_no:X"}, plug_ok=GOOD, plug_no="\n1 / 0\n")
    listed = known_strategies()
    assert list(listed) == sorted(listed)
    good, bad = listed["z_good"], listed["a_bad"]
    assert (good.name, good.target, good.version, good.summary, good.error) == (
        "z_good",
        "plug_ok:Good",
        "2.1.0",
        "Does good.",
        "",
    )
    assert good.schema["properties"] == {"window": {"type": "integer", "default": 5, "minimum": 1}}
    assert (bad.version, bad.summary, bad.schema) == ("", "", {})
    assert "plug_no.py:2: ZeroDivisionError: division by zero" in bad.error


def test_a_module_and_class_are_found(plugins):
    plugins("fl-path", {}, plug_path=GOOD)
    assert find_strategy("plug_path:Good").__module__ == "plug_path"


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        (
            "plug_kinds:Godo",
            r"no strategy named 'Godo'; did you mean 'Good'\? Known: Good. It was looked for in 'plug_kinds:Godo'",
        ),
        ("plug_kinds:NoStrategy", "'strategy plug_kinds:NoStrategy' must be a subclass of fairlead.sdk.Strategy, was <class"),
        ("plug_kinds:thing", "'strategy plug_kinds:thing' must be a subclass of fairlead.sdk.Strategy, was 3"),
        ("plug_kinds:Strategy", "must be a subclass of fairlead.sdk.Strategy"),
        ("plug_nowhere:Good", "no module named 'plug_nowhere', which strategy 'plug_nowhere:Good' needs. Install it"),
        ("plug_kinds.deep:Good", "plug_kinds"),
        (":Good", "cannot be imported"),
    ],
)
def test_what_is_not_there_is_named(plugins, ref, text):
    plugins("fl-kinds", {}, plug_kinds=GOOD)
    with pytest.raises(ConfigurationError, match=text):
        find_strategy(ref)


@pytest.mark.parametrize(
    ("source", "where", "cause"),
    [
        ("\n\nraise OSError('no disk')\n", r"plug_raise\.py:3: OSError: no disk", OSError),
        ("def f():\n    return 1 / 0\nX = f()\n", r"plug_raise\.py:2: ZeroDivisionError", ZeroDivisionError),
        ("x = 1\ndef f(:\n", r"plug_raise\.py:2: SyntaxError", SyntaxError),
        (
            "import plug_missing_part\n",
            r"plug_raise\.py:1: ModuleNotFoundError: No module named 'plug_missing_part'",
            ImportError,
        ),
        ("import sys\nsys.exit(3)\n", r"plug_raise\.py:2: SystemExit: 3", SystemExit),
    ],
    ids=["raise", "deeper", "syntax", "dependency", "exit"],
)
@pytest.mark.parametrize("by_file", [True, False])
def test_an_error_in_the_authors_module_names_file_and_line(plugins, tmp_path, source, where, cause, by_file):
    plugins("fl-raise", {}, plug_raise=source)
    ref = str(tmp_path / "plug_raise.py") if by_file else "plug_raise:Good"
    with pytest.raises(ConfigurationError, match=f"strategy '.*' cannot be imported: .*{where}") as caught:
        find_strategy(ref)
    assert isinstance(caught.value.__cause__, cause)


def test_a_file_with_one_strategy_needs_no_class(tmp_path):
    """Imported strategies do not count: only what the file defines."""
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    other = tmp_path / "other.py"
    other.write_text(
        f"from fairlead.sdk import Strategy, find_strategy\nBase = find_strategy({str(file)!r})\nclass Mine(Base): ..."
    )
    assert find_strategy(str(file)).__name__ == "Good"
    assert find_strategy(f"{file}:Good").__name__ == "Good"
    assert find_strategy(str(other)).__name__ == "Mine"
    assert find_strategy(f"{other}:Base").__name__ == "Good"


def test_a_file_with_several_or_no_strategies_asks_for_the_class(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from fairlead.sdk import Strategy\nclass B(Strategy): ...\nclass A(Strategy): ...\n")
    with pytest.raises(
        ConfigurationError, match=r"mine.py must define exactly one strategy, has: A, B. Name one: '.*mine.py:Class'"
    ):
        find_strategy(str(file))
    assert find_strategy(f"{file}:B").__name__ == "B"
    file.write_text("x = 1\n")
    with pytest.raises(ConfigurationError, match=r"must define exactly one strategy, has: \(none\)"):
        find_strategy(str(file))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"the strategy file .*none\.py cannot be read: No such file or directory"):
        find_strategy(str(tmp_path / "none.py"))


def test_a_file_leaves_the_import_path_and_other_modules_alone(tmp_path):
    """Two files named alike are two modules; neither shadows an installed one, and no bytecode is written."""
    for folder, number in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(
            "from dataclasses import dataclass\nfrom fairlead.sdk import Strategy\n"
            f"@dataclass\nclass Note:\n    n: 'int' = {number}\nclass S(Strategy):\n    note = Note()\n"
        )
    path, before = list(sys.path), set(sys.modules)
    one, two = (find_strategy(str(tmp_path / folder / "json.py")) for folder in ("one", "two"))
    assert (one.note.n, two.note.n) == (1, 2)
    assert one.__module__ != two.__module__
    assert sys.path == path
    assert all(name.startswith("fairlead_file_") for name in set(sys.modules) - before)
    assert not list(tmp_path.rglob("__pycache__"))


def test_an_unchanged_file_gives_the_same_class_and_an_edited_one_a_new(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    first = find_strategy(str(file))
    assert find_strategy(str(file)) is first
    file.write_text(GOOD.replace("2.1.0", "2.2.0"))
    assert find_strategy(str(file)).version == "2.2.0"


def test_a_file_can_be_carried_to_where_it_is_not(tmp_path):
    """The class, its source and the lines of its source come from what was read; names of other kinds are no files."""
    path = tmp_path / "carried.py"
    path.write_text(GOOD)
    file = StrategyFile.named_in(f"{path}:Good@2.1.0")
    assert (file.path, file.content, file.class_name) == (str(path), GOOD.encode(), "Good")
    path.unlink()
    found = file.strategy()
    assert found.version == "2.1.0"
    assert content_of(found) == GOOD.encode()
    assert inspect.getsource(found).startswith("class Good(Strategy):")
    assert content_of(Strategy) is None
    assert StrategyFile.named_in("sma_crossover") is StrategyFile.named_in("package.module:Class") is None


def test_a_file_that_fails_is_tried_again(tmp_path):
    file = tmp_path / "mine.py"
    flag = tmp_path / "flag"
    file.write_text(f"from pathlib import Path\nassert Path({str(flag)!r}).exists()\n" + GOOD)
    with pytest.raises(ConfigurationError, match=r"mine\.py:2: AssertionError"):
        find_strategy(str(file))
    flag.touch()
    assert find_strategy(str(file)).__name__ == "Good"


@pytest.mark.parametrize("form", ["name", "module", "file"])
def test_a_version_can_be_demanded(plugins, tmp_path, form):
    plugins("fl-version", {"versioned": "plug_version:Good"}, plug_version=GOOD)
    ref = {"name": "versioned", "module": "plug_version:Good", "file": f"{tmp_path}/plug_version.py"}[form]
    assert find_strategy(f"{ref}@2.1.0").version == "2.1.0"
    with pytest.raises(
        ConfigurationError, match=r"'strategy .*' must be of version 2\.0\.0, was '2\.1\.0'. Ask for the version"
    ):
        find_strategy(f"{ref}@2.0.0")


def test_an_at_sign_in_a_path_is_no_version(tmp_path):
    folder = tmp_path / "a@b"
    folder.mkdir()
    (folder / "mine.py").write_text(GOOD)
    assert find_strategy(f"{folder}/mine.py:Good").__name__ == "Good"


def test_the_shipped_names_are_registered():
    shipped = {"buy_and_hold", "fixed_weights", "sma_crossover", "mean_reversion", "rsi", "momentum"}
    assert shipped <= set(known_strategies())


def test_the_sdk_imports_no_heavy_library():
    """An author's unit test should start at once."""
    code = "import sys, fairlead.sdk; print(sorted({'pandas', 'polars', 'pyarrow', 'matplotlib', 'numba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
