"""What is saved with a run loads to the same configuration."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.document import parse_yaml, scalar_of
from fairlead.config.effective import dump_yaml, hash_of
from fairlead.config.interpolation import interpolate
from fairlead.config.loading import load_settings
from fairlead.config.problems import ConfigurationProblems, Origin
from fairlead.sdk import Strategy, parameter

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
AWKWARD = st.sampled_from(
    ["", "null", "yes", "0700", "1e5", "0x1", "1_0", "<<", "=", "${A}", "$${A}", "$$", "# x", "- a", "a: b", "'"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT, AWKWARD)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | AWKWARD, inner, max_size=4), max_leaves=20
)


class Any3(Strategy):
    """Takes text, a number and a list."""

    title: str = parameter("")
    level: float = parameter(0.5)
    symbols: tuple[str, ...] = parameter(())


CONFIGS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["backtest", "replay"]),
        "data": st.fixed_dictionaries({}, optional={"path": TEXT | AWKWARD, "source": st.sampled_from(["csv", "bundled"])}),
        "strategies": st.lists(
            st.fixed_dictionaries(
                {"name": st.from_regex(r"[a-z]{1,8}", fullmatch=True), "capital": st.floats(min_value=1e-3, max_value=1e12)},
                optional={
                    "params": st.fixed_dictionaries(
                        {}, optional={"title": TEXT | AWKWARD, "level": st.floats(-1e9, 1e9), "symbols": st.lists(TEXT)}
                    ),
                    "risk_limits": st.fixed_dictionaries({}, optional={"max_leverage": st.floats(0.1, 20)}),
                },
            ).map(lambda entry: {"strategy": "any", **entry}),
            min_size=1,
            max_size=3,
            unique_by=lambda entry: entry["name"],
        ),
    },
    optional={"seed": st.integers(0, 2**63 - 1), "name": st.text("abc${}:- 'é", min_size=1, max_size=9)},
)


def _origin(line):
    return Origin.in_file("x", line)


@given(data=st.dictionaries(TEXT | AWKWARD, DATA, max_size=5))
def test_dumped_values_parse_to_themselves(data):
    """Types included, and whatever the environment holds."""
    found = interpolate(parse_yaml(dump_yaml(data), _origin), {"A": "wrong"}).plain()
    assert found == data
    assert hash_of(found) == hash_of(data)


@given(config=CONFIGS)
def test_the_effective_configuration_round_trips(config):
    """Dump, load, and the hash and the settings are the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.yaml"
        path.write_text(dump_yaml(config), encoding="utf-8")
        first = load_settings(path, environ={"A": "wrong"}, find=lambda _ref: Any3)
        path.write_text(dump_yaml(first.effective), encoding="utf-8")
        second = load_settings(path, environ={"A": "wrong"}, find=lambda _ref: Any3)
    assert second.hash == first.hash
    assert second.settings == first.settings


@given(text=st.text(max_size=200) | st.text("ab:-[]{}&*<>?|\"'# \n\t$!%@,0", max_size=60))
def test_any_text_parses_or_is_refused_with_a_line(text):
    """No other exception leaves the parser."""
    try:
        parse_yaml(text, _origin).plain()
    except ConfigurationProblems as exc:
        problems = exc.problems
    else:
        problems = ()
    assert all(problem.startswith("x:") for problem in problems)


@given(number=st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_python_numbers_read_back_exactly(number):
    assert scalar_of(repr(number)) == number
