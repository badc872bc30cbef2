"""The wheel works on a machine that has never seen the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import fairlead
from fairlead.config.templates import template_names

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, and of this environment only the dependencies.

    A ``.pth`` file inside a folder that a ``.pth`` file names is not read: so the editable installation stays out of sight.
    """
    folder = tmp_path_factory.mktemp("venv")
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    interpreter = folder / "bin" / "python"
    offline = ("--no-index", "--no-deps", "--quiet", "--disable-pip-version-check")
    _run(sys.executable, "-m", "pip", "--python", interpreter, "install", *offline, wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    dependencies = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in dependencies))
    return interpreter


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the checkout."""
    return tmp_path_factory.mktemp("away")


def _run(*command: object, cwd: Path) -> str:
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FAIRLEAD", "VIRTUAL_ENV", "COV_"))
    }
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_that_is_no_code(wheel):
    """Templates of configurations, the report's template, the typing marker and the licence; no test, no bytecode."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"fairlead/config/template_files/{name}.yaml" for name in template_names()} <= names
    source = ROOT / "src"
    data = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and path.suffix in {".html", ".css", ".js"}
    }
    assert data
    assert data | {"fairlead/py.typed"} <= names
    code = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert code <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names} == {"fairlead", f"fairlead-{fairlead.__version__}.dist-info"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_package_is_the_one_of_the_wheel(python, away):
    """Else the other tests of this file would prove nothing."""
    found = Path(_run(python, "-c", "import fairlead; print(fairlead.__file__)", cwd=away).strip())
    assert python.parent.parent.resolve() in found.resolve().parents


def test_version_demo_and_init_work_away_from_the_checkout(python, away):
    """A newcomer's first three commands."""
    command = python.with_name("fairlead")
    assert _run(command, "version", cwd=away).startswith(f"fairlead {fairlead.__version__} ")
    demo = json.loads(_run(command, "demo", "--json", cwd=away))
    assert demo["status"] == "completed"
    assert (away / demo["report"]).stat().st_size > 1_000_000
    assert "my_strategy" in _run(command, "init", "desk", cwd=away)
    run = json.loads(_run(command, "backtest", "configs/my_strategy.yaml", "--json", cwd=away / "desk"))
    assert run["metrics"]["num_trades"] > 0
    assert "sma_crossover" in _run(command, "strategy", "ls", cwd=away)
    assert "All is well" in _run(command, "doctor", cwd=away)
