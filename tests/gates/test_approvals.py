"""A person's decision on record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from genaiops.errors import ApprovalMissing, DataError, InputError
from genaiops.gates import (
    Verdict,
    approvals,
    approve,
    judge_experiment,
    read_policy,
    record_verdict,
    reject,
    require_approval,
)
from tests.gates.folders import passes, write_experiment

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}})
    record_verdict(folder, judge_experiment(folder, read_policy({"metrics": {"accuracy": 0.8}})))
    return folder


def test_nobody_approved_is_exit_code_4(folder: Path) -> None:
    with pytest.raises(ApprovalMissing) as caught:
        require_approval(folder)

    assert caught.value.exit_code == 4


def test_approval_is_on_record(folder: Path) -> None:
    approve(folder, by="Ada", reason="looks right", at=NOON)

    found = require_approval(folder)

    assert (found.by, found.at, found.reason, found.verdict) == (
        "Ada",
        "2026-11-20T12:00:00+00:00",
        "looks right",
        "passed",
    )


def test_last_decision_counts_and_none_is_lost(folder: Path) -> None:
    approve(folder, by="Ada", at=NOON)
    reject(folder, by="Grace", reason="wrong data", at=NOON)

    with pytest.raises(ApprovalMissing, match="Grace refused this experiment on 2026-11-20: wrong data"):
        require_approval(folder)
    assert [each.decision for each in approvals(folder)] == ["approved", "rejected"]


def test_new_verdict_needs_a_new_decision(folder: Path) -> None:
    approve(folder, by="Ada", at=NOON)
    record_verdict(folder, Verdict(result="failed", reasons=("accuracy fell.",)))

    with pytest.raises(ApprovalMissing, match="verdict has changed since Ada"):
        require_approval(folder)


def test_failed_gate_is_overruled_only_with_a_reason(folder: Path) -> None:
    record_verdict(folder, Verdict(result="failed", reasons=("accuracy fell.",)))

    with pytest.raises(InputError, match="needs a reason"):
        approve(folder, by="Ada", reason="  ")
    assert approve(folder, by="Ada", reason="hot fix, agreed with support").verdict == "failed"


def test_decision_needs_a_name_and_an_experiment(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name of a person"):
        approve(folder, by=" ")
    with pytest.raises(DataError, match="no experiment"):
        approve(tmp_path, by="Ada")


def test_broken_record_is_not_an_approval(folder: Path) -> None:
    (folder / "approvals.json").write_text('{"decisions": [{"decision": "approved"}]}', encoding="utf-8")

    with pytest.raises(DataError, match="not a record of approvals"):
        require_approval(folder)
