"""A latch holds over restarts and days, and opens for an operator alone."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.errors import KillSwitchTriggered, StorageError
from fairlead.core.time import NS_PER_MINUTE
from fairlead.risk.monitors import (
    LATCH_FILE,
    HaltAction,
    KillLatch,
    KillSwitchSettings,
    MonitorView,
    critical,
    evaluate,
)

HOUR = 60 * NS_PER_MINUTE
SETTINGS = KillSwitchSettings.model_validate(
    {"daily": {"session": True, "strategies": ["ml"]}, "drawdown": {"strategies": ["ml"]}}
)
DAY = 20_000


def opened(tmp_path, now_ns=0, **more):
    return KillLatch(tmp_path / "risk" / "latch.json", SETTINGS, now_ns=now_ns, session=DAY, **more)


def reading(switch, **values):
    base = {"equity": 100.0, "epoch_equity": 100.0, "peak_equity": 100.0, "session_start_equity": 100.0}
    return next(r for r in critical(evaluate(MonitorView(**{**base, **values}), SETTINGS)) if r.switch.value == switch)


PNL = reading("KS_PNL", equity=90.0)
DAILY = reading("KS_DAILY", equity=90.0)
RECON = reading("KS_RECON", position_mismatches=1)
ML = reading("KS_DD", equity=80.0, strategy="ml")


def rearm(latch, now_ns, *, session=DAY + 1, **values):
    given = {"who": "ann", "reason": "checked", "is_reconciled": True, **values}
    return latch.rearm(now_ns=now_ns, session=session, **given)


def test_new_latch_is_open(tmp_path):
    latch = opened(tmp_path)
    assert not latch.is_latched()
    assert latch.limit_factor(0) == 1.0
    assert latch.refusal(only_reduces=False, now_ns=0) is None


def test_latched_blocks_what_adds_and_passes_what_reduces(tmp_path):
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=5, session=DAY)
    assert latch.action() is HaltAction.HALT_AND_FLATTEN
    assert latch.limit_factor(10**18) == 0.0
    refusal = latch.refusal(only_reduces=False, now_ns=10**18)
    assert refusal == "halted since 1970-01-01T00:00:00.000000Z by KS_PNL CRITICAL: 10, warning 3, critical 5"
    assert latch.refusal(only_reduces=True, now_ns=6) is None


def test_it_is_on_the_disk_before_trip_returns_and_survives_days(tmp_path):
    opened(tmp_path).trip(PNL, now_ns=5, session=DAY)
    again = KillLatch(tmp_path / "risk" / "latch.json", SETTINGS, now_ns=500 * HOUR, session=DAY + 20)
    assert again.is_latched()
    assert [(t.switch, t.ts_ns, t.session) for t in again.trips] == [("KS_PNL", 5, DAY)]


def test_the_write_comes_before_the_return(tmp_path, monkeypatch):
    """The file is renamed into place, and its folder flushed, within the call."""
    latch = opened(tmp_path)
    seen = []
    fsync, path = os.fsync, latch.path
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append("KS_PNL" in path.read_text()), fsync(descriptor))[1])
    latch.trip(PNL, now_ns=5, session=DAY)
    assert seen == [False, True]


def test_a_switch_trips_once_and_may_become_stricter(tmp_path):
    latch = opened(tmp_path)
    assert latch.trip(RECON, now_ns=1, session=DAY) is not None
    assert latch.trip(RECON, now_ns=2, session=DAY) is None
    assert latch.action() is HaltAction.HALT_AND_INVESTIGATE
    assert latch.trip(PNL, now_ns=3, session=DAY) is not None
    assert latch.action() is HaltAction.HALT_AND_FLATTEN


def test_manual_halt_may_be_hardened(tmp_path):
    latch = opened(tmp_path)
    for action, is_new in [("HALT_AND_INVESTIGATE", True), ("HALT_AND_FLATTEN", True), ("HALT_AND_INVESTIGATE", False)]:
        tripped = latch.trip(reading("KS_MANUAL", command=HaltAction(action)), now_ns=1, session=DAY, reason="ann: feed")
        assert (tripped is not None) == is_new
    assert latch.action() is HaltAction.HALT_AND_FLATTEN


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"trips": []}', b"[" * 100_000, b'{"checksum": 1}']
)
def test_damaged_file_means_halted(tmp_path, content):
    """The damaged file is kept, and the halt has a time from which its lock runs."""
    path = opened(tmp_path).path
    path.write_bytes(content)
    latch = opened(tmp_path, 7 * HOUR)
    assert latch.is_latched()
    assert latch.trips[0].switch == LATCH_FILE
    assert [file.read_bytes() for file in path.parent.glob("latch.json.damaged-*")] == [content]
    assert opened(tmp_path, 9 * HOUR).trips == latch.trips
    with pytest.raises(KillSwitchTriggered, match="locked until"):
        rearm(latch, 30 * HOUR)
    rearm(latch, 31 * HOUR)
    assert not opened(tmp_path, 31 * HOUR).is_latched()


def test_edited_file_means_halted(tmp_path):
    """Who takes a trip out of the file does not re-arm anything."""
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=5, session=DAY)
    held = json.loads(latch.path.read_text())
    latch.path.write_text(json.dumps({**held, "trips": []}))
    assert [t.switch for t in opened(tmp_path).trips] == [LATCH_FILE]


@settings(max_examples=40)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed_or_means_nothing(tmp_path_factory, at, flip):
    """Whatever byte is changed: still halted."""
    folder = tmp_path_factory.mktemp("latch")
    latch = opened(folder)
    latch.trip(PNL, now_ns=5, session=DAY)
    data = bytearray(latch.path.read_bytes())
    data[at % len(data)] ^= flip
    latch.path.write_bytes(bytes(data))
    assert opened(folder).is_latched()


def test_missing_file_of_a_session_that_ran_means_halted(tmp_path):
    opened(tmp_path).path.unlink()
    assert opened(tmp_path, is_expected=True).is_latched()


def test_folder_that_cannot_be_written_refuses_the_start(tmp_path):
    (tmp_path / "risk").write_text("a file")
    with pytest.raises(StorageError):
        opened(tmp_path)


def test_refusing_disk_does_not_open_the_latch(tmp_path):
    """The halt goes on, says that it is not saved, and is saved once there is room."""
    latch = opened(tmp_path)
    latch.path.unlink()
    latch.path.parent.rmdir()
    latch.path.parent.write_text("in the way")
    assert latch.trip(PNL, now_ns=5, session=DAY) is not None
    assert latch.is_latched()
    assert latch.unsaved is not None
    assert not latch.save()
    latch.path.parent.unlink()
    assert latch.save()
    assert opened(tmp_path).is_latched()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"now_ns": 24 * HOUR - 1}, "locked until 1970-01-02T00:00:00"),
        ({"who": " "}, "needs an operator and a reason"),
        ({"reason": ""}, "needs an operator and a reason"),
        ({"is_reconciled": False}, "reconcile with the broker first"),
        ({"strategy": "ml"}, "strategy 'ml' is not halted"),
    ],
)
def test_rearm_is_refused(tmp_path, values, text):
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=0, session=DAY)
    with pytest.raises(KillSwitchTriggered, match=text):
        rearm(latch, **{"now_ns": 24 * HOUR, **values})
    assert opened(tmp_path).is_latched()


def test_rearm_after_the_lock(tmp_path):
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=0, session=DAY)
    done = rearm(latch, 24 * HOUR)
    assert (done.who, done.reason) == ("ann", "checked")
    again = opened(tmp_path)
    assert not again.is_latched()
    assert again.last_rearm() == done
    assert again.trip(PNL, now_ns=25 * HOUR, session=DAY + 1) is not None


def test_a_daily_loss_is_locked_until_the_next_session_and_no_longer(tmp_path):
    latch = opened(tmp_path)
    latch.trip(DAILY, now_ns=0, session=DAY)
    with pytest.raises(KillSwitchTriggered, match=r"locked until the session after 2024-10-04"):
        rearm(latch, 100 * HOUR, session=DAY)
    rearm(latch, 15 * HOUR, session=DAY + 1)
    assert not latch.is_latched()


def test_every_lock_must_have_run_out(tmp_path):
    latch = opened(tmp_path)
    latch.trip(DAILY, now_ns=0, session=DAY)
    latch.trip(PNL, now_ns=HOUR, session=DAY)
    with pytest.raises(KillSwitchTriggered):
        rearm(latch, 24 * HOUR)
    rearm(latch, 25 * HOUR)


def test_disk_that_refuses_a_rearm_keeps_the_halt(tmp_path):
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=0, session=DAY)
    latch.path.unlink()
    latch.path.mkdir()
    with pytest.raises(StorageError):
        rearm(latch, 24 * HOUR)
    assert latch.is_latched()


def test_a_strategy_is_halted_alone(tmp_path):
    latch = opened(tmp_path)
    latch.trip(ML, now_ns=0, session=DAY)
    assert latch.is_latched("ml")
    assert not latch.is_latched("other")
    assert not latch.is_latched()
    assert latch.action() is None
    assert latch.refusal(only_reduces=False, now_ns=1, strategy="other") is None
    latch.trip(PNL, now_ns=0, session=DAY)
    assert latch.is_latched("other")
    rearm(latch, 24 * HOUR)
    assert latch.is_latched("ml")
    rearm(latch, 24 * HOUR, strategy="ml")
    assert not latch.is_latched("ml")


@pytest.mark.parametrize(("minutes", "factor"), [(0, 0), (30, 0), (30.01, 1 / 3000), (45, 0.5), (60, 1), (600, 1)])
def test_limits_grow_after_a_cool_off(tmp_path, minutes, factor):
    latch = opened(tmp_path)
    latch.trip(PNL, now_ns=0, session=DAY)
    rearm(latch, 24 * HOUR)
    now = 24 * HOUR + round(minutes * NS_PER_MINUTE)
    assert opened(tmp_path).limit_factor(now) == pytest.approx(factor, abs=1e-12)
    assert (latch.refusal(only_reduces=False, now_ns=now) == "cooling off after a re-arm") == (factor < 1)
    assert latch.refusal(only_reduces=True, now_ns=now) is None
    # Where limits are multiplied with the factor, nothing is refused for it as soon as there is any.
    scaled = latch.refusal(only_reduces=False, now_ns=now, is_scaled=True)
    assert scaled == ("cooling off after a re-arm" if factor == 0 else None)


@settings(max_examples=25)
@given(st.lists(st.integers(-HOUR, 3 * HOUR), min_size=2, max_size=20))
def test_limits_never_shrink_while_they_grow(tmp_path_factory, stamps):
    latch = opened(tmp_path_factory.mktemp("latch"))
    latch.trip(PNL, now_ns=0, session=DAY)
    rearm(latch, 24 * HOUR)
    factors = [latch.limit_factor(24 * HOUR + at) for at in sorted(stamps)]
    assert factors == sorted(factors)
    assert all(0.0 <= factor <= 1.0 for factor in factors)
