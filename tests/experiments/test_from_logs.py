"""Production traffic as a dataset: filtered, without doubles and personal data, the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import DataError
from genaiops.experiments import dataset_from_logs
from genaiops.experiments._masking import mask_text


def write_log(folder: Path) -> Path:
    """Ten requests of two workers, one of them asked twice, one failed, one with feedback."""
    folder.mkdir()
    requests = [
        {"request_id": f"r{n}", "time": 100.0 + n, "status": "failed" if n == 3 else "completed",
         "inputs": {"question": f"q{n % 9}"}, "outputs": {"answer": f"a{n}"}, "error": None}
        for n in range(10)
    ]  # fmt: skip
    for worker in (0, 1):
        text = "".join(json.dumps(line) + "\n" for line in requests[worker::2])
        (folder / f"requests-{worker}.jsonl").write_text(text + '{"torn', encoding="utf-8")
    feedback = {"request_id": "r5", "time": 120.0, "feedback": {"thumbs": "down"}}
    (folder / "feedback-0.jsonl").write_text(json.dumps(feedback) + "\n", encoding="utf-8")
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_hold_inputs_outputs_and_feedback_and_the_latest_of_doubles(tmp_path: Path) -> None:
    made = dataset_from_logs(write_log(tmp_path / "log"), tmp_path / "d.jsonl")

    rows = {row["question"]: row for row in rows_of(made.path)}
    assert (made.rows, made.requests, made.with_feedback) == (8, 10, 1)
    assert rows["q0"] == {"question": "q0", "output.answer": "a9", "request.id": "r9"}
    assert rows["q5"]["feedback.thumbs"] == "down"
    assert "q3" not in rows


def test_filters_choose_by_time_feedback_and_status(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log")

    def count(**options: Any) -> int:
        return dataset_from_logs(log, tmp_path / "d.jsonl", **options).rows

    assert count(failed=True) == 9
    assert count(keep_doubles=True) == 9
    assert count(only_feedback=True) == 1
    assert count(since=104.0, until=107.0) == 3
    with pytest.raises(DataError, match="None of the 10"):
        count(since=1000.0)


def test_facts_of_a_request_stand_beside_it(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"request_id": "a", "feedback": {"request_id": "a", "rating": 5, "note": "fine"}},
        {"request_id": "b", "feedback": "bad"},
        {"request_id": "a", "status": "completed", "inputs": {"q": 1}, "outputs": {"a": 2}, "duration_s": 0.5},
        {"request_id": "b", "status": "failed", "inputs": {"q": 3}, "outputs": {}, "error": {"kind": "RateLimitError"}},
        {"request_id": "c", "status": "failed", "inputs": {"q": 4}, "outputs": {}, "error": None},
    ]
    log = tmp_path / "requests.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    rows = rows_of(dataset_from_logs(log, tmp_path / "d.jsonl", failed=True).path)

    assert rows == [
        {
            "q": 1,
            "output.a": 2,
            "request.id": "a",
            "request.duration_s": 0.5,
            "feedback.rating": 5,
            "feedback.note": "fine",
        },
        {"q": 3, "request.id": "b", "request.error": "RateLimitError", "feedback": "bad"},
        {"q": 4, "request.id": "c", "request.error": "failed"},
    ]


def test_the_same_seed_draws_the_same_rows_byte_for_byte(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log")

    files = [
        dataset_from_logs(log, tmp_path / f"{name}.jsonl", sample=3, seed=seed).path.read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]

    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail ada.l+x@example.co.uk now", "mail <email> now"),
        ("call +49 30 901820 or 030/901820", "call <phone> or <phone>"),
        ("call 555-123-4567", "call <phone>"),
        ("card 4111 1111 1111 1111.", "card <card>."),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("pay DE89 3704 0044 0532 0130 00 today", "pay <iban> today"),
        ("pay GB82WEST12345698765432", "pay <iban>"),
        ("from 192.168.10.254 and 2001:db8::1", "from <ip> and <ip>"),
        ("version 1.2.3, 12:30, 2024-05-17, 1000000 items", "version 1.2.3, 12:30, 2024-05-17, 1000000 items"),
    ],
)
def test_personal_data_is_masked_and_other_numbers_stay(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_masking_reaches_into_lists_and_can_be_left_out(tmp_path: Path) -> None:
    line = {
        "request_id": "0123-4567",  # as text it would be a telephone number
        "time": 1,
        "status": "completed",
        "inputs": {"talk": [{"text": "a@b.org"}]},
        "outputs": {},
    }
    log = tmp_path / "requests.jsonl"
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")

    masked = rows_of(dataset_from_logs(log, tmp_path / "d.jsonl").path)
    plain = rows_of(dataset_from_logs(log, tmp_path / "e.jsonl", mask=False).path)

    assert masked == [{"talk": [{"text": "<email>"}], "request.id": "0123-4567"}]
    assert plain == [{"talk": [{"text": "a@b.org"}], "request.id": "0123-4567"}]
