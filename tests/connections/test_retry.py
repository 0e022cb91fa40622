import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.connections._retry import Tries, WireError, read_duration, read_quota, read_retry_after, status_error


def _error(status: int, code: str = "", headers: dict[str, str] | None = None) -> WireError:
    return status_error(status, "said", name="X", headers=headers or {}, body={"error": {"code": code}})


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (429, "", "refused"),
        (429, "rate_limit_exceeded", "refused"),
        (429, "insufficient_quota", "permanent"),
        (529, "", "refused"),
        (500, "", "server"),
        (502, "", "server"),
        (503, "", "server"),
        (408, "", "server"),
        (422, "", "unprocessable"),
        (400, "", "permanent"),
        (401, "", "permanent"),
        (403, "", "permanent"),
        (404, "", "permanent"),
    ],
)
def test_a_status_means_try_again_or_not(status: int, code: str, trouble: str) -> None:
    assert _error(status, code).trouble == trouble


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "120", "retry-after": "3"}, 0.12),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:05 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 5.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_server_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("6m0s", 360), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7", 7), ("x", None)]
)
def test_durations_are_read_as_openai_writes_them(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds


def test_quotas_are_read_from_headers() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    assert read_quota(headers) == [("requests", 59.0, 60.0, 1.0), ("tokens", 149984.0, 150000.0, 360.0)]
    assert read_quota({"x-ratelimit-remaining-requests": "59"}) == []


@given(st.text(max_size=20), st.text(max_size=20))
def test_odd_headers_never_break_a_call(first: str, second: str) -> None:
    headers = {
        "retry-after": first,
        "date": second,
        "x-ratelimit-limit-requests": first,
        "x-ratelimit-remaining-requests": second,
        "x-ratelimit-reset-requests": first,
    }

    assert (read_retry_after(headers) or 0) >= 0
    read_quota(headers)


def _tries(deadline_s: float = 1e9) -> Tries:
    return Tries(deadline_s, random.Random(1))


def test_a_refused_call_waits_at_least_as_long_as_asked() -> None:
    delay_s = _tries().delay_s(_error(429, headers={"retry-after": "2"}), 0.0, answered_before=True)

    assert delay_s is not None
    assert 2.0 <= delay_s <= 2.2


def test_waits_between_server_errors_grow() -> None:
    tries = _tries()

    delays = [tries.delay_s(_error(500), 0.0, answered_before=True) for _ in range(11)]

    assert all(delay is not None for delay in delays)
    assert delays[0] < 1 < delays[9]  # type: ignore[operator]
    assert tries.delay_s(_error(500), 0.0, answered_before=True) is None


def test_what_cannot_be_processed_is_tried_three_times_in_a_row() -> None:
    tries = _tries()
    first = [tries.delay_s(_error(422), 0.0, answered_before=True) for _ in range(3)]
    again = _tries()
    mixed = [again.delay_s(_error(status), 0.0, answered_before=True) for status in (422, 422, 500, 422, 422)]

    assert [delay is None for delay in first] == [False, False, True]
    assert None not in mixed


def test_no_try_begins_after_the_deadline() -> None:
    tries = _tries(deadline_s=10.0)

    assert tries.delay_s(_error(429, headers={"retry-after": "5"}), 4.0, answered_before=True) is not None
    assert tries.delay_s(_error(429, headers={"retry-after": "5"}), 6.0, answered_before=True) is None


def test_a_wrong_address_is_given_up_soon() -> None:
    error = WireError("unreachable", "refused", name="APIConnectionError")
    tries = _tries()

    delays = [tries.delay_s(error, 0.0, answered_before=False) for _ in range(3)]

    assert [delay is None for delay in delays] == [False, False, True]
