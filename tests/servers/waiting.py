"""Waiting for what a server in another thread does."""

import time

PATIENCE_S = 10.0


def wait_for(condition, patience_s=PATIENCE_S):
    """Wait until something has come about."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)
