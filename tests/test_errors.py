"""An error says where, what and what to do, and survives the trip between processes."""

from __future__ import annotations

import pickle

from genaiops.errors import DataError, MissingExtraError, suggest


def test_an_error_keeps_its_facts_between_processes() -> None:
    error = DataError("bad", file="a.jsonl", line=3, node="n", hint="fix it", kind="InputMappingError", type="KeyError")

    copy = pickle.loads(pickle.dumps(error))

    assert copy.to_json() == error.to_json()
    assert (copy.exit_code, str(copy)) == (2, "a.jsonl:3: bad fix it")


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    assert "pip install 'genaiops[ray]'" in str(MissingExtraError("ray", extra="ray", purpose="to run on a cluster"))


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert suggest("Question", ["question", "answer"]) == "Did you mean 'question'?"
    assert suggest("zzz", []) == "There are none."
