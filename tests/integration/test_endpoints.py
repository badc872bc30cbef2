"""Metrics, health and readiness over real sockets, with clients of every manner."""

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.core.redaction import Secrets
from fairlead.telemetry import READY_CHECKS, Endpoints, EndpointSettings, Heartbeat, Metrics, Readiness
from fairlead.telemetry.families import FILLS, REJECTS

PATIENCE_S = 20.0


class Monotonic:
    def __init__(self):
        self.s = 1_000.0

    def __call__(self):
        return self.s


class Desk:
    def __init__(self, **settings):
        self.monotonic = Monotonic()
        self.metrics = Metrics(CollectorRegistry())
        self.heartbeat = Heartbeat(monotonic=self.monotonic)
        self.readiness = Readiness(secrets=Secrets(["hunter22"]))
        chosen = EndpointSettings(**{"port": 0, "timeout_s": 20.0, **settings})
        self.server = Endpoints(chosen, self.metrics, self.heartbeat, self.readiness)

    def get(self, path, method="GET"):
        """Status, headers and body."""
        request = urllib.request.Request(f"{self.server.url}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers, refused.read()

    def json(self, path):
        status, _, body = self.get(path)
        return status, json.loads(body)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE_S)

    def gone(self):
        """How many clients are left when those that there were have been dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while self.server.clients and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # a busy machine may be too slow for a server that is so hasty
                self.get("/health")
        return self.server.clients

    def say(self, data):
        """What comes back for raw bytes, until the server hangs up."""
        with self.connect() as client:
            client.sendall(data)
            return everything(client)


def everything(client):
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionError:  # hung up without a word
        pass
    return b"".join(parts)


@pytest.fixture
def desk():
    desk = Desk()
    with desk.server:
        yield desk


@pytest.fixture
def hasty():
    """A server that waits for nobody longer than a fraction of a second."""
    desk = Desk(timeout_s=0.5, max_clients=4)
    with desk.server:
        yield desk


def test_metrics_are_read_by_prometheus(desk):
    desk.metrics.counter(FILLS).inc(3)
    status, headers, body = desk.get("/metrics?name=x")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(headers["Content-Length"]) == len(body)
    found = {sample.name: sample.value for f in text_string_to_metric_families(body.decode()) for sample in f.samples}
    assert found == {"fills_total": 3.0, "errors_total": 0.0}  # the second counts the server's own


def test_health_is_the_age_of_the_heartbeat(desk):
    assert desk.json("/health") == (200, {"status": "alive", "heartbeat_age_s": 0.0, "heartbeat_limit_s": 5.0})
    desk.monotonic.s += 4.999
    assert desk.json("/health")[0] == 200
    desk.monotonic.s += 0.001
    assert desk.json("/health") == (503, {"status": "stalled", "heartbeat_age_s": 5.0, "heartbeat_limit_s": 5.0})
    desk.heartbeat.beat()
    assert desk.json("/health")[1]["status"] == "alive"


def test_ready_names_what_fails(desk):
    status, body = desk.json("/ready")
    assert status == 503
    assert body["failing"] == list(READY_CHECKS) == ["bus", "broker", "data_fresh", "state_loaded", "kill_latch"]
    assert body["checks"]["bus"] == "not reported yet"
    for name in READY_CHECKS:
        desk.readiness.report(name, None)
    assert desk.json("/ready") == (200, {"ready": True, "failing": [], "checks": dict.fromkeys(READY_CHECKS, "ok")})
    desk.readiness.report("kill_latch", "daily loss, since 14:30")
    status, body = desk.json("/ready")
    assert (status, body["ready"], body["failing"], body["checks"]["kill_latch"]) == (
        503,
        False,
        ["kill_latch"],
        "daily loss, since 14:30",
    )


def test_a_check_is_asked_each_time_and_one_that_raises_fails_without_telling_secrets(desk):
    for name in READY_CHECKS:
        desk.readiness.report(name, None)
    age = {"s": 1.0}
    desk.readiness.watch("data_fresh", lambda: None if age["s"] < 60 else f"{age['s']} s old")
    assert desk.json("/ready")[0] == 200
    age["s"] = 61.0
    assert desk.json("/ready")[1]["checks"]["data_fresh"] == "61.0 s old"

    def broken():
        raise OSError("login hunter22 refused")

    desk.readiness.watch("broker", broken)
    status, body = desk.json("/ready")
    assert (status, body["checks"]["broker"]) == (503, "the check raised OSError: login (redacted) refused")
    with pytest.raises(UnknownName, match="no readiness check named 'brokr'; did you mean 'broker'"):
        desk.readiness.report("brokr", None)


def test_other_paths_and_methods(desk):
    assert desk.get("/")[0] == 404
    status, headers, _ = desk.get("/metrics", method="POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = desk.get("/health", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\xff\x13\x37 nonsense\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /health\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /health HTTP/9.9\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /" + b"a" * 100_000, b"HTTP/1.1 431 "),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 "),
    ],
)
def test_nonsense_gets_a_short_answer(desk, sent, status):
    with desk.connect() as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        reply = everything(client)
    # A request beyond the limit is hung up on while it is still being sent: the answer may be lost with it.
    assert reply.startswith(status) or (len(sent) > 8_192 and reply == b"")
    assert reply.count(b"HTTP/1.1 ") <= 1
    assert desk.json("/health")[0] == 200


def test_clients_that_stay_silent_trickle_or_do_not_read_are_dropped(hasty):
    silent, half = hasty.connect(), hasty.connect()
    with silent, half:
        half.sendall(b"GET /metrics HTT")
        assert everything(silent) == b""
        assert everything(half) == b""
    # More than the buffers of both ends hold.
    for i in range(900):
        hasty.metrics.counter(REJECTS).labels(f"{i:010000}").inc()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        deaf.settimeout(PATIENCE_S)
        deaf.connect(("127.0.0.1", hasty.server.port))
        deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert hasty.json("/health")[0] == 200
        # It reads nothing, until the server has given up on it: what is left is then short of what was promised.
        assert hasty.gone() == 0
        head, _, body = everything(deaf).partition(b"\r\n\r\n")
        assert len(body) < int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])


def test_no_more_clients_than_there_may_be():
    desk = Desk(max_clients=2)
    with desk.server:
        waiting = [desk.connect() for _ in range(2)]
        try:
            # Each is served once the server has taken note of it: its half of a request is then being waited for.
            for client in waiting:
                client.sendall(b"GET /health HT")
            assert desk.say(b"GET /health HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 ")
            for client in waiting:
                client.sendall(b"TP/1.1\r\n\r\n")
                assert everything(client).startswith(b"HTTP/1.1 200 ")
        finally:
            for client in waiting:
                client.close()
        assert desk.json("/health")[0] == 200


def test_clients_that_reset_disturb_nothing(desk):
    for _ in range(20):
        client = desk.connect()
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert desk.json("/health")[0] == 200


def test_many_at_once(desk):
    statuses = []

    def ask():
        statuses.extend(desk.get(path)[0] for path in ("/metrics", "/health", "/ready") * 5)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 60 + [503] * 30


def test_a_collector_that_raises_is_an_error_of_the_server_alone():
    registry = CollectorRegistry()

    class Broken:
        def describe(self):
            return []

        def collect(self):
            raise RuntimeError("no")

    desk = Desk()
    desk.metrics = Metrics(registry)
    registry.register(Broken())
    server = Endpoints(EndpointSettings(port=0), desk.metrics, desk.heartbeat, desk.readiness)
    desk.server = server
    with server:
        assert desk.get("/metrics")[0] == 500
        assert desk.get("/health")[0] == 200


def test_it_ends_at_once_whoever_is_connected_and_may_begin_again():
    desk = Desk(timeout_s=60.0)
    before = threading.active_count()
    with desk.server:
        client = desk.connect()
        client.sendall(b"GET /hea")
        desk.json("/health")
    with client:
        assert everything(client) == b""
    assert threading.active_count() == before
    desk.server.close()
    with pytest.raises(OSError):
        desk.connect()
    with desk.server:
        desk.server.start()
        assert desk.json("/health")[0] == 200


def test_a_port_that_is_taken_is_one_clear_error(desk):
    second = Endpoints(EndpointSettings(port=desk.server.port), desk.metrics, desk.heartbeat, desk.readiness)
    text = f"cannot listen on 127.0.0.1 port {desk.server.port}: Address already in use. Choose another port, or 0"
    with pytest.raises(ConfigurationError, match=text):
        second.start()
    second.close()


STARVED = """
import os, resource
from prometheus_client import CollectorRegistry
from fairlead.core.errors import ConfigurationError
from fairlead.telemetry import Endpoints, EndpointSettings, Heartbeat, Metrics, Readiness

server = Endpoints(EndpointSettings(port=0), Metrics(CollectorRegistry()), Heartbeat(), Readiness())
free = os.dup(0)
os.close(free)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for more in range(4):
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, hard))
    try:
        server.start()
    except ConfigurationError as exc:
        print(exc)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
with server:
    print("serves", server.port > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_process_that_may_open_no_more_files_is_told_so():
    """Wherever it runs out: for the poll, for its two ends of a pipe, or for the socket."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STARVED], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    *refused, last = done.stdout.splitlines()
    assert last == "serves True"
    assert len(refused) == 4
    assert all(line.startswith("cannot listen on 127.0.0.1 port 0: Too many open files. ") for line in refused)


def test_it_listens_on_loopback_unless_told_otherwise(desk):
    assert EndpointSettings().host == "127.0.0.1"
    assert desk.server.url == f"http://127.0.0.1:{desk.server.port}"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_the_other_loopback():
    desk = Desk(host="::1")
    try:
        desk.server.start()
    except ConfigurationError:
        pytest.skip("this machine has no ::1")
    with desk.server:
        assert desk.server.url == f"http://[::1]:{desk.server.port}"
        assert desk.json("/health")[0] == 200


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"port": 70_000}, "'endpoints.port' must be from 0 to 65535, was 70000"),
        ({"timeout_s": 0}, r"'endpoints.timeout_s' must be in \(0, 60\], was 0"),
        ({"max_clients": 0}, "'endpoints.max_clients' must be from 1 to 1000, was 0"),
        ({"host": "localhost"}, "'endpoints.host' must be an IP address, was 'localhost'. Give 127.0.0.1"),
    ],
)
def test_settings_are_checked(wrong, text):
    with pytest.raises(ConfigurationError, match=text):
        EndpointSettings(**wrong)


def test_a_heartbeat_and_checks_need_sense():
    with pytest.raises(ConfigurationError, match="'limit_s' must be above 0, was 0"):
        Heartbeat(0)
    with pytest.raises(ConfigurationError, match="'names' must hold at least one check"):
        Readiness(())
