"""Every row of the domain's table of codes (14.3)."""

from __future__ import annotations

import pytest

from fairlead.core.errors import BrokerAccess, OrderRejected, PacingViolation
from fairlead.data.vendors.ibkr.codes import CODES, CodeAction, Severity, has_no_bars, is_read_only, rule_of
from fairlead.execution.brokers.ibkr.notices import Way, told_as
from fairlead.execution.brokers.ibkr.waiting import NotAsThought, exception_of
from fairlead.execution.brokers.words import LinkKind

DO = CodeAction
# Code, what it asks for, what whoever waits for an order is told, and what becomes of the way if it concerns no order.
TABLE = [
    (100, DO.BACK_OFF, PacingViolation, LinkKind.PACING),
    (103, DO.LOOK_UP, NotAsThought, LinkKind.REMARK),
    *((code, DO.RECONCILE_ORDER, NotAsThought, LinkKind.REMARK) for code in (104, 105, 161, 10147, 10148)),
    *((code, DO.REJECT, OrderRejected, LinkKind.REMARK) for code in (109, 110, 201, 321, 434, 388)),
    *((code, DO.DISABLE, OrderRejected, LinkKind.REMARK) for code in (200, 203)),
    (202, DO.CANCELLED, None, LinkKind.REMARK),
    (326, DO.NEXT_CLIENT_ID, None, LinkKind.REMARK),
    *((code, DO.NO_DATA, None, LinkKind.DEGRADED) for code in (354, 10090, 10167, 10197)),
    *((code, DO.DATA_BACK_OFF, None, LinkKind.PACING) for code in (162, 420)),
    (399, DO.REMARK, None, LinkKind.REMARK),
    *((code, DO.RECONNECT, None, LinkKind.DOWN) for code in (502, 504)),
    (1100, DO.PAUSE, None, LinkKind.DOWN),
    (1101, DO.RESUBSCRIBE, None, LinkKind.RESTORED_LOST),
    (1102, DO.RECONCILE, None, LinkKind.RESTORED),
    *((code, DO.DEGRADE, None, LinkKind.DEGRADED) for code in (2103, 2105, 2110)),
    *((code, DO.INFO, None, LinkKind.REMARK) for code in (2104, 2106, 2107, 2108, 2158)),
    (31_415, DO.UNKNOWN, None, LinkKind.REMARK),
]


@pytest.mark.parametrize(("code", "action", "exception", "kind"), TABLE)
def test_each_row_means_what_the_domain_says(code, action, exception, kind):
    rule = rule_of(code)
    assert (rule.code, rule.action) == (code, action)
    assert rule.meaning
    raised = exception_of(rule, "the text")
    assert type(raised) is (type(None) if exception is None else exception)
    assert raised is None or f"code {code}" in str(raised)
    assert Way().take(rule, "the text") is kind
    assert f"({code}): the text" in told_as(rule, "the text")


def test_the_table_has_these_rows_and_no_others():
    assert set(CODES) == {code for code, *_ in TABLE} - {31_415}


def test_an_unknown_code_is_an_error():
    assert rule_of(31_415).severity is Severity.ERROR
    assert told_as(rule_of(31_415), "?").startswith("ERROR unknown (31415)")
    assert rule_of(202).severity is Severity.INFO


def test_a_refusal_of_a_read_only_interface_is_one_of_access():
    text = "Error validating request.-'bW' : cause - The API interface is currently in Read-Only mode."
    assert is_read_only(text)
    assert isinstance(exception_of(rule_of(321), text), BrokerAccess)
    assert not is_read_only("Error validating request: the limit price is missing")


def test_no_bars_is_no_error_of_pacing():
    assert has_no_bars("Historical Market Data Service error message:HMDS query returned no data: A@SMART Trades")
    assert not has_no_bars("Historical Market Data Service error message:API historical data query pacing violation")


def test_the_way_is_cut_until_it_is_said_to_be_back():
    way = Way()
    way.take(rule_of(1100), "")
    assert way.is_cut
    way.take(rule_of(2104), "Market data farm connection is OK:usfarm")
    assert way.is_cut
    way.take(rule_of(1102), "")
    assert not way.is_cut


def test_farms_that_are_back_restore_when_the_last_one_is():
    way = Way()
    assert way.take(rule_of(2103), "Market data farm connection is broken:usfarm") is LinkKind.DEGRADED
    assert way.take(rule_of(2103), "Market data farm connection is broken:eufarm") is LinkKind.DEGRADED
    assert way.take(rule_of(2104), "Market data farm connection is OK:usfarm") is LinkKind.REMARK
    assert way.take(rule_of(2104), "Market data farm connection is OK:other") is LinkKind.REMARK
    assert way.take(rule_of(2104), "Market data farm connection is OK:eufarm") is LinkKind.RESTORED
    assert way.take(rule_of(2104), "Market data farm connection is OK:eufarm") is LinkKind.REMARK
