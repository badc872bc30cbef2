"""A line that is run again: the same bytes, no order twice, and no other line under its name."""

import datetime as dt

import polars as pl

from support_cli import tree
from support_factory import config, manifest, rows, run_line, write_minutes

INSIDE_BARS = {"model": "insidebar", "params": {"score_sessions": 2}}


def test_two_runs_into_two_workspaces_are_the_same_bytes(tmp_path):
    plain = config(run_id="small", signals=INSIDE_BARS)
    assert run_line(tmp_path, plain, workspace="a").code == run_line(tmp_path, plain, workspace="b").code == 0
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert {name for name in first if first[name] != second.get(name)} == {
        "runs/small/manifest.json",
        "runs/small/run_steps.jsonl",
    }
    assert first.keys() == second.keys()
    told = [manifest(tmp_path, workspace=name) for name in "ab"]
    assert all(one.pop("created_at") for one in told)
    assert told[0] == told[1]


def test_runs_of_other_names_differ_in_what_follows_from_the_name_alone(tmp_path):
    for name in ("one", "two"):
        assert run_line(tmp_path, config(run_id=name)).code == 0
    follows = ("order_id", "idempotency_key", "run_id", "trade_id", "fill_id", "signal_id")
    for file in ("runs/{}/trades.csv", "runs/{}/filled_orders.csv", "runs/{}/orders.csv", "factory/{}/signals.csv"):
        found = []
        for name in ("one", "two"):
            kept = [{k: v for k, v in row.items() if k not in follows} for row in rows(tmp_path / "w" / file.format(name))]
            found.append(kept)
        assert found[0] == found[1]
        assert found[0]
    for file in ("metrics.json", "equity_curve.csv", "equity_curve.png", "drawdown_curve.png"):
        assert len({(tmp_path / "w/runs" / name / file).read_bytes() for name in ("one", "two")}) == 1


def test_the_same_name_again_writes_no_order_twice(tmp_path):
    plain = config(run_id="small")
    assert run_line(tmp_path, plain).code == 0
    before = tree(tmp_path / "w")
    assert run_line(tmp_path, plain).code == 0
    after = tree(tmp_path / "w")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"runs/small/manifest.json", "runs/small/run_steps.jsonl"}


def test_orders_that_a_crash_cut_off_are_completed(tmp_path):
    """A run that died within its orders is run again: what was whole stays, what was torn is put aside and written again."""
    plain = config(run_id="small")
    assert run_line(tmp_path, plain).code == 0
    orders = tmp_path / "w/factory/small/orders.csv"
    whole = orders.read_bytes()
    orders.write_bytes(whole[: len(whole) // 2])
    assert run_line(tmp_path, plain).code == 0
    assert orders.read_bytes() == whole
    assert (tmp_path / "w/factory/small/orders.csv.torn").exists()


def test_the_same_name_for_another_configuration_is_refused(tmp_path):
    assert run_line(tmp_path, config(run_id="small")).code == 0
    before = tree(tmp_path / "w")
    done = run_line(tmp_path, config(run_id="small"), "-o", "candidates.max_candidates=1")
    assert done.code == 2
    assert "'run_id' must not be that of a run with another configuration, was 'small'" in done.err
    assert tree(tmp_path / "w") == before


def test_orders_that_differ_from_those_written_stop_the_line(tmp_path):
    """The data has changed under a name whose orders are written: rows never change."""
    data = write_minutes(tmp_path / "m") | {"path": "m"}
    assert run_line(tmp_path, config(run_id="small", data=data)).code == 0
    for path in (tmp_path / "m").iterdir():
        frame = pl.read_parquet(path)
        frame.with_columns(pl.col("OPEN", "HIGH", "LOW", "CLOSE") + 1.0).write_parquet(path)
    orders = (tmp_path / "w/factory/small/orders.csv").read_bytes()
    done = run_line(tmp_path, config(run_id="small", data=data))
    assert done.code == 1
    assert "another content. Rows never change" in done.err
    assert (tmp_path / "w/factory/small/orders.csv").read_bytes() == orders
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"


def test_orders_that_no_signal_stands_for_any_more_stop_the_line(tmp_path):
    """The data has lost its last days: what was ordered on them is not traded again."""
    data = write_minutes(tmp_path / "m") | {"path": "m"}
    plain = config(run_id="small", data=data, enforcement={"slas": "warn"})
    assert run_line(tmp_path, plain).code == 0
    for path in (tmp_path / "m").iterdir():
        pl.read_parquet(path).filter(pl.col("ts").dt.date() <= dt.date(2024, 3, 12)).write_parquet(path)
    assert run_line(tmp_path, plain, workspace="anew").code == 0
    made = [(tmp_path / name / "factory/small/orders.csv") for name in ("w", "anew")]
    before, others = made[0].read_bytes(), len(rows(made[0])) - len(rows(made[1]))
    assert others > 0
    done = run_line(tmp_path, plain)
    assert done.code == 1
    assert f"'orders.csv' must hold none but the orders of this line, was '{others} others, the first " in done.err
    assert made[0].read_bytes() == before
    assert manifest(tmp_path)["result"]["status"] == "FAILED_PRECONDITION"


def test_the_name_of_another_kind_of_run_is_refused(tmp_path):
    other = tmp_path / "w/runs/small"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text("{}")
    done = run_line(tmp_path, config(run_id="small"))
    assert done.code == 2
    assert "'run_id' must not be that of another run, was 'small'" in done.err
    assert tree(tmp_path / "w") == {"runs/small/manifest.json": tree(other)["manifest.json"]}


def test_the_manifest_says_what_the_line_was_made_of(tmp_path):
    assert run_line(tmp_path, config(run_id="small")).code == 0
    told = manifest(tmp_path)
    assert told["params"]["minutes"] == 30
    assert told["params"]["line"]["data"]["seed"] == 42
    assert told["params"]["line"]["candidates"]["max_candidates"] == 2
    assert told["sizing"]["equity"] == "10000.0"
    assert told["strategy"] == "opening_range"
    assert str(tmp_path) not in (tmp_path / "w/runs/small/manifest.json").read_text()


def test_a_line_that_ends_earlier_makes_the_same_orders_until_then(tmp_path):
    """Cutting the future changes no candidate, signal, order or trade before it."""
    whole = config(run_id="small", signals=INSIDE_BARS)
    cut = config(run_id="small", signals=INSIDE_BARS, data=whole["data"] | {"end": "2024-03-12"})
    assert run_line(tmp_path, whole, workspace="whole").code == run_line(tmp_path, cut, workspace="cut").code == 0
    handed = [tmp_path / name / "factory/small" for name in ("whole", "cut")]
    for path in (handed[1] / "candidates").iterdir():
        assert path.read_bytes() == (handed[0] / "candidates" / path.name).read_bytes()
    for name in ("signals.csv", "rejects.csv", "orders.csv"):
        longer, shorter = ((folder / name).read_bytes() for folder in handed)
        assert longer.startswith(shorter)
        assert len(longer) > len(shorter) > 300
    longer, shorter = (rows(tmp_path / name / "runs/small/trades.csv") for name in ("whole", "cut"))
    assert shorter == longer[: len(shorter)] != []
