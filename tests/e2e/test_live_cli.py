"""`fairlead live` as a process: refused unless everything agrees, and a rehearsal at a broker to practise on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from servers.waiting import wait_for
from support_broker_process import client_of, serving
from support_cli import fairlead

CONFIG = """\
mode: {mode}
name: rehearsal
clock: {{type: realtime}}
data: {{type: live, feed: alpaca, url: '{stream}', symbols: [ACME], bar_size: 1min, calendar: {calendar},
        api_key: '${{KEY}}', api_secret: '${{SECRET}}', params: {{base_url: '{url}', data_url: '{url}'}}}}
execution: {{type: broker, broker: alpaca, account: {account}, api_key: '${{KEY}}', api_secret: '${{SECRET}}',
             params: {{base_url: '{url}'}}}}
risk: {{guards: {{max_gross_exposure: 1000000, max_symbol_qty: 10000, max_pos_pct: 100, trading_hours_only: false}},
        kill_switches: {{disabled: [KS_PSR]}}}}
report: {{html: false, plots: false}}
strategies: [{{name: buy_and_hold, capital: 50000, params: {{symbols: [ACME], weight: 0.5}}}}]
"""


def configured(folder, mode="live", **facts):
    known = {"url": "http://127.0.0.1:9", "stream": "ws://127.0.0.1:9", "account": "PA0000000001", "calendar": "24/7"}
    (folder / "live.yaml").write_text(CONFIG.format(mode=mode, **(known | facts)))
    return folder / "live.yaml"


@pytest.mark.parametrize(
    ("args", "environ", "told"),
    [
        ((), {}, ["environment: TR_MODE must be live", "confirmation: nobody has typed the account's id"]),
        (("--yes-live", "PA2"), {"TR_MODE": "live"}, ["confirmation: account PA0000000001 is configured, and 'PA2' was typed"]),
        (
            ("--yes-live", "PA0000000001", "-o", "execution.account=123"),
            {"TR_MODE": "live"},
            ["account: 123 is a live account"],
        ),
        (("--yes-live", "PA0000000001", "-o", "mode=paper"), {"TR_MODE": "live"}, ["'mode' must be live here, was 'paper'"]),
    ],
)
def test_it_is_refused_unless_everything_agrees(tmp_path, args, environ, told):
    configured(tmp_path)
    outcome = fairlead("live", "live.yaml", *args, cwd=tmp_path, KEY="k", SECRET="s", **environ)
    assert outcome.code == 2
    text = " ".join(outcome.err.split())
    for part in told:
        assert part in text
    assert not (tmp_path / "artifacts").exists()


def test_a_paper_configuration_reaches_no_live_address(tmp_path):
    configured(tmp_path, mode="paper", url="https://api.alpaca.markets")
    outcome = fairlead("paper", "live.yaml", cwd=tmp_path, KEY="k", SECRET="s")
    assert outcome.code == 2
    assert "is live, and the configuration is paper" in " ".join(outcome.err.split())


def has_position(client):
    time.sleep(0.5)  # a broker counts how often it is asked
    return bool(client.get_all_positions())


@pytest.mark.parametrize("mode", ["live", "paper"])
def test_a_rehearsal_trades_and_takes_back_what_works(tmp_path, mode):
    pytest.importorskip("alpaca")
    served = ("--symbols", "ACME", "--from-now", "--speed", "600x", "--cash", "50000")
    with serving(tmp_path, *served) as (facts, _), client_of(facts) as client:
        config = configured(
            tmp_path, mode, url=facts["url"], stream=facts["url"].replace("http", "ws"), account=facts["account"]
        )
        confirmed = ["--yes-live", facts["account"]] if mode == "live" else []
        environ = {**os.environ, "KEY": facts["api_key"], "SECRET": facts["api_secret"], "TR_MODE": mode}
        environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        command = [sys.executable, "-m", "fairlead", mode, str(config), *confirmed, "--json", "-w", str(tmp_path)]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        ) as run:
            try:
                wait_for(lambda: has_position(client) or run.poll() is not None, 60.0)
                run.send_signal(signal.SIGTERM)
                out, err = run.communicate(timeout=60)
            finally:
                run.kill()
        (position,) = client.get_all_positions()
        assert client.get_orders() == []
    told = json.loads(out)
    assert err.count("Traceback") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    rows = (folder / "filled_orders.csv").read_text().splitlines()
    assert len(rows) == 2
    assert f"{float(position.qty):g}" in rows[1].replace(".0", "")
    assert told["run_id"].startswith(f"{mode}_{facts['account'].lower()}_")
