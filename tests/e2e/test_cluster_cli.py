"""`fairlead sweep` and `fairlead walkforward` on a Ray cluster, as they are called."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.backtest.trialstore import TrialStore
from support_cli import fairlead, write_desk
from support_cluster import on_ray
from support_sweeps import ended

SWEEP = ("sweep", "run.yaml", "--param", "shares=10:30:10", "--objective", "total_return", "--json")
WALK = ("walkforward", "run.yaml", "--param", "shares=10,20", "--train", "4", "--test", "2", "--json")
# The second process finds the file.
ONCE = "import os, pathlib\\nif self.shares == 20 and not os.path.exists('once'): pathlib.Path('once').touch(); os._exit(1)"
DEADLY = f'exec("{ONCE}")'
RING = "import os\\nif self.shares == 20: open('bell', 'w').write(str(os.getpid()))\\nwhile self.shares == 20: pass"
ENDLESS = f'exec("{RING}")'


@pytest.fixture
def desk(tmp_path) -> Path:
    return write_desk(tmp_path / "desk")


def typed(*args: object, cwd: Path, mark: str = "MARK=") -> subprocess.CompletedProcess[str]:
    """Call `fairlead ARGS` in a process of its own, which makes its own way to the cluster."""
    name, _, value = mark.partition("=")
    command = [sys.executable, "-c", "from fairlead.cli.main import main; main()", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env={**os.environ, name: value}, capture_output=True, text=True, check=False)


def assert_printed_what_one_process_prints(done: subprocess.CompletedProcess[str], desk: Path) -> None:
    assert done.returncode == 0, done.stderr
    told, here = json.loads(done.stdout), fairlead(*SWEEP, cwd=desk).json
    assert told["counts"] == {"completed": 3, "failed": 0, "refused": 0}
    for name in ("digest", "metrics", "params"):
        assert [item[name] for item in told["best"]] == [item[name] for item in here["best"]]


@on_ray
def test_a_sweep_on_a_cluster_prints_what_one_process_prints(cluster, tmp_path):
    """A worker is killed meanwhile: that is told on standard error, and standard output is the JSON alone."""
    desk = write_desk(tmp_path / "desk", fourth=DEADLY)
    done = typed(*SWEEP, "--backend", "ray", "--address", cluster.address, cwd=desk)
    assert (desk / "once").exists()
    assert_printed_what_one_process_prints(done, desk)


@on_ray
def test_without_an_address_ray_is_started_here_and_stopped(desk):
    pytest.importorskip("ray")
    mark = f"FAIRLEAD_TEST_MARK={desk}"
    done = typed(*SWEEP, "--backend", "ray", "--workers", 2, cwd=desk, mark=mark)
    assert_printed_what_one_process_prints(done, desk)
    for pid in processes_with(mark):
        assert ended(pid), Path(f"/proc/{pid}/cmdline").read_text()


def processes_with(variable: str) -> list[int]:
    """Return the processes that have a variable in their environment: Ray gives its own to all that it starts."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@on_ray
def test_a_walk_forward_on_a_cluster_prints_what_one_process_prints(cluster, desk):
    there = fairlead(*WALK, "--backend", "ray", "--address", cluster.address, "--workers", 1, cwd=desk)
    assert there.code == 0, there.err
    here = fairlead(*WALK, cwd=desk).json
    told = there.json
    assert {**told, "id": "", "path": ""} == {**here, "id": "", "path": ""}


@on_ray
def test_ctrl_c_ends_what_runs_on_the_cluster(cluster, tmp_path):
    """A trial that never ends is under way; the other is in the registry, from where the sweep can be gone on with."""
    desk = write_desk(tmp_path / "desk", fourth=ENDLESS)
    os.mkfifo(desk / "bell")
    command = [sys.executable, "-c", "from fairlead.cli.main import main; main()", *SWEEP]
    options = ("--backend", "ray", "--address", "auto", "--workers", "1")
    environ = {**os.environ, "RAY_ADDRESS": cluster.address}
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *options], cwd=desk, env=environ, stdout=pipe, stderr=pipe, text=True) as child:
        pid = int((desk / "bell").read_text())
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert (child.returncode, out) == (130, "")
    assert "stopped what finished is kept. Go on with: fairlead sweep run.yaml --resume latest" in err
    assert ended(pid)
    with TrialStore(desk / "artifacts") as store:
        (study,) = store.studies()
        assert [trial.params for trial in store.trials(study.id).values()] == [{"shares": 10}]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--backend", "rya"), "no backend named 'rya'; did you mean 'ray'?"),
        (("--address", "auto"), "'address' must be left out unless the backend is ray, was 'auto'. Add --backend ray."),
        (("--backend", "ray", "--address", "x"), "'address' must be host:port or auto, was 'x'"),
        (("--backend", "ray", "--workers", "0"), "Invalid value for '--workers'"),
    ],
)
@pytest.mark.parametrize("verb", [SWEEP, WALK], ids=["sweep", "walkforward"])
def test_bad_input_is_told_in_one_line_and_leaves_nothing_behind(desk, verb, args, message):
    done = fairlead(*verb, *args, cwd=desk)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    with TrialStore(desk / "artifacts") as store:
        assert store.studies() == []


def test_a_cluster_that_is_not_there_is_told(desk):
    """In a process that has no connection, and in time."""
    pytest.importorskip("ray")
    done = typed(*SWEEP, "--backend", "ray", "--address", "127.0.0.1:9", cwd=desk)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no Ray cluster answers at 127.0.0.1:9. Is the cluster up?")
    assert len(done.stderr.splitlines()) == 1
