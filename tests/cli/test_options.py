"""--base-url and --api-key: before the command word or after it, and refused where they would do nothing."""

from pathlib import Path

import pytest
from tests.cli.conftest import Inside
from typer.testing import CliRunner

from hypotez.cli import app

NOBODY = "http://127.0.0.1:9/v1"


def hypotez(*arguments: str, **variables: str):
    return CliRunner().invoke(app, arguments, env={"HYPOTEZ_BASE_URL": None, **variables})


def said(stderr: str) -> str:
    """The sentences in the box that typer draws around a mistake."""
    return " ".join(stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "command",
    [
        ["models"],
        ["models", "list"],
        ["ask", "hello"],
        ["top", "--once"],
        ["jobs", "list"],
        ["jobs", "watch"],
        ["assistants", "list"],
        ["train", "--from-dialogues", "--dry-run"],
    ],
    ids=" ".join,
)
def test_the_server_may_be_named_after_the_command_as_well_as_before(client: Inside, command: list[str]):
    before = hypotez("--base-url", client.url, *command)
    after = hypotez(*command, "--base-url", client.url)
    equals = hypotez(command[0], f"--base-url={client.url}", *command[1:])

    assert after.exit_code == equals.exit_code == before.exit_code, after.stderr + equals.stderr
    assert "No such option" not in after.stderr + equals.stderr


def test_a_key_after_the_command_is_the_same_key(client: Inside):
    assert hypotez("models", "--api-key", "any", "--base-url", client.url).exit_code == 0


def test_what_follows_two_dashes_is_text(client: Inside):
    judged = hypotez("--base-url", client.url, "sentiment", "--", "--api-key")

    assert judged.exit_code == 0, judged.stderr
    assert judged.stdout.startswith("neutral")


def test_an_option_without_its_value_says_so():
    asked = hypotez("ask", "hello", "--base-url")

    assert asked.exit_code == 2
    assert "--base-url: a value is missing" in said(asked.stderr)


@pytest.mark.parametrize(
    ("command", "cure"),
    [
        (["serve"], "HYPOTEZ_API_KEY"),
        (["keys", "list"], "HYPOTEZ_HOME"),
        (["export", "pocket", "--merged"], "HYPOTEZ_HOME"),
        (["import", "assistants", "x"], "HYPOTEZ_HOME"),
        (["demo"], "leave out --api-key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_key_that_would_do_nothing_is_refused(command: list[str], cure: str):
    refused = hypotez(*command, "--api-key", "secret")

    assert refused.exit_code == 2
    assert cure in said(refused.stderr)


def test_the_variable_is_for_the_commands_that_can_use_it(tmp_path: Path):
    assert hypotez("keys", "list", HYPOTEZ_BASE_URL=NOBODY, HYPOTEZ_HOME=str(tmp_path)).exit_code == 0


def test_an_empty_variable_names_no_server(client: Inside):
    assert hypotez("models", HYPOTEZ_BASE_URL="").exit_code == 0


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost:8000/v1", "ftp://127.0.0.1/v1", "http:///v1"])
def test_an_address_that_is_none_is_named_with_what_one_looks_like(address: str):
    asked = hypotez("--base-url", address, "ask", "hello")

    assert asked.exit_code == 1
    assert f"'{address}'" in asked.stderr
    assert "http://127.0.0.1:8000/v1" in asked.stderr


def test_a_path_that_is_no_v1_is_told_of_it(client: Inside):
    asked = hypotez("--base-url", client.url.removesuffix("/v1"), "ask", "hello")

    assert asked.exit_code == 1
    assert "/v1" in asked.stderr


@pytest.mark.parametrize("option", ["--upstream", "--vllm-url"])
def test_a_server_that_serve_shall_ask_is_an_address_too(option: str):
    served = hypotez("serve", "--port", "0", option, "localhost:11434")

    assert served.exit_code == 2
    assert "'localhost:11434'" in served.stderr
    assert "http://localhost:11434/v1" in said(served.stderr)
