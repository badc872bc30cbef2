"""The way to a Ray cluster: one that runs, or one of its own on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from fairlead.core.errors import ConfigurationError

_AUTO: Final = "auto"
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_ANSWER_S: Final = 5.0
# How a client of HTTP/2 begins, and which kind of frame its server answers with.
_GREETING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS: Final = 4
_FRAME_HEAD: Final = 9
_REMEDY: Final = "Is the cluster up? Give the address that `ray start` printed, or leave it out to use this machine alone."


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of this process to Ray.

    Parameters
    ----------
    ray : module
    ours : bool
        Whether it was opened here, and has to be closed.
    """

    ray: Any
    ours: bool

    @classmethod
    def open(cls, address: str | None, *, cpus: int | None = None) -> Self:
        """Connect to a cluster, or start Ray on this machine; where this process is connected already, keep to that.

        Parameters
        ----------
        address : str, optional
            ``host:port`` or ``auto``. Without it Ray is started here, and can be reached from no other machine.
        cpus : int, optional
            How many tasks a Ray that is started here runs at a time.

        Raises
        ------
        ConfigurationError
            If Ray is not installed, nothing of Ray answers at the address, or this process is connected to another.
        """
        place = None if address in (None, _AUTO) else _host_and_port(str(address))
        with _settings(alone=address is None):
            ray = _ray()
            if ray.is_initialized():
                now = ray.get_runtime_context().gcs_address
                if address not in (None, _AUTO, now):
                    remedy = "Leave it out, or call ray.shutdown() first."
                    raise ConfigurationError.of("address", f"be {now}, to which this process is connected", address, remedy)
                return cls(ray, ours=False)
            if address == _AUTO:
                place = _found(ray)
            if place is not None:
                host, port = place
                check_answer(ray.util.get_node_ip_address() if host in _HERE else host, port)  # as Ray reads it
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            if address is None:
                options |= {"include_dashboard": False, "num_cpus": cpus}
            try:
                ray.init(address=address or "local", **options)
            except (ConnectionError, ValueError, RuntimeError) as exc:
                # Ray turns this on by itself for `auto` alone.
                token = "" if "RAY_AUTH_MODE" in os.environ else " If it asks for a token, set RAY_AUTH_MODE=token."
                told = f"cannot connect to Ray at {address or 'this machine'}: {exc}. {_REMEDY}{token}"
                raise ConfigurationError(told) from exc
        return cls(ray, ours=True)

    def close(self) -> None:
        """Leave the cluster; stop it if it was started here."""
        if self.ours:
            self.ray.shutdown()


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415  an extra
    except ImportError as exc:
        remedy = 'Install the extra: pip install "fairlead[cluster]".'
        raise ConfigurationError.of("backend", "be processes without the library Ray", "ray", remedy) from exc
    return ray


def _found(ray: Any) -> tuple[str, int]:
    """Return host and port of the cluster that runs here, or that the environment names: it may be a memory of one that ran."""
    try:
        address = ray._private.services.canonicalize_bootstrap_address_or_die(_AUTO)  # noqa: SLF001  there is no public way to ask
    except ConnectionError as exc:
        raise ConfigurationError(f"no Ray cluster was found: {exc}") from exc
    return _host_and_port(address)


@contextmanager
def _settings(*, alone: bool) -> Iterator[None]:
    """Hold what Ray reads from the environment when it is imported and started."""
    wanted = {"RAY_USAGE_STATS_ENABLED": "0"}  # it would tell its makers of each use
    if alone:
        # Its name is that of a special case; what it does is to keep every port to this machine.
        wanted["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    set_here = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in set_here})
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or "/" in host:
        remedy = "Run the command on a machine of the cluster."
        raise ConfigurationError.of("address", "be host:port or auto", address, remedy)
    return host.strip("[]"), int(port)


def check_answer(host: str, port: int) -> None:
    """Raise `ConfigurationError` unless something that may be Ray answers: Ray itself would ask again for ever."""
    told = f"no Ray cluster answers at {host}:{port}. {_REMEDY}"
    try:
        with socket.create_connection((host, port), timeout=_ANSWER_S) as connection:
            connection.settimeout(_ANSWER_S)
            connection.sendall(_GREETING)
            answer = connection.recv(_FRAME_HEAD)
    except (OSError, OverflowError) as exc:
        raise ConfigurationError(told) from exc
    encrypted = os.environ.get("RAY_USE_TLS") == "1"  # it answers nothing that is not
    if not encrypted and (len(answer) < _FRAME_HEAD or answer[3] != _SETTINGS):
        raise ConfigurationError(told)
