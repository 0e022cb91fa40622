"""Secrets typed into files are found; placeholders are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.flows import find_secrets

# Joined here, so that no scanner takes this file for a leak.
KEYS = {
    "sk-" + "Zq3LkP0vTx81MnBcR7yHdW2sJf6Ga": "OpenAI key",
    "sk-proj-" + "Zq3LkP0vTx81MnBcR7yHdW2sJf6Ga": "OpenAI key",
    "ghp_" + "Zq3LkP0vTx81MnBcR7yHdW2sJf6GaQw9": "GitHub token",
    "AKIA" + "Q3LKP0VTX81MNBCR": "AWS access key",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "Zq3LkP0vTx81MnBcR7yHdW2sJf6GaQw9" * 2 + "==": (
        "Azure storage connection string"
    ),
    "-----BEGIN " + "RSA PRIVATE KEY-----": "private key",
    "postgres://admin:" + "h7Jk29qLmW@db.internal/x": "password in an address",
}


@pytest.mark.parametrize(("text", "kind"), KEYS.items())
def test_shapes_of_secrets_are_known(text: str, kind: str) -> None:
    assert [(s.line, s.kind) for s in find_secrets(f"first\nvalue: {text}\n")] == [(2, kind)]


@pytest.mark.parametrize("name", ["api_key", "AZURE_OPENAI_API_KEY", "subscription-key", "client_secret", "password"])
def test_a_random_value_beside_a_name_that_says_so_is_a_secret(name: str) -> None:
    value = "4f8a1c09be73d2564f80a9c1de27b653"

    assert [s.kind for s in find_secrets(f'{name} = "{value}"')] == ["Azure key"]
    assert [s.kind for s in find_secrets(f"{name}: {value}")] == ["Azure key"]


@pytest.mark.parametrize(
    "text",
    [
        "api_key: ${AOAI_API_KEY}",
        'api_key: "${env:AOAI_API_KEY}"',
        "api_key: <user-input>",
        'api_key: "your-api-key-goes-here-0123"',
        "api_key: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        'api_key = os.environ["AZURE_OPENAI_API_KEY_1"]',
        "key: ********************************",
        'api_key="abc"',
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "token: this_is_a_plain_english_sentence",
        "max_tokens: 1024",
        "uuid: 4f8a1c09-be73-d256-4f80-a9c1de27b653",
        "key: connection.open_ai.version2.txt",
        "http://localhost:8080/path@here",
    ],
)
def test_placeholders_and_ordinary_values_are_left_alone(text: str) -> None:
    assert find_secrets(text) == []


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    lines = len(text.splitlines())

    assert all(1 <= place.line <= lines for place in find_secrets(text))
