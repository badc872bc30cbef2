"""The lint: one case per rule, and the style of honest strategies, on which it must stay silent."""

from __future__ import annotations

import textwrap

import pytest

from fairlead.core.errors import ConfigurationError
from fairlead.sdk import Strategy, find_strategy, lint_strategy
from fairlead.sdk.lint import LintFinding, lint_source
from fairlead.sdk.scaffold import new_strategy_source, new_strategy_test_source


def codes(source: str) -> list[tuple[int, str]]:
    return [(finding.line, finding.code) for finding in lint_source(textwrap.dedent(source).lstrip("\n"))]


REFUSED = {
    # FL001: the wall clock, under every name it can be imported by
    "time.time": ("import time\ntime.time()", 2, "FL001"),
    "time alias": ("import time as clock\nclock.monotonic()", 2, "FL001"),
    "time from": ("from time import perf_counter as now\nnow()", 2, "FL001"),
    "sleep": ("import time\ntime.sleep(1)", 2, "FL001"),
    "datetime.now": ("import datetime as dt\ndt.datetime.now(dt.UTC)", 2, "FL001"),
    "datetime from": ("from datetime import datetime\ndatetime.utcnow()", 2, "FL001"),
    "datetime.today": ("from datetime import datetime\ndatetime.today()", 2, "FL001"),
    "date.today": ("import datetime\ndatetime.date.today()", 2, "FL001"),
    "clock handed on": ("from datetime import datetime\nNOW = datetime.now", 2, "FL001"),
    "pandas now": ("import pandas as pd\npd.Timestamp.now('UTC')", 2, "FL001"),
    "pandas utcnow": ("from pandas import Timestamp\nTimestamp.utcnow()", 2, "FL001"),
    "pandas text": ("import pandas as pd\npd.to_datetime('now')", 2, "FL001"),
    "numpy text": ("import numpy as np\nnp.datetime64('today')", 2, "FL001"),
    "now of an object": ("def f(event):\n    return event.timestamp.now()", 2, "FL001"),
    "getattr": ("import time\ngetattr(time, 'time')()", 2, "FL001"),
    "inside a method": ("import time\nclass A:\n    def f(self):\n        return [time.time() for _ in 'a']", 4, "FL001"),
    "in a decorator": ("import time\n@f(time.time())\ndef g(): ...", 2, "FL001"),
    "in a default": ("import time\ndef g(now=time.time()): ...", 2, "FL001"),
    "in a lambda": ("import time\nF = lambda: time.time()", 2, "FL001"),
    "in an async function": ("import time\nasync def f():\n    time.time()", 3, "FL001"),
    "imported in a function": ("def f():\n    import time\n    return time.time()", 3, "FL001"),
    "annotated": ("import time\nSTART: float = time.time()", 2, "FL001"),
    # FL002: the network, once, at the import
    "socket": ("import socket\nsocket.socket()", 1, "FL002"),
    "requests": ("import requests as r\nr.get('x')", 1, "FL002"),
    "httpx": ("from httpx import get\nget('x')", 1, "FL002"),
    "urllib": ("import urllib.request\nurllib.request.urlopen('x')", 1, "FL002"),
    "urllib from": ("from urllib.request import urlopen", 1, "FL002"),
    "aiohttp": ("import aiohttp", 1, "FL002"),
    "websockets": ("from websockets.client import connect", 1, "FL002"),
    "in a try": ("try:\n    import requests\nexcept ImportError:\n    pass", 2, "FL002"),
    "asyncio": ("import asyncio\nasyncio.open_connection('x', 1)", 2, "FL002"),
    # FL003: files
    "open": ("open('x')", 1, "FL003"),
    "io.open": ("import io\nio.open('x')", 2, "FL003"),
    "os.remove": ("import os\nos.remove('x')", 2, "FL003"),
    "os.path": ("from os import path\npath.exists('x')", 2, "FL003"),
    "pathlib": ("from pathlib import Path\nPath('x').read_text()", 2, "FL003"),
    "pathlib write": ("def f(p):\n    p.write_bytes(b'')", 2, "FL003"),
    "path open": ("def f(p):\n    with p.open() as file: ...", 2, "FL003"),
    "read_csv": ("import pandas as pd\npd.read_csv('x')", 2, "FL003"),
    "scan_parquet": ("import polars as pl\npl.scan_parquet('x')", 2, "FL003"),
    "to_csv": ("def f(frame):\n    frame.to_csv('x')", 2, "FL003"),
    "to_parquet": ("def f(frame):\n    frame.to_parquet(path='x')", 2, "FL003"),
    "np.load": ("import numpy as np\nnp.load('x')", 2, "FL003"),
    "shutil": ("import shutil", 1, "FL003"),
    "sqlite": ("import sqlite3", 1, "FL003"),
    "pickle": ("import pickle\npickle.load(F)", 2, "FL003"),
    # FL004: processes and threads
    "subprocess": ("import subprocess\nsubprocess.run([])", 1, "FL004"),
    "os.system": ("import os\nos.system('x')", 2, "FL004"),
    "threads": ("from concurrent.futures import ThreadPoolExecutor", 1, "FL004"),
    # FL005: randomness
    "random": ("import random\nrandom.random()", 2, "FL005"),
    "random from": ("from random import choice\nchoice([1])", 2, "FL005"),
    "random seed": ("import random\nrandom.seed(1)", 2, "FL005"),
    "random.Random": ("import random\nrandom.Random()", 2, "FL005"),
    "SystemRandom": ("import random\nrandom.SystemRandom(1)", 2, "FL005"),
    "numpy": ("import numpy as np\nnp.random.rand(3)", 2, "FL005"),
    "numpy alias": ("from numpy import random as r\nr.seed(1)", 2, "FL005"),
    "numpy module handed on": ("import numpy as np\nR = np.random", 2, "FL005"),
    "default_rng": ("import numpy as np\nnp.random.default_rng()", 2, "FL005"),
    "default_rng None": ("import numpy as np\nnp.random.default_rng(seed=None)", 2, "FL005"),
    "default_rng handed on": ("from numpy.random import default_rng\nF = default_rng", 2, "FL005"),
    "generator": ("import numpy as np\nnp.random.PCG64()", 2, "FL005"),
    "uuid4": ("import uuid\nuuid.uuid4()", 2, "FL005"),
    "secrets": ("import secrets", 1, "FL005"),
    "scipy": ("from scipy.stats import norm\ndef f(d):\n    d().rvs(3)", 3, "FL005"),
    # FL006: state of the module
    "lower-case list": ("cache = []", 1, "FL006"),
    "lower-case annotated": ("cache: dict[str, int] = {}", 1, "FL006"),
    "deque": ("from collections import deque\nwindow = deque(maxlen=3)", 2, "FL006"),
    "array": ("import numpy as np\nweights = np.zeros(3)", 2, "FL006"),
    "comprehension": ("squares = {n: n * n for n in (1, 2)}", 1, "FL006"),
    "in a try block": ("try:\n    found = []\nexcept ValueError:\n    pass", 2, "FL006"),
    "constant appended to": ("SEEN = []\ndef f(x):\n    SEEN.append(x)", 1, "FL006"),
    "constant set by key": ("SEEN = {}\ndef f(x):\n    SEEN[x] = 1", 1, "FL006"),
    "constant deleted from": ("SEEN = {1: 2}\ndef f(x):\n    del SEEN[x]", 1, "FL006"),
    "constant extended": ("SEEN = [1]\nSEEN += [2]", 1, "FL006"),
    "unknown thing set by key": ("STATE = make()\ndef f(x):\n    STATE[x] = 1", 3, "FL006"),
    "attribute of a module-level thing": ("STATE = make()\ndef f(x):\n    STATE.last = x", 3, "FL006"),
    "another module changed": ("import numpy as np\nnp.threshold = 3", 2, "FL006"),
    "another module's list": ("import sys\nsys.path[0] = 'x'", 2, "FL006"),
    "global": ("N = 0\ndef f():\n    global N\n    N = 1", 3, "FL006"),
    "mutable default": ("def f(seen=[]): ...", 1, "FL006"),
    "mutable keyword default": ("def f(*, seen=dict()): ...", 1, "FL006"),
    # FL007: state of the class
    "class list": ("from fairlead.sdk import Strategy\nclass A(Strategy):\n    seen = []", 3, "FL007"),
    "class dict annotated": ("from fairlead import sdk\nclass A(sdk.Strategy):\n    seen: dict = {}", 3, "FL007"),
    "class of a class": ("class A(Strategy): ...\nclass B(A):\n    seen = set()", 3, "FL007"),
    "class constant changed": ("class A(Strategy):\n    SEEN = []\n    def f(self):\n        self.SEEN.append(1)", 2, "FL007"),
    "class constant set": ("class A(Strategy):\n    SEEN = {}\n    def f(self):\n        A.SEEN[1] = 1", 2, "FL007"),
    "class written": ("class A(Strategy):\n    n = 0\n    def f(self):\n        A.n += 1", 4, "FL007"),
    "class by type": ("class A(Strategy):\n    def f(self):\n        type(self).n = 1", 3, "FL007"),
    "class by dunder": ("class A(Strategy):\n    def f(self):\n        self.__class__.n = 1", 3, "FL007"),
    "class by cls": ("class A(Strategy):\n    @classmethod\n    def f(cls):\n        cls.n = 1", 4, "FL007"),
    "shipped base": ("from fairlead.strategies.rsi import Rsi\nclass A(Rsi):\n    seen = []", 3, "FL007"),
    # FL008: around the SDK
    "alpaca": ("from alpaca.trading.client import TradingClient", 1, "FL008"),
    "ib_async": ("import ib_async", 1, "FL008"),
    "ib_insync": ("from ib_insync import IB", 1, "FL008"),
    "ccxt": ("import ccxt.pro as x", 1, "FL008"),
    "execution": ("from fairlead.execution import simulated", 1, "FL008"),
    "engine": ("import fairlead.engine.record", 1, "FL008"),
    "data": ("from fairlead import data", 1, "FL008"),
    "house by attribute": ("import fairlead\nfairlead.backtest(1)", 2, "FL008"),
    # FL009, FL010
    "eval": ("eval('1')", 1, "FL009"),
    "importlib": ("import importlib\nimportlib.import_module('x')", 1, "FL009"),
    "dunder import": ("__import__('socket')", 1, "FL009"),
    "getattr of a module": ("import time\ndef f(name):\n    getattr(time, name)()", 3, "FL009"),
    "star": ("from time import *", 1, "FL009"),
    "environment": ("import os\nos.environ['X']", 2, "FL010"),
    "getenv": ("from os import getenv\ngetenv('X')", 2, "FL010"),
    "command line": ("import sys\nsys.argv[1]", 2, "FL010"),
    "input": ("input()", 1, "FL010"),
    "syntax": ("x = 1\ndef f(:", 2, "FL000"),
    "null byte": ("x = 1\0", 1, "FL000"),
}


@pytest.mark.parametrize(("source", "line", "code"), REFUSED.values(), ids=REFUSED)
def test_each_rule_finds_its_line_once(source, line, code):
    findings = lint_source(source, "a.py")
    assert [(f.line, f.code) for f in findings] == [(line, code)]
    assert findings[0].remedy.endswith(".")
    assert findings[0].column >= 1


ALLOWED = {
    "docstring example": """
        from fairlead.sdk import OrderIntent, Strategy, parameter

        class BuyOnce(Strategy):
            symbol: str = parameter("AAPL")
            weights: dict[str, float] = parameter({"SPY": 0.6, "TLT": 0.4})

            def generate_orders(self, context):
                held = context.portfolio.quantity(self.symbol)
                return [] if held else [OrderIntent.market(self.symbol, 10)]
        """,
    "state on self": """
        from collections import deque
        from typing import ClassVar
        import numpy as np
        from fairlead.sdk import Bar, BarSlice, Context, RiskLimits, Strategy

        class Cross(Strategy):
            version = "1.2.0"
            event_type: ClassVar[type[Bar | BarSlice]] = BarSlice
            risk_limits = RiskLimits(max_position_size=0.1)
            features = ("rsi_14",)

            def on_start(self, context: Context) -> None:
                self.window = deque(maxlen=20)
                self.totals = {}
                self.rng: np.random.Generator = context.random

            def on_market_event(self, event, context):
                self.window.append(event.close)
                self.totals[event.symbol] = float(np.mean(self.window))
                context.metadata["seen"] = context.metadata.get("seen", 0) + 1
                noise = context.random.normal()
                rows = np.append(event.open, noise)
                rows[0] = 1.0
                moment = context.current_time.date()
                self.last = getattr(event, "close", moment)

            def save_state(self):
                return {"window": list(self.window)}
        """,
    "constants": """
        import math
        from types import MappingProxyType
        __all__ = ["A"]
        WEIGHTS = {"SPY": 0.6}
        _LEVELS = [1, 2]
        names = ("a", "b")
        LIMITS = MappingProxyType({"a": 1})
        def f():
            return WEIGHTS["SPY"] * _LEVELS[0] + math.sqrt(2)
        """,
    "shadowed names": """
        import time
        WEIGHTS = {}
        def f(time, open):
            WEIGHTS = {}
            WEIGHTS["a"] = 1
            return time.time() + open("x")
        def g():
            random = [1]
            random.append(2)
            return [time for time in random]
        """,
    "own functions": """
        def open(x): return x
        def now(): return 1
        class A:
            def now(self): return self.open() + open(1) + now()
            def open(self): return 1
            def g(self): return self.now()
        """,
    "times that are given": """
        import datetime as dt
        import time
        import pandas as pd
        def f(now: dt.datetime):
            return dt.datetime(2024, 1, 1), dt.date.fromisoformat("2024-01-01"), pd.Timestamp("2024-01-01"), time.struct_time
        """,
    "seeded": """
        import random
        import numpy as np
        def f(rng: random.Random = None, other: np.random.Generator | None = None) -> np.random.RandomState:
            return np.random.default_rng(42), random.Random(1), np.random.Generator(np.random.PCG64(7))
        """,
    "text of urls and frames": """
        from urllib.parse import urlsplit
        from http import HTTPStatus
        def f(frame):
            return frame.to_csv(), frame.to_json(), urlsplit("x"), HTTPStatus.OK
        """,
    "never run": """
        from typing import TYPE_CHECKING
        import fairlead.sdk
        if TYPE_CHECKING:
            import requests
        if __name__ == "__main__":
            import fairlead
            from pathlib import Path
            print(fairlead.backtest(A(), Path("x").read_text()))
            state = {}
        else:
            X = 1
        """,
    "sdk by star and relative": """
        from fairlead.sdk import *
        from . import sibling
        from .sibling import helper
        def f(): return sibling.open(), helper.time.time()
        """,
    "other classes": """
        class Table:
            rows = []
        """,
}


@pytest.mark.parametrize("source", ALLOWED.values(), ids=ALLOWED)
def test_honest_code_is_left_alone(source):
    assert lint_source(textwrap.dedent(source)) == []


def test_an_else_of_a_main_block_is_read():
    assert codes("if __name__ == '__main__':\n    pass\nelse:\n    open('x')\n    state = []") == [(4, "FL003"), (5, "FL006")]


def test_a_finding_prints_place_code_reason_and_remedy():
    found = lint_source("import time\n\nX = 1 + time.time()", "my/strategy.py")
    expected = "FL001 time.time reads or waits on the wall clock. Use context.current_time or the event's timestamp."
    assert [str(f) for f in found] == [f"my/strategy.py:3:9: {expected}"]


def test_a_name_declared_global_is_no_local_one():
    assert codes("SEEN = []\ndef f():\n    global SEEN\n    SEEN = [0]\n    SEEN.append(1)") == [(1, "FL006"), (3, "FL006")]


def test_imports_of_a_block_that_never_runs_give_no_names():
    assert codes("if __name__ == '__main__':\n    from time import time\ndef time(): ...\nX = time()") == []


def test_findings_are_ordered_by_line():
    assert codes("x = []\nopen('x')\nimport socket\ny = {}") == [(1, "FL006"), (2, "FL003"), (3, "FL002"), (4, "FL006")]


def test_the_line_of_the_change_is_named():
    [found] = lint_source("SEEN = []\n\ndef f(x):\n    SEEN.append(x)")
    assert found.message.startswith("module-level 'SEEN', changed in line 4, is state outside")


def test_a_refused_module_is_refused_at_its_import_alone():
    assert codes("import requests\nrequests.get('a')\nrequests.get('b')") == [(1, "FL002")]


def test_scaffolded_code_is_clean():
    assert lint_source(new_strategy_source("my_cross")) == []


def test_a_class_is_linted_in_its_file_and_in_those_of_its_bases(tmp_path):
    base = tmp_path / "base.py"
    base.write_text("from fairlead.sdk import Strategy\nimport time\nT = time.time()\nclass Base(Strategy): ...\n")
    ref = f"{base}:Base"
    child = tmp_path / "child.py"
    child.write_text(f"from fairlead.sdk import find_strategy\nopen\nclass Child(find_strategy({ref!r})): ...\n")
    found = lint_strategy(find_strategy(f"{child}:Child"))
    assert [(f.filename, f.line, f.code) for f in found] == [(str(child), 2, "FL003"), (str(base), 3, "FL001")]


def test_a_path_is_linted_without_being_run(tmp_path):
    file = tmp_path / "s.py"
    file.write_bytes("# coding: latin-1\nX = 'ä'\nraise SystemExit(open)\n".encode("latin-1"))
    expected = [LintFinding(3, 18, "FL003", "open touches files", lint_source("open")[0].remedy, str(file))]
    assert lint_strategy(file) == lint_strategy(str(file)) == expected


def test_the_base_class_itself_has_nothing_to_lint():
    assert lint_strategy(Strategy) == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"# coding: klingon\n"])
def test_a_source_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "s.py"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"the source of .*s\.py cannot be read: .* Put the strategy into a file"):
        lint_strategy(file)


def test_a_class_without_a_file_is_named():
    made = type("Made", (Strategy,), {"__module__": "nowhere"})
    with pytest.raises(ConfigurationError, match="the source of Made cannot be read"):
        lint_strategy(made)


def test_the_scaffolded_test_names_its_class():
    assert "MyCross = find_strategy(" in new_strategy_test_source("my_cross")
