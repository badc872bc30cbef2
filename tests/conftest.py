"""Settings of the whole suite."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from support_cluster import TwoNodes

# Before Ray is imported by anyone: it keeps its ports to this machine, tells nobody that it is used, and makes no token in
# the home folder.
os.environ.update(
    {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
)

# Two workers share two cores: a deadline would measure the machine, not the code. The same examples every time, so that a
# failure in one place is a failure in all; `make search` looks for new ones.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("FAIRLEAD_EXAMPLES", "suite"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[TwoNodes]:
    """A Ray cluster of two nodes on this machine, to which this process is connected. Mark tests that use it with `on_ray`."""
    pytest.importorskip("ray")
    with TwoNodes() as found:
        yield found
