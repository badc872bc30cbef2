"""What a feature's numbers depend on is in its identity, and machine code kept for other constants is not run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fairlead
from fairlead.core.errors import ConfigurationError
from fairlead.core.kernel_code import helpers_of
from fairlead.features import feature
from fairlead.features.identity import code_hash, kernel_hash

KERNELS = """
import constants
from constants import K

from fairlead.features import feature


def scaled(value, by=K):
    return value * by


@feature("by_name")
def by_name(state, params, inputs, outputs):
    outputs[0] = inputs[0] * K


@feature("by_module")
def by_module(state, params, inputs, outputs):
    outputs[0] = inputs[0] * constants.OTHER


@feature("by_default")
def by_default(state, params, inputs, outputs):
    outputs[0] = scaled(inputs[0])
"""
REPORT = """
import numpy as np
from fairlead.features import compute_symbols
from fairlead.features.plan import make_plan

for name in ("by_name", "by_module", "by_default"):
    request = {"x": f"kernels:{name}"}
    print(compute_symbols(request, {"close": np.ones((1, 1))})["x"].item(), make_plan(request).asked["x"].identity)
"""


def test_a_constant_of_another_file_changes_the_identity_and_the_machine_code(tmp_path):
    """numba's disk cache watches the kernel's file alone; what it holds was compiled for the constants of then."""
    (tmp_path / "kernels.py").write_text(KERNELS)

    def report(constant):
        (tmp_path / "constants.py").write_text(f"K = {constant}\nOTHER = {constant}\n")
        places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        settings = {**os.environ, "PYTHONPATH": places, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        settings["PYTHONDONTWRITEBYTECODE"] = "1"  # two constants of one length, written within a second, would look the same
        done = subprocess.run([sys.executable, "-c", REPORT], env=settings, capture_output=True, text=True, check=True)
        return [line.split() for line in done.stdout.splitlines()]

    first, second, again = report(2.0), report(5.0), report(2.0)
    assert [value for value, _ in first] == ["2.0"] * 3
    assert [value for value, _ in second] == ["5.0"] * 3
    assert again == first
    assert all(one != two for (_, one), (_, two) in zip(first, second, strict=True))


@pytest.fixture
def kernel_of(tmp_path, monkeypatch):
    """Writes modules that can import each other, and returns the function `f` of the last one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text, name):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        space = {"__name__": name}
        exec(compile(text, str(path), "exec"), space)
        return space["f"]

    return write


STEP = "def f(s, p, i, o):\n    o[0] = g(i[0])\n"


def test_a_helper_that_numba_has_wrapped_is_part_of_the_kernel(kernel_of):
    def hash_of(body, name):
        text = f"import numba\n@numba.njit\ndef g(x):\n    return {body}\n{STEP}"
        return kernel_hash(feature("x")(kernel_of(text, name)))

    assert hash_of("x * 2.0", "wrapped_a") == hash_of("x*2.0", "wrapped_b")
    assert hash_of("x * 2.0", "wrapped_c") != hash_of("x * 3.0", "wrapped_d")


@pytest.mark.parametrize(
    "call", ["from wrapped_far import g\n" + STEP, "import wrapped_far\n" + STEP.replace("g(", "wrapped_far.g(")]
)
def test_a_helper_of_another_file_is_refused_however_it_is_reached(kernel_of, tmp_path, call):
    (tmp_path / "wrapped_far.py").write_text("import numba\n@numba.njit\ndef g(x):\n    return x\n")
    made = feature("x")(kernel_of(call, "caller"))
    with pytest.raises(ConfigurationError, match=r"'kernel f' must call only functions of its own file, was 'wrapped_far\.g'"):
        kernel_hash(made)


def test_a_plain_python_kernel_may_call_a_library(kernel_of):
    text = "import statistics\ndef f(s, p, i, o):\n    o[0] = statistics.fmean(i)\n"
    assert kernel_hash(feature("x", compiled=False)(kernel_of(text, "library")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"def made(k):\n    def g(x):\n        return x * k\n    return g\ng = made(2.0)\n{STEP}",
            "closed-over variables, was 'made",
        ),
        (
            "def a(x):\n    return x\nb = a\ndef a(x):\n    return -x\ndef f(s, p, i, o):\n    o[0] = a(b(i[0]))\n",
            "names of their own and without .*, was 'a'",
        ),
        (f"g = lambda x: x\n{STEP}", "'x: <lambda>' must be written with def"),
        ("f = lambda s, p, i, o: None\n", "'x: <lambda>' must be written with def"),
        (
            "def f(s, p, i, o, seen=[]):\n    o[0] = 1.0\n",
            r"'x: default of an argument' must be a number, a text or None, was \[\]",
        ),
    ],
)
def test_a_kernel_whose_numbers_no_hash_could_tell_is_refused(kernel_of, text, message):
    with pytest.raises(ConfigurationError, match=message):
        kernel_hash(feature("x")(kernel_of(text, "refused")))


def test_features_of_one_kernel_share_its_machine_code(kernel_of):
    made = kernel_of("def f(s, p, i, o):\n    o[0] = i[0]\n", "shared")
    one, two = feature("one", inputs=("high",))(made), feature("two", inputs=("low",))(made)
    assert code_hash(one) == code_hash(two)
    assert kernel_hash(one) != kernel_hash(two)
    assert helpers_of(made) == ()


def test_features_are_computed_where_no_machine_code_may_be_kept(tmp_path):
    """An account without a home that it may write, and a package that another one installed: the usual container."""
    package = Path(fairlead.__file__).parent
    shutil.copytree(package, tmp_path / "fairlead", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "fairlead" / "features" / "__pycache__").write_text("a folder could not be made here\n")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "FAIRLEAD"))}
    settings |= {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": os.devnull, "HOME": os.devnull}
    text = "import numpy as np\nfrom fairlead.features import compute_symbols, drivers\nprint(drivers.__file__)\n"
    text += "print(compute_symbols({'x': ('sma', {'n': 2})}, {'close': np.ones((1, 2))})['x'].tolist())\n"
    done = subprocess.run([sys.executable, "-c", text], env=settings, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == [str(tmp_path / "fairlead" / "features" / "drivers.py"), "[[[nan, 1.0]]]"], (
        done.stderr
    )
