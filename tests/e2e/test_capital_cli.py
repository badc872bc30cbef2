"""`fairlead session set-capital` against a paper session that trades."""

import pytest

from fairlead.backtest.rundir import write_run
from support_cli import fairlead
from support_operated import RUN, buy, journal_of, of_kind, operated

CALM = "{disabled: [KS_PNL, KS_DD, KS_PSR]}"


@pytest.fixture
def desk(tmp_path):
    """A session in the workspace of a folder, which holds 600 shares of 100."""
    workspace = tmp_path / "artifacts"
    workspace.mkdir()
    with operated(workspace, "alpha", "beta", switches=CALM) as session:
        session.minute(100.0, alpha=buy(600))
        session.minute(100.0)
        session.cwd = tmp_path
        yield session


def test_capital_from_the_command_line_to_the_report(desk):
    asked = ("session", "set-capital", "alpha", "150000", "--why", "second week", "--who", "ann")
    done = fairlead(*asked, cwd=desk.cwd)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"ok set_capital {RUN}",
        "  after: 150000.0",
        "  before: 100000.0",
        "  cash: 90000.0",
        "  paid: 50000.0",
        "  strategy: alpha",
    ]
    told = fairlead("session", "status", "--json", cwd=desk.cwd).json["answer"]
    assert [(one["name"], one["capital"]) for one in told["strategies"]] == [("alpha", 150_000.0), ("beta", 100_000.0)]
    shown = fairlead("session", "status", cwd=desk.cwd).out
    assert "capital 150000.0, equity 150000.0, name alpha" in shown
    desk.minute(101.0)
    write_run(desk.end(), desk.cwd / "artifacts", report=False, plots=False)
    (change,) = of_kind(journal_of(desk.folder), "config_change")
    assert change == {"setting": "capital", "before": 100_000.0, "after": 150_000.0, "who": "ann", "reason": "second week"}
    run = fairlead("runs", "show", RUN, "--json", cwd=desk.cwd).json
    assert (run["metrics"]["cash_flows"], run["metrics"]["final_cash"]) == (50_000.0, 250_600.0)
    assert run["metrics"]["total_return"] == pytest.approx(600 / 250_000)
    assert any("paid in or taken out while it ran, +50,000.00 in all" in note for note in run["warnings"])


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (("alpha", "59999"), 1, "'capital of alpha' must be at least 60,000.00, as no more than 40,000.00 can be taken out"),
        (("gamma", "5"), 1, "no strategy named 'gamma'. Known: alpha, beta."),
        (("alpha", "-1"), 2, ""),
        (("alpha", "inf"), 2, "'amount' must be a finite number of at least 0, in currency"),
        (("alpha", "much"), 2, "AMOUNT"),
        (("alpha",), 2, "AMOUNT"),
    ],
)
def test_what_is_refused_changes_nothing(desk, args, code, error):
    done = fairlead("session", "set-capital", *args, "--why", "x", cwd=desk.cwd)
    assert (done.code, done.out) == (code, "")
    assert error in done.err
    assert desk.status["equity"] == 200_000.0
    assert desk.end().record.cash_flows == []
