from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genaiops.connections._pace import Pace
from tests.connections import pace_simulation as simulation


def test_without_a_limit_the_pace_finds_room_for_all() -> None:
    """1,000 calls of 0.2 s with 64 wanted at once: at least 0.9 of 64 / 0.2 s."""
    traffic = simulation.run(simulation.free, 1000, latency_s=0.2, demand=64)

    assert traffic.most_in_flight == 64
    assert traffic.per_s >= 0.9 * 64 / 0.2
    assert traffic.requests == 1000


def test_nobody_tells_it_how_many_may_be_in_flight() -> None:
    traffic = simulation.run(simulation.free, 2000, latency_s=0.2)

    assert traffic.most_in_flight >= 200


def test_the_users_cap_is_kept() -> None:
    assert simulation.run(simulation.free, 200, latency_s=0.2, most=7).most_in_flight == 7


# A refusal is quick; on a busy machine it takes its time.
@pytest.mark.parametrize("refusal_s", [0.002, 0.02])
@pytest.mark.parametrize("latency_s", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(
    "server",
    [
        lambda: simulation.bucket(20, 2),
        lambda: simulation.bucket(20, 20),
        lambda: simulation.bucket(20, 20, retry_after_s=1.0),
        lambda: simulation.window(20),
    ],
)
def test_a_server_limited_to_twenty_a_second_refuses_few_calls(
    server: object, latency_s: float, refusal_s: float
) -> None:
    traffic = simulation.run(server(), 400, latency_s=latency_s, refusal_s=refusal_s)  # type: ignore[operator]

    assert traffic.requests_per_success <= 1.10
    assert traffic.per_s >= 0.65 * 20


def test_refusals_that_come_as_late_as_replies_cost_more_only_at_the_start() -> None:
    traffic = simulation.run(simulation.bucket(20, 20), 1000, latency_s=0.2, refusal_s=0.2)

    assert traffic.requests_per_success <= 1.10


def test_a_server_that_holds_few_calls_gets_few() -> None:
    traffic = simulation.run(simulation.crowded(32), 1000, latency_s=0.2)

    assert traffic.requests_per_success <= 1.10
    assert traffic.per_s >= 0.4 * 32 / 0.2


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(40))
def test_refusals_at_random_do_not_bring_calls_to_a_stop(share: float, seed: int) -> None:
    traffic = simulation.run(simulation.moody(share, seed), 1000, latency_s=0.2)

    assert traffic.seconds < 60


def test_what_is_under_way_counts_as_taken_when_the_first_pause_is_over() -> None:
    """Ten calls wait for slow replies while four in a row are refused: the server takes about ten a second."""
    pace = Pace()
    for number in range(10):
        pace.sent(number * 0.004)

    for number in range(4):
        pace.refused(pace.sent(0.04 + number * 0.004), 0.041 + number * 0.004, 0.1)

    assert pace.rate >= 9


def test_errors_that_are_not_about_load_cut_nothing() -> None:
    pace = Pace()
    before = pace.limit

    for i in range(50):
        pace.failed(pace.sent(i * 0.1), i * 0.1 + 0.05)

    assert pace.limit == before
    assert pace.rate is inf


def test_calls_that_a_person_asked_for_need_not_be_found_out() -> None:
    pace = Pace(most=100)

    pace.expect(64)
    asked = pace.limit
    pace.expect(8)

    assert (asked, pace.limit) == (64, 64)
    pace.expect(1000)
    assert pace.limit == 100


def test_a_server_that_refuses_knows_better_than_who_asked() -> None:
    pace = Pace()
    pace.refused(pace.sent(0.0), 0.01, 1.0)
    before = pace.limit

    pace.expect(200)

    assert pace.limit == before


def test_an_idle_limit_does_not_grow() -> None:
    pace = Pace()
    before = pace.limit

    for i in range(100):
        pace.succeeded(pace.sent(float(i)), i + 0.2)

    assert pace.limit == before


def test_when_replies_take_ever_longer_more_calls_are_not_added() -> None:
    """A server with two seats: the more wait in it, the longer each waits."""
    pace = Pace()
    now, waiting = 0.0, []
    for _ in range(600):
        while pace.wait_s(now) == 0:
            waiting.append(pace.sent(now))
        now += 0.1
        for ticket in waiting[:2]:
            pace.succeeded(ticket, now)
        del waiting[:2]

    assert pace.limit < 128


def test_a_nearly_empty_quota_slows_calls_before_the_server_has_to() -> None:
    pace = Pace()
    pace.sent(0.0)
    pace.remaining(0.0, left=5, limit=600, reset_s=30)
    pace.sent(0.1)

    assert 4 < pace.wait_s(0.1) <= 7


def test_an_empty_quota_stops_calls_until_it_is_filled() -> None:
    pace = Pace()

    pace.remaining(10.0, left=0, limit=600, reset_s=12)

    assert pace.wait_s(10.0) == pytest.approx(12)


def test_a_budget_of_requests_is_kept() -> None:
    pace = Pace(rate_cap=10)
    now, sent = 0.0, 0
    while now < 10:
        while pace.wait_s(now) == 0:
            pace.succeeded(pace.sent(now), now)
            sent += 1
        now += 0.005

    assert 95 <= sent <= 104


@given(events=st.lists(st.tuples(st.sampled_from("srfc"), st.floats(0.0, 2.0)), max_size=300), most=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_limits_stay_within_bounds_whatever_happens(events: list[tuple[str, float]], most: int) -> None:
    pace = Pace(most=most)
    now, under_way = 0.0, []
    for what, pause_s in events:
        now += pause_s
        if what == "s" and pace.wait_s(now) == 0:
            under_way.append(pace.sent(now))
        elif what == "r" and under_way:
            pace.refused(under_way.pop(), now, pause_s)
        elif what == "f" and under_way:
            pace.failed(under_way.pop(), now)
        elif what == "c" and under_way:
            pace.succeeded(under_way.pop(), now)

        assert 1 <= pace.limit <= most
        assert pace.in_flight == len(under_way) <= most
        assert pace.rate > 0
        assert pace.wait_s(now) >= 0
