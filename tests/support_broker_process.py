"""A broker to practise on, as a process of its own, and the official client that speaks with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

from servers.alpaca_clients import TradingClient

SERVE = ("dev", "broker-server")


@contextlib.contextmanager
def serving(folder, *args, broker="alpaca"):
    """A server as a process, and what it says of itself."""
    command = [sys.executable, "-m", "fairlead", *SERVE, broker, "--port", "0", "--json", *args]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FAIRLEAD_HOME": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        try:
            yield json.loads(text), process
        finally:
            process.kill()


@contextlib.contextmanager
def client_of(facts):
    client = TradingClient(facts["api_key"], facts["api_secret"], url_override=facts["url"])
    yield client
    client._session.close()
