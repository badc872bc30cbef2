"""What the lint refuses: tables of dotted names, one code and one remedy per rule. `fairlead.sdk.lint` applies them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One rule of the lint."""

    code: str
    what: str
    """Completes "<name> ..."."""
    remedy: str


SYNTAX: Final = Rule("FL000", "cannot be parsed", "Correct the syntax; nothing else was checked.")
CLOCK: Final = Rule("FL001", "reads or waits on the wall clock", "Use context.current_time or the event's timestamp.")
NETWORK: Final = Rule("FL002", "reaches the network", "Bring the data in through a data source or a feature, before the run.")
FILES: Final = Rule("FL003", "touches files", "Use context.historical_data for data, save_state or context.metadata for state.")
PROCESS: Final = Rule("FL004", "starts or controls processes or threads", "Compute in the hook itself; the engine is one loop.")
RANDOM: Final = Rule(
    "FL005", "is randomness without the run's seed", "Use context.random: it is seeded, and its seed is recorded."
)
MODULE_STATE: Final = Rule(
    "FL006",
    "is state outside the strategy's instance",
    "Keep state on self (set it in on_start) or in context.metadata; name a constant in UPPER_CASE and never change it.",
)
CLASS_STATE: Final = Rule(
    "FL007",
    "is state on the class, shared by every instance",
    "Set it on self in on_start, or declare it with parameter(...).",
)
BROKER: Final = Rule(
    "FL008", "goes around the SDK", "Return intents from generate_orders and read the context; import fairlead.sdk alone."
)
HIDDEN: Final = Rule("FL009", "hides from this check what the code does", "Write the name or the import out plainly.")
OUTSIDE: Final = Rule("FL010", "reads an input that no run records", "Declare it with parameter(...).")


def _all(rule: Rule, names: str, prefix: str = "") -> dict[str, Rule | None]:
    return {prefix + name: rule for name in names.split()}


MODULES: Final = MappingProxyType(
    {
        **_all(
            NETWORK,
            "socket socketserver ssl http urllib urllib3 requests httpx aiohttp websockets websocket ftplib smtplib imaplib "
            "poplib telnetlib nntplib xmlrpc paramiko grpc zmq redis pika kafka confluent_kafka boto3 botocore s3fs fsspec "
            "yfinance pandas_datareader tornado twisted pycurl sqlalchemy psycopg psycopg2 asyncpg pymysql pymongo",
        ),
        # These parts of `urllib` and `http` only handle text.
        "urllib.parse": None,
        "http.HTTPStatus": None,
        **_all(FILES, "shutil tempfile sqlite3 shelve dbm glob fileinput mmap zipfile tarfile gzip bz2 lzma h5py joblib"),
        **_all(PROCESS, "subprocess multiprocessing threading _thread concurrent pty ctypes signal ray dask"),
        **_all(RANDOM, "secrets"),
        **_all(
            BROKER,
            "alpaca alpaca_trade_api ib_async ib_insync ibapi ccxt ccxtpro binance MetaTrader5 oandapyV20 v20 kiteconnect "
            "robin_stocks schwab tda tastytrade futu polygon",
        ),
        **_all(
            BROKER,
            "alpha allocation backtest bus cli config control data engine evidence execution journal planes research risk "
            "telemetry web",
            "fairlead.",
        ),
        **_all(HIDDEN, "importlib runpy imp builtins"),
    }
)
"""Modules that are refused where they are imported; None marks a harmless part of a refused module."""

_TIME: Final = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time thread_time_ns "
    "clock_gettime clock_gettime_ns sleep localtime gmtime ctime asctime strftime"
)
_OS_FILES: Final = (
    "open fdopen read write remove unlink rename renames replace mkdir makedirs rmdir removedirs link symlink truncate chmod "
    "chown listdir scandir walk stat lstat access utime chdir path.exists path.isfile path.isdir path.getmtime path.getsize"
)
_OS_PROCESS: Final = (
    "system popen fork forkpty kill killpg abort _exit execl execle execlp execv execve execvp execvpe spawnl spawnle spawnv "
    "spawnve spawnlp spawnvp posix_spawn posix_spawnp startfile nice"
)

NAMES: Final = MappingProxyType(
    {
        **_all(CLOCK, _TIME, "time."),
        **_all(CLOCK, "now utcnow today", "datetime.datetime."),
        **_all(CLOCK, "now utcnow today", "pandas.Timestamp."),
        **_all(CLOCK, "datetime.date.today asyncio.sleep arrow.now arrow.utcnow pendulum.now pendulum.today"),
        **_all(NETWORK, "open_connection start_server create_connection", "asyncio."),
        **_all(FILES, "builtin.open io.open io.FileIO codecs.open pickle.load pickle.dump"),
        **_all(FILES, _OS_FILES, "os."),
        **_all(FILES, "load save savez savez_compressed savetxt loadtxt genfromtxt fromfile memmap", "numpy."),
        **_all(FILES, "HDFStore ExcelFile ExcelWriter", "pandas."),
        **_all(PROCESS, _OS_PROCESS, "os."),
        **_all(PROCESS, "create_subprocess_exec create_subprocess_shell to_thread", "asyncio."),
        **_all(RANDOM, "random numpy.random os.urandom uuid.uuid1 uuid.uuid4"),
        **_all(HIDDEN, "eval exec compile __import__ globals", "builtin."),
        "sys.modules": HIDDEN,
        **_all(OUTSIDE, "os.environ os.environb os.getenv os.getpid sys.argv sys.stdin builtin.input"),
        # Types and bit generators draw nothing; those that must be given a seed stand in SEEDED.
        **dict.fromkeys(("numpy.random.Generator", "numpy.random.BitGenerator"), None),
    }
)
"""Names that are refused wherever they are read; an entry covers everything below it."""

READERS: Final = ("pandas.read_", "polars.read_", "polars.scan_", "pyarrow.parquet.", "pyarrow.csv.")
"""Whole families of file functions, by prefix."""

_BIT_GENERATORS: Final = ("PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937")

SEEDED: Final = frozenset(
    {"random.Random"} | {f"numpy.random.{n}" for n in ("default_rng", "SeedSequence", "RandomState", *_BIT_GENERATORS)}
)
"""Generators that are repeatable when called with a seed, and only then."""

NOW_TEXT: Final = frozenset({"pandas.Timestamp", "pandas.to_datetime", "numpy.datetime64"})
"""Constructors that read the clock when given "now" or "today"."""

METHODS: Final = MappingProxyType(
    {
        **_all(CLOCK, "now utcnow today"),
        **_all(FILES, "open read_text write_text read_bytes write_bytes unlink mkdir rmdir touch iterdir rglob is_file is_dir"),
        **_all(FILES, "tofile write_csv write_parquet write_json write_ipc sink_csv sink_parquet"),
    }
)
"""Methods that are refused on an object of unknown type."""

WRITERS: Final = frozenset(
    {f"to_{form}" for form in ("csv", "json", "parquet", "pickle", "excel", "hdf", "feather", "sql", "stata", "orc", "html")}
)
"""Methods of frames that write when given a target, and return text otherwise."""

MUTATORS: Final = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "add", "update", "setdefault", "fill"}
    | {"pop", "popleft", "popitem", "remove", "discard", "clear", "sort", "reverse"}
)

MUTABLE_CALLS: Final = frozenset(
    {f"builtin.{n}" for n in ("list", "dict", "set", "bytearray")}
    | {f"collections.{n}" for n in ("defaultdict", "deque", "Counter", "OrderedDict")}
    | {f"numpy.{n}" for n in ("array", "zeros", "ones", "empty", "full")}
    | {f"itertools.{n}" for n in ("count", "cycle")}
)


def rule_for(dotted: str) -> Rule | None:
    """Return the rule that refuses reading `dotted`, decided by its longest listed prefix."""
    if dotted.startswith(READERS):
        return FILES
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        head = ".".join(parts[:end])
        if head in NAMES:
            return NAMES[head]
        if head in MODULES:
            return MODULES[head]
    return None


def module_rule_for(dotted: str) -> tuple[str, Rule] | None:
    """Return the listed module and the rule that refuses importing `dotted`, or None."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        head = ".".join(parts[:end])
        if head in MODULES:
            rule = MODULES[head]
            return None if rule is None else (head, rule)
    return None
