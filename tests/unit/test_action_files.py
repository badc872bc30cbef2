"""Files of corporate actions: what is read from them, and what is said of what cannot be."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from fairlead.contracts.manifests import ActionRecord
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.action_files import read_actions
from fairlead.data.dataset import Dataset
from fairlead.data.merging import merge_actions
from fairlead.data.opening import open_source
from fairlead.data.settings import DataSettings
from fairlead.data.store import BarStore
from support_bars import bar_table
from support_cli import fairlead as type_in

DAY = date_to_day(dt.date(2024, 1, 8))
OF_EVERY_KIND = (
    CorporateAction("A", DAY, ActionKind.DIVIDEND, 0.5),
    CorporateAction("A", DAY, ActionKind.SPLIT, 2.0),
    CorporateAction.stock_dividend("B", DAY, 0.05),
    CorporateAction.spin_off("B", DAY, "C", 0.25, basis=0.2),
    CorporateAction.rename("D", DAY, "E"),
    CorporateAction.merger("F", DAY, cash=3.0, shares=0.5, acquirer="A"),
    CorporateAction.merger("G", DAY, cash=3.0),
    CorporateAction.delisting("H", DAY),
    CorporateAction.delisting("I", DAY, cash=0.0),
)
CSV = """Symbol,Ex_Date,Type,Ratio,New_Symbol,Cash,Basis
A,2024-01-08,dividend,0.5,,,
A,2024-01-08,Split,2,,,
B,2024-01-08,stock dividend,0.05,,,
B,2024-01-08,spin-off,0.25,c,,0.2
D,2024-01-08,rename,,E,,
F,2024-01-08,merger,0.5,A,3,
G,2024-01-08,merger,,,3,
H,2024-01-08,delisting,,,,
I,2024-01-08,delisting,,,0,
"""


def test_every_kind_is_read_from_csv_and_json(tmp_path):
    """Columns in a vendor's words; what does not apply is empty, or left out. What a dataset writes is read as well."""
    (tmp_path / "a.csv").write_text("\ufeff" + CSV)
    (tmp_path / "a.json").write_text(json.dumps([ActionRecord.of(action).as_json() for action in OF_EVERY_KIND[::-1]]))
    assert read_actions(tmp_path / "a.csv") == OF_EVERY_KIND
    assert read_actions(tmp_path / "a.json") == OF_EVERY_KIND


@pytest.mark.parametrize("action", OF_EVERY_KIND, ids=lambda a: f"{a.symbol} {a.kind}")
def test_a_record_states_the_action_and_nothing_else(action):
    """A split or a dividend is written as it was before there were other kinds, so that old files and new are alike."""
    record = ActionRecord.of(action)
    assert ActionRecord.model_validate_json(json.dumps(record.as_json())).action() == action
    if action.kind in (ActionKind.DIVIDEND, ActionKind.SPLIT):
        assert set(record.as_json()) == {"symbol", "ex_session", "kind", "value"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,kind\nA,split\n", r"columns' must have ex_session"),
        ("symbol,ex_date,kind,ratioo\n", "no column of corporate actions named 'ratioo'"),
        ("symbol,ex_date,date,kind\n", r"ex_session' must be given once"),
        (
            "symbol,ex_date,kind,value\nA,2024-01-08,splitt,2\n",
            "line 2: no kind of corporate action named 'splitt'; did you mean 'split'",
        ),
        ("symbol,ex_date,kind,value\nA,8 Jan,split,2\n", "line 2: 'ex_session' must be a date such as 2024-01-31, was '8 Jan'"),
        ("symbol,ex_date,kind,value\nA,2024-01-08,split,two\n", "line 2: 'value' must be a number, was 'two'"),
        ("symbol,ex_date,kind,value\nA,2024-01-08,split,\n", "line 2: 'A split' must have a finite value above 0, was 0.0"),
        ("symbol,ex_date,kind\nA,2024-01-08,rename\n", "line 2: 'A rename other' must name another symbol"),
        ("symbol,ex_date,kind\nA/B,2024-01-08,delisting\n", "line 2: 'symbol' must match"),
        ("symbol,ex_date,kind,value\nA,2024-01-08,split\n", "line 2: the row has not as many cells"),
        (
            "symbol,ex_date,kind,value\nA,2024-01-08,split,2\nA,2024-01-08,split,3\n",
            "line 3: the split of A is there already, in line 2. Remove one",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ContractError, match=message):
        read_actions(tmp_path / "a.csv")


def test_what_is_no_file_of_actions_is_refused(tmp_path):
    with pytest.raises(DataNotFound, match="there is no file named"):
        read_actions(tmp_path / "a.csv")
    for name, text, error, message in [
        ("a.txt", "", DataError, "must end in .csv or .json"),
        ("a.json", "{", DataError, "cannot be read"),
        ("a.json", "{}", ContractError, "must be a list of objects"),
        ("a.json", '[{"symbol": "A", "kind": "delisting"}]', ContractError, "entry 0: columns' must have ex_session"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(error, match=message):
            read_actions(tmp_path / name)


def test_a_dataset_keeps_every_kind_and_its_hash_tells_them_apart(tmp_path):
    store = BarStore(tmp_path)
    symbols = tuple("ABCDEFGHI")
    store.write("eq", bar_table(10, symbols, daily=True), bar_size=BarSize.D1, calendar="XNYS", actions=OF_EVERY_KIND)
    opened = store.open("eq")
    assert opened.actions == OF_EVERY_KIND
    assert opened.manifest.schema_version == "1.1"
    other = [*OF_EVERY_KIND[:-1], CorporateAction.delisting("I", DAY, cash=1.0)]
    store.write("eq2", bar_table(10, symbols, daily=True), bar_size=BarSize.D1, calendar="XNYS", actions=other)
    hashes = {Dataset.load(tmp_path / name / "1d").select().content_hash for name in ("eq", "eq2")}
    assert len(hashes) == 2


def test_a_dataset_of_the_first_version_is_read(tmp_path):
    """Manifests of version 1.0 know dividends and splits, whose records have not changed."""
    store = BarStore(tmp_path)
    store.write("eq", bar_table(10, ("A",), daily=True), bar_size=BarSize.D1, calendar="XNYS", actions=OF_EVERY_KIND[:2])
    path = tmp_path / "eq" / "1d" / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": "1.1"', '"schema_version": "1.0"'))
    assert '"1.0"' in path.read_text()
    assert store.open("eq").actions == OF_EVERY_KIND[:2]


def test_two_statements_of_one_action_do_not_merge():
    known = [CorporateAction.merger("A", DAY, cash=3.0)]
    assert merge_actions(known, known) == tuple(known)
    with pytest.raises(
        ContractError, match=r"merger of A on 2024-01-08 is known with the value 0.0, cash 3.0, was .* cash 4.0"
    ):
        merge_actions(known, [CorporateAction.merger("A", DAY, cash=4.0)])
    with pytest.raises(ContractError, match=r"was the value 1\.0, other B"):
        merge_actions(known, [CorporateAction.merger("A", DAY, shares=1.0, acquirer="B")])
    two = [CorporateAction.spin_off("A", DAY, child, 1.0) for child in "BC"]
    assert merge_actions(two, ()) == tuple(two)


PRICES = "date,open,high,low,close,volume\n" + "".join(f"2024-01-{d:02d},10,10,10,10,1000\n" for d in (8, 9, 10))


def test_the_command_line_imports_them(tmp_path):
    """Once with, and once more: nothing changes. A mistake imports nothing."""
    (tmp_path / "A.csv").write_text(PRICES)
    (tmp_path / "actions.csv").write_text("symbol,ex_date,kind,value\nA,2024-01-09,dividend,0.5\n")
    words = ("data", "import", "A.csv", "--dataset", "eq", "--bar-size", "1d", "--workspace", "w", "--actions")
    for _ in range(2):
        done = type_in(*words, "actions.csv", cwd=tmp_path)
        assert done.code == 0, done.err
        (action,) = BarStore(tmp_path / "w" / "data" / "bars").open("eq").actions
        assert (action.symbol, action.value) == ("A", 0.5)
    (tmp_path / "bad.csv").write_text("symbol,ex_date,kind,value\nA,2024-01-09,dividend,-1\n")
    done = type_in(*words, "bad.csv", cwd=tmp_path)
    assert done.code == 2
    assert "line 2: 'A dividend' must have a finite value above 0, was -1.0" in " ".join(done.err.split())


def test_a_configuration_names_them_for_files_only(tmp_path):
    (tmp_path / "A.csv").write_text(PRICES)
    (tmp_path / "actions.csv").write_text("symbol,ex_date,kind,value\nA,2024-01-09,dividend,0.5\n")
    actions = str(tmp_path / "actions.csv")
    settings = DataSettings(source="csv", path=str(tmp_path / "A.csv"), bar_size="1d", actions=actions)
    (action,) = open_source(settings, start=None, end=None, workspace=tmp_path / "w").actions
    assert action.value == 0.5
    bundled = DataSettings(source="bundled", actions=actions)
    with pytest.raises(ConfigurationError, match=r"data\.actions' must not be given with a dataset, which brings its own"):
        open_source(bundled, start=None, end=None, workspace=tmp_path / "w")
