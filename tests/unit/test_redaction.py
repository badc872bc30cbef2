"""Secrets are known by their key, by their value and by their shape, wherever they stand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.config.document import parse_yaml
from fairlead.config.problems import Origin
from fairlead.config.redaction import redacted, secrets_of, shown
from fairlead.core.redaction import REDACTED, SHORTEST_IN_TEXT, Secrets, is_secret


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWD", "api_key", "apikey", "X-Api-Key", "clientSecret", "authToken", "Authorization", "private-key"],
)
def test_names_that_say_secret(name):
    assert is_secret(("outer", name))


@pytest.mark.parametrize("name", ["symbol", "key", "price", "pass", "idempotency_key", 3, None])
def test_names_that_do_not(name):
    assert not is_secret((name,))


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("postgresql://me:hunter2@db/x", "postgresql://me:(redacted)@db/x"),
        ("postgresql://me:p@ss:word@db/x", "postgresql://me:(redacted)@db/x"),
        ("GET /bars?symbol=A&apikey=abc123&n=1", "GET /bars?symbol=A&apikey=(redacted)&n=1"),
        ("password: hunter2, user: me", "password: (redacted), user: me"),
        ("{'api_secret': 'a b c', 'n': 1}", "{'api_secret': (redacted), 'n': 1}"),
        ('{"token":"abc"}', '{"token":(redacted)}'),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer (redacted)"),
        ("Authorization: Basic bWU6cHc=", "Authorization: Basic (redacted)"),
        ("Authorization: token ghp_abcdef123456", "Authorization: token (redacted)"),
        ("Authorization: ApiKey  abcdef123456", "Authorization: ApiKey  (redacted)"),
        ("password: token", "password: (redacted)"),
        (r"{\"password\": \"hunter22\", \"n\": 1}", r"{\"password\": (redacted), \"n\": 1}"),
        (r"{\"password\": \"a\\\"b c\", \"n\": 1}", r"{\"password\": (redacted), \"n\": 1}"),
        (r"{\\\"password\\\": \\\"hunter 22\\\", \\\"n\\\": 1}", r"{\\\"password\\\": (redacted), \\\"n\\\": 1}"),
        (r'"said {\"token\": \"it\'s cut", "n": 1', r'"said {\"token\": (redacted)", "n": 1'),
        (r"password=\'hunter22\' n", "password=(redacted) n"),
        ("Cfg(password=b'hunter22', n=1)", "Cfg(password=(redacted), n=1)"),
        (r"{b\'token\': rb\'hunter22\'}", r"{b\'token\': (redacted)}"),
        (r'{"password": "ab\"cdefgh", "n": 1}', '{"password": (redacted), "n": 1}'),
        (r"{'password': 'ab\'c\\', 'n': 1}", "{'password': (redacted), 'n': 1}"),
        ('password="cut off', "password=(redacted)"),
        ("sent Bearer abcdefgh1234 to it", "sent Bearer (redacted) to it"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ", "jwt (redacted)"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key (redacted)."),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "(redacted)\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "(redacted)"),
    ],
)
def test_shapes_that_are_secret_anywhere(text, shown_as):
    assert Secrets().hide(text) == shown_as
    assert Secrets().hide(shown_as) == shown_as


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:9464/metrics", "a token is missing", "at 09:30: ok", "x == y", "user@example.org", "token == None"],
)
def test_innocent_text_stays(text):
    assert Secrets().hide(text) == text


def test_known_values_are_hidden_in_every_spelling():
    secrets = Secrets(['p"a/s s\n!', "hunter2", "hunter22"])
    for text in ('p"a/s s\n!', repr('p"a/s s\n!'), "p%22a%2Fs%20s%0A%21", '"p\\"a/s s\\n!"', "xhunter2x", "hunter22"):
        hidden = secrets.hide(f"<{text}>")
        assert REDACTED in hidden
        assert "a/s" not in hidden
        assert "hunter" not in hidden
        assert "a%2Fs" not in hidden
    assert secrets.hide("<hunter22>") == "<(redacted)>"
    assert "hunter" not in repr(secrets)


def test_short_and_numeric_secrets_are_hidden_where_they_are_the_whole():
    secrets = Secrets(["7", 12345678, None, True, ""])
    assert secrets.hide("7 of 17") == "7 of 17"
    assert secrets.hide("7") == REDACTED
    assert secrets.leaf(("n",), 7) == REDACTED
    assert secrets.leaf(("n",), 8) == 8
    assert secrets.hide("account 12345678") == "account (redacted)"


def test_nothing_and_switches_reveal_nothing():
    assert Secrets().leaf(("password",), None) is None
    assert Secrets().leaf(("password",), value=False) is False
    assert Secrets().leaf(("password",), 5) == REDACTED


def test_the_environment_gives_its_secrets_and_no_others():
    secrets = Secrets.of_environment({"BROKER_TOKEN": "abcdefg", "HOME": "/home/me"}).also(Secrets(["qwertz"]))
    assert secrets.hide("abcdefg /home/me qwertz") == "(redacted) /home/me (redacted)"


@settings(max_examples=40)
@given(st.text(min_size=SHORTEST_IN_TEXT), st.text(), st.text())
def test_a_known_value_never_comes_out(secret, before, after):
    """Unless what stands in its place, or around it, says the same."""
    hidden = Secrets([secret]).hide(before + secret + after)
    assert secret not in hidden or secret in REDACTED or REDACTED in secret or secret in before + REDACTED + after


def test_a_long_text_costs_its_length():
    """No pattern backtracks: a megabyte of each pattern's beginning ends, which a square of it would not."""
    pieces = (
        "token",
        "://a",
        "eyJ",
        "-----BEGIN ",
        "password=\\(",
        "Bearer ",
        "api_key   ",
        'token="',
        "token=\\'",
        'token\\"',
        "\\",
    )
    for piece in (*pieces, 'token=\\"\\\\', "token=b'\\", "token: token "):
        for before in ("", 'token="', 'token=\\"'):
            assert Secrets(["hunter22"]).hide(before + piece * (200_000 // len(piece)))


def test_a_configuration_and_its_messages_follow_the_same_rule():
    root = parse_yaml(
        "journal: {url: 'postgresql://me:pw@db/x'}\napi_key: abcdef\nn: 1", lambda line: Origin.in_file("run.yaml", line)
    )
    assert redacted(root.plain(), root) == {"journal": {"url": "postgresql://me:(redacted)@db/x"}, "api_key": REDACTED, "n": 1}
    assert shown(root.mapping["journal"].mapping["url"], ("journal", "url")) == "'postgresql://me:(redacted)@db/x'"
    assert secrets_of(root).hide("n 1 abcdef") == "n 1 (redacted)"
