"""Where a gateway may be, what account must be behind it, and when its broker restarts."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from fairlead.core.errors import BrokerAccess
from fairlead.core.time import to_ns
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings
from fairlead.execution.brokers.ibkr.settings import IbkrSettings, ResetSettings


@pytest.mark.parametrize(("port", "kind"), [(4001, "live"), (7496, "live"), (4002, "paper"), (7497, "paper")])
def test_a_known_port_says_what_kind_it_is_for(port, kind):
    assert EndpointSettings(port=port).kind_of_account == kind
    assert EndpointSettings(port=port, kind=kind).is_paper == (kind == "paper")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"host": "192.168.1.5"}, r"'host' must be one of 127\.0\.0\.1"),
        ({"host": "0.0.0.0"}, "tunnel it"),
        ({"port": 4003}, "Say kind: paper or live"),
        ({"port": 4002, "kind": "live"}, "'kind' must be paper, as port 4002 is"),
        ({"port": 7496, "kind": "paper"}, "'kind' must be live, as port 7496 is"),
        ({"port": 4001, "account": "DU1234567"}, "'account' must be of the kind of port 4001, live"),
        ({"port": 4002, "account": "U1234567"}, "'account' must be of the kind of port 4002, paper"),
        ({"client_id": 0}, "greater than or equal to 1"),
        ({"client_id": 33}, "less than or equal to 32"),
        ({"account": "secret"}, "pattern"),
    ],
)
def test_what_is_not_safe_is_refused(given, rule):
    with pytest.raises(ValidationError, match=rule):
        EndpointSettings(**given)


def test_any_other_port_needs_to_be_told_its_kind():
    assert EndpointSettings(port=12_345, kind="live").kind_of_account == "live"


@pytest.mark.parametrize(
    ("given", "managed", "says"),
    [
        ({}, ("U1234567",), "port 4002 is for a paper account, and U1234567 is a live one"),
        ({"port": 4001}, ("DU1234567",), "port 4001 is for a live account, and DU1234567 is a paper one"),
        ({}, ("DU1", "DU2"), "has the accounts DU1, DU2. Say which one"),
        ({}, (), r"has the accounts \(none\)"),
        ({"account": "DU777"}, ("DU1", "DU2"), "does not have account DU777; it has DU1, DU2"),
    ],
)
def test_an_account_that_is_not_the_one_is_refused(given, managed, says):
    with pytest.raises(BrokerAccess, match=says):
        EndpointSettings(**given).choose_account(managed)


def test_the_account_is_the_only_one_or_the_one_that_is_named():
    assert EndpointSettings().choose_account(("DU1",)) == "DU1"
    assert EndpointSettings(account="DU222").choose_account(("DU1", "DU222")) == "DU222"


def test_one_client_id_is_kept_for_emergencies():
    ids = IbkrSettings(client_id=30).client_ids()
    assert ids[:4] == (30, 31, 1, 2)
    assert sorted(ids) == list(range(1, 32))
    with pytest.raises(ValidationError, match="kept for emergencies"):
        IbkrSettings(client_id=32)


def utc(*parts):
    return to_ns(dt.datetime(*parts, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        ((2024, 1, 2, 20, 0), (2024, 1, 3, 4, 45), (2024, 1, 3, 6, 45)),  # the afternoon before
        ((2024, 1, 3, 4, 50), (2024, 1, 3, 4, 45), (2024, 1, 3, 6, 45)),  # within, before midnight
        ((2024, 1, 3, 6, 0), (2024, 1, 3, 4, 45), (2024, 1, 3, 6, 45)),  # within, after midnight
        ((2024, 1, 3, 6, 45), (2024, 1, 4, 4, 45), (2024, 1, 4, 6, 45)),  # it is over
        ((2024, 7, 2, 20, 0), (2024, 7, 3, 3, 45), (2024, 7, 3, 5, 45)),  # summer time
        ((2024, 3, 10, 3, 0), (2024, 3, 10, 4, 45), (2024, 3, 10, 6, 45)),  # before the hour that is left out
    ],
)
def test_the_nightly_reset_by_the_clock_of_new_york(now, begins, ends):
    assert ResetSettings().next_ns(utc(*now)) == (utc(*begins), utc(*ends))


def test_a_reset_within_one_day():
    reset = ResetSettings(begins=dt.time(9), ends=dt.time(10), timezone="UTC")
    assert reset.next_ns(utc(2024, 1, 2, 9, 30)) == (utc(2024, 1, 2, 9), utc(2024, 1, 2, 10))
    assert reset.next_ns(utc(2024, 1, 2, 10)) == (utc(2024, 1, 3, 9), utc(2024, 1, 3, 10))


@pytest.mark.parametrize("given", [{"timezone": "Mars/Base"}, {"begins": "01:00", "ends": "01:00"}])
def test_a_reset_that_cannot_be(given):
    with pytest.raises(ValidationError):
        ResetSettings(**given)


def test_the_kind_of_a_session_knows_its_account_too():
    from fairlead.execution.brokers.ibkr.opening import IbkrKind

    assert IbkrKind(port=4002, account="DU1234567").is_paper
    with pytest.raises(ValidationError, match="port 4001, live"):
        IbkrKind(port=4001, account="DU1234567")
