"""The estimate of how long the next request would wait for a thread."""

from __future__ import annotations

import pytest

from instafeed.core.http import waiting_time
from instafeed.core.http.waiting_time import WaitingTime


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting_time, "time", clock)
    return clock


def test_without_requests_nothing_is_expected() -> None:
    assert WaitingTime().expected() == 0


def test_estimate_is_the_queue_times_the_seconds_of_each(clock: Clock) -> None:
    queue = WaitingTime()
    places = [queue.join() for _ in range(50)]
    clock.now += 1
    assert [queue.leave(place) for place in places[:10]] == [1.0] * 10
    assert queue.queued == 40
    # The tenth waited one second with nine ahead, so each takes 0.1 s.
    assert queue.expected() == pytest.approx(4)


def test_one_quick_request_ends_a_high_estimate(clock: Clock) -> None:
    queue = WaitingTime()
    slow = queue.join()
    clock.now += 10
    queue.leave(slow)
    quick = queue.join()
    clock.now += 0.001
    queue.leave(quick)
    for _ in range(100):
        queue.join()
    assert queue.expected() == pytest.approx(0.1)


def test_requests_that_leave_in_another_order_are_counted_once(clock: Clock) -> None:
    queue = WaitingTime()
    first, second = queue.join(), queue.join()
    queue.leave(second)
    queue.leave(first)
    assert queue.queued == 0
