"""Who may go live: everything that says live or paper must say the same, in every combination."""

from itertools import product

import pytest

from fairlead.config.livegate import LiveGate, PermissionKind
from fairlead.core.errors import BrokerAccess, ConfigurationError
from fairlead.execution.brokers.alpaca.addresses import alpaca_account, alpaca_endpoint
from fairlead.execution.brokers.endpoint import AccountKind, Endpoint, EndpointKind
from fairlead.execution.brokers.ibkr.opening import ibkr_account, ibkr_endpoint
from fairlead.execution.brokers.opening import AccountKeys, broker_kind
from fairlead.execution.brokers.words import BrokerAccount

E, P = EndpointKind, PermissionKind
MODES = ("live", "paper", "backtest", "replay")
SWITCHES = ("live", "paper", "", "LIVE", "production")
ACCOUNTS = ("U123", "DU123", None)
TYPED = ("same", "other", None)
ALL = list(product(MODES, SWITCHES, E, ACCOUNTS, TYPED))


def gate(mode, switch, kind, account, typed) -> LiveGate:
    confirmed = {"same": account, "other": "U999", None: None}[typed]
    return LiveGate(
        mode=mode, switch=switch, endpoint=Endpoint(kind, "there"), account=account, kind_of=ibkr_account, confirmed=confirmed
    )


def shown(account_id: str, *, is_paper: bool) -> BrokerAccount:
    return BrokerAccount(account_id, is_paper, "USD", 1.0, 1.0, 1.0)


def permitted(mode, switch, kind, account, typed) -> PermissionKind | None:
    """What the table of the guide says: the only combinations that open."""
    if (mode, switch, kind, account, typed) == ("live", "live", E.LIVE, "U123", "same"):
        return P.LIVE
    if (mode, switch, kind, account, typed) == ("live", "live", E.PRACTICE, "DU123", "same"):
        return P.REHEARSAL
    is_paper = mode == "paper" and switch in {"", "paper"} and kind in {E.PAPER, E.PRACTICE} and account in {"DU123", None}
    return P.PAPER if is_paper and (typed is None or (typed == "same" and account is None)) else None


@pytest.mark.parametrize("combination", ALL, ids=lambda c: "-".join(map(str, c)))
def test_every_combination(combination):
    """Nothing opens but what the table says; before connecting nobody has shown an account."""
    wanted = permitted(*combination)
    if wanted is None:
        with pytest.raises(ConfigurationError, match="refused"):
            gate(*combination).check()
    else:
        assert gate(*combination).check().kind is wanted


def test_how_many_ways_there_are():
    """Of 720 combinations one trades with money and one rehearses it."""
    found = [permitted(*combination) for combination in ALL]
    assert (len(found), found.count(P.LIVE), found.count(P.REHEARSAL), found.count(P.PAPER)) == (720, 1, 1, 12)


@pytest.mark.parametrize(
    ("mode", "kind", "account"), list(product(("live", "paper"), (E.LIVE, E.PAPER, E.PRACTICE), ("U123", "DU123", None)))
)
@pytest.mark.parametrize(
    "word", [("U123", False), ("DU123", True), ("U123", True), ("DU123", False), ("U777", False), ("DU777", True)]
)
def test_the_account_that_the_broker_shows(mode, kind, account, word):
    """Whatever was permitted: money moves in the confirmed live account alone, and never for a paper configuration."""
    account_id, is_paper = word
    held = gate(mode, mode, kind, account, "same" if mode == "live" else None)
    try:
        held.check()
    except ConfigurationError:
        with pytest.raises(ConfigurationError):
            held.admit(shown(account_id, is_paper=is_paper))
        return
    is_money = (mode, kind) == ("live", E.LIVE)
    is_right = (account_id, is_paper) == (account, not is_money) if account else (account_id[0] == "D" and is_paper)
    if is_right:
        assert held.check(shown(account_id, is_paper=is_paper)).is_live is is_money
        held.admit(shown(account_id, is_paper=is_paper))
    else:
        with pytest.raises(BrokerAccess, match="refused"):
            held.admit(shown(account_id, is_paper=is_paper))


def test_every_objection_is_named():
    """A live configuration with nothing right: address, account, environment and confirmation, a line each."""
    with pytest.raises(ConfigurationError) as refused:
        gate("live", "paper", E.PAPER, "DU123", "other").check()
    lines = str(refused.value).splitlines()
    remedy = "Write mode: paper, or use its live address"
    assert lines == [
        "trading at there is refused:",
        f"- address: there is the broker's paper trading, and the configuration is live. {remedy}",
        "- environment: TR_MODE must be live, was 'paper'. Set it: TR_MODE=live",
        "- confirmation: account DU123 is configured, and 'U999' was typed",
    ]


def test_who_only_reduces_needs_neither_switch_nor_confirmation():
    """In an emergency nothing has to be typed, and a paper configuration still reaches no live account."""
    assert gate("live", "", E.LIVE, "U123", None).check(only_reduces=True).kind is P.LIVE
    for mode, kind, account in (("paper", E.LIVE, "DU123"), ("paper", E.PAPER, "U123"), ("live", E.LIVE, "DU123")):
        with pytest.raises(ConfigurationError):
            gate(mode, "", kind, account, None).check(only_reduces=True)


def test_a_rehearsal_says_so():
    found = gate("live", "live", E.PRACTICE, "DU123", "same").check()
    assert found.text == "REHEARSAL of live trading: no money moves, account DU123 at there on this machine"
    assert gate("live", "live", E.LIVE, "U123", "same").check().text == "LIVE: real money, account U123 at there"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://api.alpaca.markets", E.LIVE),
        ("https://API.alpaca.markets:443/v2", E.LIVE),
        ("https://paper-api.alpaca.markets", E.PAPER),
        ("http://127.0.0.1:8080", E.PRACTICE),
        ("http://localhost:8080", E.PRACTICE),
        ("http://[::1]:8080", E.PRACTICE),
        ("http://api.alpaca.markets", E.UNKNOWN),
        ("https://api.alpaca.markets.evil.com", E.UNKNOWN),
        ("https://paper-api.alpaca.markets@evil.com", E.UNKNOWN),
        ("https://127.0.0.1.evil.com", E.UNKNOWN),
        ("https://localhost.evil.com", E.UNKNOWN),
        ("https://api.alpaca.markets:8443", E.UNKNOWN),
        ("https://10.0.0.5", E.UNKNOWN),
        ("not an address", E.UNKNOWN),
        ("http://[broken", E.UNKNOWN),
    ],
)
def test_what_stands_behind_an_address(url, kind):
    assert alpaca_endpoint(url).kind is kind


def test_a_gateway_that_was_moved_is_what_its_settings_say():
    """Behind a port that says nothing money moves only if the settings say so, and then the gate is that of money."""
    assert ibkr_endpoint("127.0.0.1", 9000, "live").kind is E.LIVE
    assert ibkr_endpoint("127.0.0.1", 9000, "paper").kind is E.PRACTICE
    assert ibkr_endpoint("127.0.0.1", 4001, "paper").kind is E.LIVE


def test_the_brokers_that_ship():
    """Paper unless something else is said; Alpaca needs keys, Interactive Brokers takes none."""
    pytest.importorskip("alpaca")
    pytest.importorskip("ib_async")
    alpaca, ibkr = broker_kind("alpaca", {}), broker_kind("ibkr", {"client_id": 3})
    simulated = broker_kind("simulated", {"symbols": ["ACME"]})
    assert [kind.endpoint().kind for kind in (alpaca, ibkr, simulated)] == [E.PAPER, E.PAPER, E.PRACTICE]
    assert alpaca.open(AccountKeys("PA1", "k", "s"), lambda: 0).name == "alpaca"
    assert ibkr.open(AccountKeys("DU123"), lambda: 0, is_emergency=True).name == "ibkr"
    assert simulated.open(AccountKeys(), lambda: 0).name == "simulated"
    with pytest.raises(ConfigurationError, match=r"Alpaca needs api_secret, was not given\. Write execution\.api_secret: \$"):
        alpaca.open(AccountKeys("PA1", "k"), lambda: 0)
    with pytest.raises(ConfigurationError, match="takes no api_key"):
        ibkr.open(AccountKeys("DU123", "k", "s"), lambda: 0)
    with pytest.raises(ConfigurationError, match="no broker named 'alpacca'; did you mean 'alpaca'"):
        broker_kind("alpacca", {})
    with pytest.raises(ConfigurationError, match="does not take these params: 'bse_url'"):
        broker_kind("alpaca", {"bse_url": "x"})


def test_an_address_is_told_without_its_password():
    assert alpaca_endpoint("https://me:hunter2@api.alpaca.markets").address == "https://api.alpaca.markets"


@pytest.mark.parametrize(
    ("host", "port", "kind"),
    [
        ("127.0.0.1", 4001, E.LIVE),
        ("localhost", 7496, E.LIVE),
        ("127.0.0.1", 4002, E.PAPER),
        ("::1", 7497, E.PAPER),
        ("127.0.0.1", 9000, E.PRACTICE),
        ("10.0.0.5", 4002, E.UNKNOWN),
    ],
)
def test_what_stands_behind_a_port(host, port, kind):
    assert ibkr_endpoint(host, port).kind is kind


def test_what_an_account_says():
    assert [ibkr_account(x) for x in ("DU123", "du123", "U123", "F12")] == [AccountKind.PAPER] * 2 + [AccountKind.LIVE] * 2
    assert [alpaca_account(x) for x in ("PA3XYZ", "910384756")] == [AccountKind.PAPER, AccountKind.LIVE]
