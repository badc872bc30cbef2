"""Keys: refused where they are written down, and fetched from where a configuration says that they are."""

import os
from pathlib import Path
from typing import ClassVar

import pytest

from fairlead.config.loading import load_settings
from fairlead.config.problems import ConfigurationProblems
from fairlead.config.secrets import key_of, unlocked
from fairlead.core.errors import ConfigurationError

CONFIG = """\
mode: live
clock: {{type: realtime}}
data: {{type: live, feed: f, symbols: [IBM]}}
execution:
  type: broker
  broker: alpaca
  account: 910384756
  api_key: {key}
  api_secret: {secret}
strategies: [{{name: buy_and_hold, capital: 1}}]
"""


def load(folder: Path, key: str, secret: str = "${SECRET_HERE}", overrides=(), **environ):
    path = folder / "live.yaml"
    path.write_text(CONFIG.format(key=key, secret=secret))
    return load_settings(path, environ={"SECRET_HERE": "s3cr3t-value", **environ}, overrides=overrides)


def kept(folder: Path, text: str = "k3y-value\n", mode: int = 0o600) -> Path:
    path = folder / "alpaca.key"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "key", ["PKABC123", "'PKABC123'", "${PLACE:-PKABC123}", "PK${PLACE}", "${PLACE}${PLACE}", "'$${PLACE}'", "12345678", "1.5"]
)
def test_a_key_in_the_file_is_refused(tmp_path, key):
    """Also as a default, in part, and as a number; the message has line and remedy, and not the key."""
    with pytest.raises(ConfigurationProblems) as refused:
        load(tmp_path, key, PLACE="x")
    text = str(refused.value)
    assert "live.yaml:8: 'execution.api_key' must name where the key is, and not be the key, was (redacted)." in text
    assert "Then write ${NAME}, file:PATH or keyring:SERVICE/NAME." in text
    assert "PKABC123" not in text
    assert "12345678" not in text


def test_a_key_on_the_command_line_is_refused(tmp_path):
    """Whoever lists the processes of the machine would see it."""
    with pytest.raises(
        ConfigurationProblems, match=r"override -o execution.api_key=\(redacted\): .* must name where the key is"
    ):
        load(tmp_path, "${KEY}", KEY="x", overrides=["execution.api_key=PKABC123"])
    with pytest.raises(ConfigurationProblems, match=r"'execution.params.token' must name where"):
        load(tmp_path, "${KEY}", KEY="x", overrides=["execution.params.token=hunter2"])


def test_keys_come_from_environment_and_file(tmp_path):
    """In force once it is unlocked; what is saved, and the hash, stay as they were; logs do not show them."""
    kept(tmp_path)
    loaded = load(tmp_path, "file:alpaca.key")
    assert loaded.settings.execution.api_key == "file:alpaca.key"
    opened = unlocked(loaded)
    assert opened.settings.execution.keys.account == "910384756"
    assert (opened.settings.execution.api_key, opened.settings.execution.api_secret) == ("k3y-value", "s3cr3t-value")
    assert (opened.hash, opened.effective) == (loaded.hash, loaded.effective)
    assert opened.effective["execution"]["api_key"] == "(redacted)"
    assert opened.secrets.hide("sent k3y-value and s3cr3t-value") == "sent (redacted) and (redacted)"
    assert "k3y-value" not in repr(opened.settings.execution.keys)


def test_a_variable_that_looks_like_a_number_is_a_key(tmp_path):
    assert load(tmp_path, "${KEY}", KEY="0123").settings.execution.api_key == "0123"
    assert load(tmp_path, "${KEY}", KEY="12e5").settings.execution.api_key == "12e5"
    assert load(tmp_path, "${KEY:-}", "${OTHER:-}").settings.execution.api_key is None


def test_a_key_in_params_is_fetched_too(tmp_path):
    kept(tmp_path)
    loaded = load(tmp_path, "${KEY}", KEY="x", overrides=["execution.params={token: 'file:alpaca.key', host: here}"])
    opened = unlocked(loaded)
    assert opened.settings.execution.params == {"token": "k3y-value", "host": "here"}
    assert opened.secrets.hide("k3y-value") == "(redacted)"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path, mode):
    kept(tmp_path, mode=mode)
    with pytest.raises(ConfigurationProblems) as refused:
        unlocked(load(tmp_path, "file:alpaca.key"))
    assert f"live.yaml:8: 'execution.api_key': the file of a key must be for its owner alone (0600), and {tmp_path}" in str(
        refused.value
    )
    assert f"is 0{mode:03o}. Others may have read it: chmod 600" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"), [("", "is empty"), ("a\nb\n", "holds more"), ("x" * 70_000, "is larger than"), ("\x00", "holds more")]
)
def test_a_file_holds_one_key(tmp_path, text, why):
    with pytest.raises(ConfigurationError, match=why):
        key_of("file:alpaca.key", base=kept(tmp_path, text).parent)


def test_every_key_that_cannot_be_had_is_named(tmp_path):
    """All of them at once, each at its line."""
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(ConfigurationProblems) as refused:
        unlocked(load(tmp_path, "file:nowhere.key", "file:folder"))
    first, second = refused.value.problems
    assert "live.yaml:8: 'execution.api_key': the file of a key" in first
    assert "No such file" in first
    assert "live.yaml:9: 'execution.api_secret': the file of a key must be a file" in second


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="must be a file"):
        key_of("file:pipe", base=tmp_path)


def test_a_link_is_judged_by_what_it_leads_to(tmp_path):
    (tmp_path / "link").symlink_to(kept(tmp_path, mode=0o644))
    with pytest.raises(ConfigurationError, match="0644"):
        key_of("file:link", base=tmp_path)


def test_a_saved_copy_has_no_keys(tmp_path):
    """It loads, for a replay say, and opens nothing."""
    loaded = load(tmp_path, "(redacted)", "(redacted)")
    with pytest.raises(ConfigurationProblems, match="This is a saved copy, which has no keys"):
        unlocked(loaded)


def test_a_key_of_the_environment():
    assert key_of("${KEY}", environ={"KEY": "abc"}) == "abc"
    with pytest.raises(ConfigurationError, match="KEY is not set"):
        key_of("${KEY}", environ={})
    with pytest.raises(ConfigurationError, match=r"was \(redacted\)") as refused:
        key_of("PKABC123", environ={})
    assert "PKABC123" not in str(refused.value)


class TestKeyring:
    """The system's keyring, with a backend of its own library that keeps its entries in memory."""

    @pytest.fixture
    def backend(self):
        keyring = pytest.importorskip("keyring")
        from keyring.backend import KeyringBackend

        class Memory(KeyringBackend):
            priority = 1
            entries: ClassVar[dict[tuple[str, str], str]] = {}

            def get_password(self, service, username):
                return self.entries.get((service, username))

            def set_password(self, service, username, password):
                self.entries[service, username] = password

            def delete_password(self, service, username):
                del self.entries[service, username]

        before = keyring.get_keyring()
        keyring.set_keyring(Memory())
        yield keyring
        keyring.set_keyring(before)

    def test_an_entry(self, backend, tmp_path):
        backend.set_password("fairlead/live", "alpaca", "k3y-value")
        assert unlocked(load(tmp_path, "keyring:fairlead/live/alpaca")).settings.execution.api_key == "k3y-value"

    def test_no_entry(self, backend):
        with pytest.raises(ConfigurationError, match=r"has no entry ibkr of fairlead\. Store it: keyring set fairlead ibkr"):
            key_of("keyring:fairlead/ibkr")

    def test_no_backend(self, backend):
        from keyring.backends.fail import Keyring

        backend.set_keyring(Keyring())
        with pytest.raises(ConfigurationError, match="the system's keyring gives nothing: No recommended backend"):
            key_of("keyring:fairlead/alpaca")

    def test_no_library(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "keyring", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'fairlead\[keyring\]'"):
            key_of("keyring:fairlead/alpaca")

    @pytest.mark.parametrize("name", ["alpaca", "/alpaca", "fairlead/"])
    def test_a_name_that_is_none(self, name):
        with pytest.raises(ConfigurationError, match="must be given as keyring:SERVICE/NAME"):
            key_of(f"keyring:{name}")
