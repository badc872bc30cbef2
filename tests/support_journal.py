"""Journals for tests: entries in numbers, a real PostgreSQL server, and a writer that dies."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from fairlead.core.orders import Order, OrderStatus, OrderType, Side, TimeInForce
from fairlead.journal import Entry, Kind

NS = 10**18
BINARIES = ("initdb", "pg_ctl", "postgres")


def numbered(i: int) -> Entry:
    """The i-th entry of a long story; any process can tell it again."""
    kind = list(Kind)[i % len(Kind)]
    return Entry(NS + i, kind, {"i": i, "price": i / 7, "text": "é" * (i % 40)}, f"s{i % 3}", "ACME", f"order-{i % 5}")


def made_order() -> Order:
    order = Order(
        *("id-1", "key", "ACME_20250106", "trend", "ACME", Side.BUY, 0.1 + 0.2, OrderType.STOP_LIMIT, NS, NS + 5),
        limit_price=101.1,
        stop_price=100.3,
        time_in_force=TimeInForce.GTC,
        trail_percent=None,
    )
    order.move_to(OrderStatus.SUBMITTED, NS + 5)
    return order


def folder_of_postgres() -> Path | None:
    """Where the distribution put the server; None if it has none."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += [Path("/usr/local/pgsql/bin"), Path("/opt/homebrew/bin"), Path("/usr/pgsql/bin")]
    return next((place for place in places if all((place / name).exists() for name in BINARIES)), None)


def why_no_postgres() -> str:
    """What is missing for a PostgreSQL of one's own; empty if nothing is."""
    if folder_of_postgres() is None:
        return "no PostgreSQL server on this machine (initdb, pg_ctl, postgres): install the distribution's package postgresql"
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL refuses to run as root, and there is no setpriv to run it as someone else"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the package psycopg is not installed: pip install 'fairlead[postgres]'"
    return ""


class PostgresServer:
    """A PostgreSQL server of one's own, on a socket in a folder of its own; no port."""

    def __enter__(self) -> Self:
        # Not pytest's tmp_path: the path of a socket may have no more than 107 characters, and another user must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._as: list[str] = []
        if os.geteuid() == 0:
            import pwd

            names = {entry.pw_name for entry in pwd.getpwall()}
            user = "postgres" if "postgres" in names else "nobody"
            entry = pwd.getpwnam(user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self._as = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        try:
            self._run("initdb", "-D", str(self.data), "-U", "fairlead", "--auth=trust", "-E", "UTF8", "--locale=C", "-N")
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it."""
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder)}
        text = " ".join(f'-c "{name}={value}"' for name, value in options.items())
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", text, "start")

    def stop(self) -> None:
        """Stop it as a power cut would."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    @property
    def url(self) -> str:
        return f"postgresql://fairlead@/postgres?host={self.folder}"

    def execute(self, *statements: str) -> None:
        """Run statements, each by itself."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def new_place(self, name: str) -> str:
        """Make a schema and return the URL of which it is the place: it takes a tenth of the time of a database."""
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"

    def _run(self, program: str, *arguments: str) -> None:
        place = folder_of_postgres()
        assert place is not None
        command = [*self._as, str(place / program), *arguments]
        # No pipe: the server keeps the streams of who started it, and would hold a pipe open.
        with (self.folder / "out").open("w+") as out:
            done = subprocess.run(command, cwd="/", check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            out.seek(0)
            assert done.returncode == 0, f"{program}: {out.read()}"
