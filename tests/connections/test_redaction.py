import base64
import json
import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genaiops.connections import Redactor, install_log_redaction, is_secret_variable, redact

_SECRET = 'sk-"quoted"/+ü\\n1234'
_secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40).filter(
    lambda text: len(text.strip()) >= 8 and "*" not in text
)


@pytest.mark.parametrize(
    "form",
    [
        _SECRET,
        json.dumps(_SECRET),
        json.dumps({"inner": json.dumps({"k": _SECRET})}),
        json.dumps(_SECRET, ensure_ascii=False),
        quote(_SECRET, safe=""),
        quote_plus(_SECRET),
        repr(_SECRET),
        base64.b64encode(_SECRET.encode()).decode(),
        base64.b64encode(b"user:" + _SECRET.encode()).decode(),
        base64.urlsafe_b64encode(b"ab" + _SECRET.encode() + b"tail").decode(),
    ],
)
def test_a_secret_is_hidden_in_every_form_in_which_it_travels(form: str) -> None:
    hidden = redact(f"before {form} after", [_SECRET])

    assert "******" in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert not Redactor([_SECRET]).holds_secret(hidden)


@given(secret=_secrets, before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_secret_survives_in_text_bytes_or_json(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    assume(redactor)

    value = {"a": [before + secret + after, {"b": secret}], secret: 1}

    assert secret not in redactor(before + secret + after)
    assert secret not in json.dumps(redactor.json(value), ensure_ascii=False)
    line = json.dumps({"text": secret}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert secret.encode("utf-8", "surrogatepass") not in redactor.bytes(line)


@given(text=st.text())
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assume(_SECRET not in text)

    assert redact(text, ["another-secret-1234"]) == text or "another" in text


def test_a_secret_inside_another_one_hides_the_longer_one_whole() -> None:
    assert redact("x abcdefgh-long y", ["abcdefgh", "abcdefgh-long"]) == "x ****** y"


@pytest.mark.parametrize("word", ["", "abc", "ollama", "EMPTY", "not-needed"])
def test_ordinary_words_are_no_secrets(word: str) -> None:
    assert redact("ollama abc EMPTY not-needed", [word]) == "ollama abc EMPTY not-needed"


def test_log_records_are_redacted_whatever_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    uninstall = install_log_redaction(Redactor([_SECRET]))
    log = logging.getLogger("some.library")
    try:
        log.warning("key %s and %d", _SECRET, 3)
        try:
            raise ValueError(f"refused {_SECRET}")
        except ValueError:
            log.exception("failed")
    finally:
        uninstall()

    assert _SECRET not in caplog.text
    assert "key ****** and 3" in caplog.text
    assert "ValueError: refused ******" in caplog.text


def test_uninstalled_redaction_leaves_records_alone(caplog: pytest.LogCaptureFixture) -> None:
    install_log_redaction(Redactor([_SECRET]))()

    logging.getLogger("x").warning("key %s", _SECRET)

    assert _SECRET in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OPENAI_API_KEY", True),
        ("DB_PASSWORD", True),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", True),
        ("GITHUB_TOKEN", True),
        ("AOAI_API_BASE", False),
        ("MONKEY", False),
        ("PATH", False),
    ],
)
def test_names_of_variables_say_whether_they_hold_a_secret(name: str, expected: bool) -> None:
    assert is_secret_variable(name) is expected


def test_passwords_in_addresses_are_found_as_written_and_as_meant() -> None:
    from genaiops.connections._redaction import passwords_in

    assert passwords_in("postgres://me:a%2Fb%3Dcdef@host/db and http://:only@x, https://host:8080/a@b") == [
        "a%2Fb%3Dcdef",
        "a/b=cdef",
        "only",
    ]
