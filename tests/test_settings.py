"""Settings that are wrong: which one, where it stands, and what would be right. Nothing misspelled is ignored."""

import logging
import os
from pathlib import Path

import pytest

from hypotez.errors import SettingsError
from hypotez.settings import Settings


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder and an environment in which nothing is configured."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "HYPOTEZ_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def told(**variables: str) -> str:
    """What is said about these variables and the ``hypotez.toml`` here."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        with pytest.raises(SettingsError) as caught:
            Settings.load()
    return str(caught.value)


def write(text: str | bytes) -> None:
    Path("hypotez.toml").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HYPOTEZ_SERVER__PORT": "abc"}, ["HYPOTEZ_SERVER__PORT", "'abc'", "integer"]),
        ({"HYPOTEZ_ALIASES": "{bad"}, ["HYPOTEZ_ALIASES", "JSON"]),
        ({"HYPOTEZ_SERVER": "{bad"}, ["HYPOTEZ_SERVER", "JSON"]),
        ({"HYPOTEZ_SERVER": '{"prt": 1}'}, ["HYPOTEZ_SERVER", "server.prt", "did you mean server.port?"]),
        ({"HYPOTEZ_SERVER__PRT": "1"}, ["HYPOTEZ_SERVER__PRT", "did you mean HYPOTEZ_SERVER__PORT?"]),
        ({"HYPOTEZ_SRVER__PORT": "1"}, ["HYPOTEZ_SRVER__PORT", "did you mean HYPOTEZ_SERVER__PORT?"]),
        ({"HYPOTEZ_ENGINE__WEIGHTS": "int5"}, ["HYPOTEZ_ENGINE__WEIGHTS", "'int5'", "int8"]),
        ({"OPENAI_BASE_URL": "localhost:11434"}, ["OPENAI_BASE_URL", "'localhost:11434'", "http://"]),
        ({"HYPOTEZ_ENGINE__VLLM_URL": "localhost"}, ["HYPOTEZ_ENGINE__VLLM_URL", "'localhost'", "http://"]),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_variable_is_named_with_what_is_wrong(variables: dict[str, str], words: list[str]):
    sentence = told(**variables)

    assert [word for word in words if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sever = 3", ["hypotez.toml", "sever", "did you mean server?"]),
        ("[server]\nprt = 3", ["hypotez.toml", "server.prt", "did you mean server.port?"]),
        ("[[upstream]]\nurl = 'x'", ["upstream.0.url", "did you mean upstream.0.base_url?"]),
        ("[[upstream]]\nbase_url = 'localhost:1'", ["upstream.0.base_url", "'localhost:1'", "http://"]),
        ("[server\nprt = 3", ["hypotez.toml", "line 1"]),
        (b"\xef\xbb\xbf[server]\nport = 3", ["hypotez.toml", "byte order mark"]),
        ("# порт\n".encode("cp1251") + b"[server]\nport = 3", ["hypotez.toml", "UTF-8"]),
    ],
    ids=["section", "setting", "upstream", "address", "syntax", "mark", "encoding"],
)
def test_a_wrong_line_of_the_file_is_named_with_the_file(text: str | bytes, words: list[str], tmp_path: Path):
    write(text)

    sentence = told()

    assert [word for word in [str(tmp_path / "hypotez.toml"), *words] if word not in sentence] == [], sentence


def test_a_wrong_key_is_not_repeated():
    assert "sk-secret" not in told(HYPOTEZ_WEBHOOKS='[{"url": 1, "secret": ["sk-secret"]}]')


@pytest.mark.parametrize("name", ["HYPOTEZ_SERVER_PORT", "HYPOTEZ_DEFALT_MODEL"])
def test_a_variable_that_is_nearly_one_is_warned_of(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv(name, "9000")

    with caplog.at_level(logging.WARNING):
        Settings.load()

    meant = {"HYPOTEZ_SERVER_PORT": "HYPOTEZ_SERVER__PORT"}.get(name, "HYPOTEZ_DEFAULT_MODEL")
    assert f"{name} is no setting; did you mean {meant}?" in caplog.text


def test_variables_that_have_nothing_to_do_with_it_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for name in ("HYPOTEZ_BASE_URL", "HYPOTEZ_HOSTILE_EXAMPLES", "HYPOTEZ_PORT_8000_TCP", "HYPOTEZ_ALIASES__mine"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/v1")

    assert Settings.load().aliases == {"mine": "http://127.0.0.1:1/v1"}
    assert caplog.text == ""


def test_openais_own_names_can_stand_in_the_file():
    write('openai_api_key = "sk-1"\nopenai_base_url = "http://127.0.0.1:1/v1"')

    settings = Settings.load()

    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-1"
    assert settings.openai_base_url == "http://127.0.0.1:1/v1"
