"""Two real beats: one of them sends the periodic tasks, and the other one takes over."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from instafeed.core.cache import keys
from instafeed.core.jobs import beat_scheduler
from tests.support.beats import Beats
from tests.support.cluster_cache import running_cluster
from tests.support.eventually import eventually


@pytest.fixture
def beats(redis_broker: redis.Redis, tmp_path: Path) -> Iterator[Beats]:
    with closing(Beats(tmp_path, redis_broker)) as started:
        yield started


def test_one_of_two_beats_sends(beats: Beats, redis_cache: redis.Redis) -> None:
    first = beats.start()
    beats.wait_for_tasks(first, 1)
    token = redis_cache.get(keys.BEAT)
    beats.start()
    beats.wait_for_another(1)
    beats.wait_for_tasks(first, 10)  # of some intervals
    assert set(beats.senders()) == {first}
    assert redis_cache.get(keys.BEAT) == token
    assert 0 < redis_cache.ttl(keys.BEAT) <= beat_scheduler.LEASE_TTL


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_other_beat_takes_over(beats: Beats, redis_cache: redis.Redis, signum: signal.Signals) -> None:
    first = beats.start()
    beats.wait_for_tasks(first, 1)
    token = redis_cache.get(keys.BEAT)
    second = beats.start()
    beats.wait_for_another(1)
    beats.processes[0].send_signal(signum)
    beats.processes[0].wait(60)
    if signum == signal.SIGTERM:
        assert redis_cache.get(keys.BEAT) != token, "given back"
    beats.wait_for_tasks(second, 1)
    assert redis_cache.get(keys.BEAT) not in (token, None)


def test_every_beat_sends_without_the_cache(beats: Beats) -> None:
    """A task that runs twice is harmless; one that does not run is not."""
    nothing_listens = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    first, second = (beats.start(**nothing_listens) for _ in range(2))
    eventually(lambda: set(beats.senders()) == {first, second})


def test_lease_in_a_redis_cluster(beats: Beats, tmp_path: Path) -> None:
    with running_cluster(tmp_path / "cluster") as cluster:
        first = beats.start(REDIS_URL=cluster.url)
        beats.wait_for_tasks(first, 1)
        beats.start(REDIS_URL=cluster.url)
        beats.wait_for_another(1)
