"""Leased jobs: claims, expired leases, retries, dead letters and tasks, on rows of a real model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from unittest.mock import patch

import pytest
import redis
from django.db import transaction
from django.utils import timezone

from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import JobState, LeasedQueue, Outcome, now_plus
from media.models import Relocation
from tests.support import leased_jobs
from tests.support.database_clock import assert_sets_ahead
from tests.support.leased_jobs import claim_job, lose_tasks
from tests.support.metric_values import MetricChange

pytestmark = pytest.mark.django_db

LEASE = timedelta(minutes=2)
MAX_ATTEMPTS = 2

task = CoalescedTask("media.tasks.relocate_media", mark_ttl=600)  # the mark does not expire during a test
queue = LeasedQueue(
    Relocation.objects.all(),
    task=task,
    lease=LEASE,
    retry_delay=timedelta(seconds=10),
    max_retry_delay=timedelta(seconds=60),
    max_attempts=MAX_ATTEMPTS,
    transient=(ConnectionError,),
)


def create_job(owner_id: int = 1) -> Relocation:
    return Relocation.objects.create(owner_id=owner_id)


def claim(job: Relocation) -> Relocation:
    claimed = try_claim(job)
    assert claimed is not None
    return claimed


def try_claim(job: Relocation) -> Relocation | None:
    return claim_job(queue, Relocation, job.pk)


def make_due(job: Relocation) -> None:
    """End the lease or the retry delay."""
    leased_jobs.make_due(Relocation, job.pk)


def reload(job: Relocation) -> Relocation:
    return Relocation.objects.get(pk=job.pk)


def sets_due(job: Relocation, delay: timedelta) -> AbstractContextManager[None]:
    """Assert that the block makes the job due after the delay."""
    return assert_sets_ahead(Relocation.objects.filter(pk=job.pk), "due_at", delay)


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def fail(job: Relocation, error: Exception) -> Outcome:
    """Run a slice that raises `error`."""

    def work(_: Relocation) -> Outcome:
        raise error

    return queue.run(try_claim(job), work)


# --- Claims ------------------------------------------------------------------------------------------------


def test_claimed_job_is_not_claimed_again() -> None:
    job = create_job()
    with sets_due(job, LEASE):
        job = claim(job)
    assert (reload(job).state, reload(job).lease) == (JobState.RUNNING, job.lease)
    assert try_claim(job) is None
    assert queue.claim_due(10) == []
    assert not queue.has_due()


def test_job_is_not_claimed_before_it_is_due() -> None:
    job = create_job()
    Relocation.objects.update(due_at=now_plus(LEASE))
    assert queue.claim_due(10) == []
    assert try_claim(job) is None
    queue.make_due([job.pk])
    assert try_claim(job) == job


def test_tasks_enqueued_twice_do_not_cut_the_retry_delay_short() -> None:
    job = create_job()
    assert fail(job, ValueError()) is Outcome.FAILED
    assert fail(job, ValueError()) is Outcome.UNCLAIMED
    assert reload(job).attempts == 1


def test_renewed_lease_holds_for_its_whole_duration_again() -> None:
    job = claim(create_job())
    make_due(job)
    with sets_due(job, LEASE):
        assert queue.renew(job)
    make_due(job)
    claim(job)
    assert not queue.renew(job)


def test_jobs_that_are_due_longest_are_claimed_first() -> None:
    new, old = create_job(1), create_job(2)
    make_due(old)
    assert queue.has_due()
    assert queue.claim_due(1) == [old]
    assert queue.claim_due(10) == [new]


def test_expired_lease_counts_an_attempt() -> None:
    first = claim(create_job())
    make_due(first)
    second = claim(first)
    assert (first.attempts, second.attempts) == (0, 1)
    assert second.lease != first.lease


@pytest.mark.parametrize(
    "end",
    [
        queue.checkpoint,
        queue.finish,
        lambda job: queue.delete([job]),
        lambda job: queue.retry_later(job, ValueError("late")),
    ],
    ids=["checkpoint", "finish", "delete", "retry"],
)
def test_overtaken_worker_changes_nothing(end: Callable[[Relocation], bool]) -> None:
    overtaken = claim(create_job())
    make_due(overtaken)
    current = claim(overtaken)
    before = Relocation.objects.values().get()
    assert not end(overtaken)
    assert Relocation.objects.values().get() == before
    assert end(current)


def test_expired_lease_holds_until_another_worker_claims_the_job() -> None:
    job = claim(create_job())
    make_due(job)
    assert queue.delete([job]) == 1


# --- The ends of a slice ---------------------------------------------------------------------------------------


def test_checkpoint_resets_failures_and_puts_the_job_behind_the_others() -> None:
    job, other = create_job(1), create_job(2)
    assert fail(job, ValueError("broken")) is Outcome.FAILED
    make_due(job)
    assert (reload(job).attempts, "broken" in reload(job).error) == (1, True)
    assert queue.checkpoint(claim(job))
    saved = reload(job)
    assert (saved.state, saved.lease, saved.attempts, saved.error) == (JobState.PENDING, None, 0, "")
    assert queue.claim_due(10) == [other, job]


def test_finished_job_is_not_claimed() -> None:
    job = claim(create_job())
    assert queue.finish(job)
    make_due(job)
    assert reload(job).state == JobState.DONE
    assert try_claim(job) is None
    assert queue.claim_due(1) == []
    assert not queue.has_due()


def test_run_counts_outcomes() -> None:
    job = create_job()
    changes = {
        outcome: MetricChange("instafeed_job_slices_total", kind="relocation", outcome=outcome) for outcome in Outcome
    }
    fail(job, ConnectionError())
    make_due(job)
    fail(job, ValueError())
    make_due(job)
    queue.run(try_claim(job), lambda job: Outcome.FINISHED if queue.delete([job]) else Outcome.OVERTAKEN)
    queue.run(try_claim(job), lambda _: Outcome.FINISHED)
    counted = {outcome for outcome, change in changes.items() if change.by == 1}
    assert counted == {Outcome.POSTPONED, Outcome.FAILED, Outcome.FINISHED, Outcome.UNCLAIMED}


# --- Failures ----------------------------------------------------------------------------------------------------


def test_retry_delay_doubles_with_each_failure() -> None:
    endless = LeasedQueue(Relocation.objects.all(), task=task, lease=LEASE, retry_delay=timedelta(seconds=10))
    job = create_job()
    for delay in (20, 40, 80, 160, 300, 300):
        (claimed,) = endless.claim_due(1)
        with sets_due(job, seconds(delay)):
            endless.retry_later(claimed, ValueError())
        make_due(job)


def test_transient_errors_never_make_a_dead_letter() -> None:
    job = create_job()
    for _ in range(MAX_ATTEMPTS + 3):
        assert fail(job, ConnectionError("down")) is Outcome.POSTPONED
        make_due(job)
    assert (reload(job).state, reload(job).attempts) == (JobState.PENDING, 0)
    assert "down" in reload(job).error


def test_repeated_failures_make_a_dead_letter_that_can_be_requeued() -> None:
    job, other = create_job(1), create_job(2)
    for _ in range(MAX_ATTEMPTS):
        fail(job, ValueError("broken"))
        make_due(job)
    assert reload(job).state == JobState.PENDING
    fail(job, ValueError("broken"))
    assert reload(job).state == JobState.DEAD
    assert "broken" in reload(job).error
    assert fail(job, ValueError()) is Outcome.UNCLAIMED
    assert queue.requeue_dead_letters([other.pk]) == 0
    assert queue.requeue_dead_letters() == 1
    assert (claim(job).attempts, reload(job).error) == (0, "")


def test_job_that_kills_its_workers_becomes_a_dead_letter() -> None:
    job = create_job()
    for _ in range(MAX_ATTEMPTS + 1):
        claim(job)
        make_due(job)
    assert try_claim(job) is None
    assert reload(job).state == JobState.DEAD


def test_postponed_jobs_are_due_after_the_retry_delay_without_an_attempt() -> None:
    jobs = [claim(create_job(owner_id)) for owner_id in (1, 2)]
    with sets_due(jobs[0], seconds(10)), sets_due(jobs[1], seconds(10)):
        assert queue.postpone(jobs, ConnectionError("down")) == 2
    assert [(reload(job).state, reload(job).attempts) for job in jobs] == [(JobState.PENDING, 0)] * 2
    assert "down" in reload(jobs[0]).error


def test_failed_job_is_claimed_alone_by_a_queue_that_isolates_failures() -> None:
    """A job that kills its worker must not make dead letters of the jobs that are claimed with it."""
    isolating = LeasedQueue(Relocation.objects.all(), task=task, lease=LEASE, isolates_failures=True)
    first, second, failed, third, abandoned = [create_job(owner_id) for owner_id in range(1, 6)]
    Relocation.objects.filter(pk=failed.pk).update(attempts=1)
    Relocation.objects.filter(pk=abandoned.pk).update(state=JobState.RUNNING)
    assert isolating.claim_due(10) == [first, second, third]
    assert isolating.claim_due(10) == [failed]
    assert isolating.claim_due(10) == [abandoned]
    assert isolating.claim_due(10) == []


# --- Tasks ---------------------------------------------------------------------------------------------------


def count_tasks(redis_broker: redis.Redis) -> int:
    return redis_broker.llen("bulk")


def finish(job: Relocation) -> Outcome:
    return Outcome.FINISHED if queue.delete([job]) else Outcome.OVERTAKEN


def test_task_is_requested_after_the_commit(redis_broker: redis.Redis) -> None:
    with transaction.atomic():
        create_job()
        queue.request_task_on_commit()
        assert count_tasks(redis_broker) == 0
    assert count_tasks(redis_broker) == 1


def test_sweep_requests_the_task_while_a_job_is_due(redis_broker: redis.Redis) -> None:
    queue.sweep()
    assert count_tasks(redis_broker) == 0
    job = create_job()
    for _ in range(2):
        queue.sweep()
        assert count_tasks(redis_broker) == 1
    lose_tasks(redis_broker)
    job = claim(job)
    queue.sweep()
    assert count_tasks(redis_broker) == 0, "a worker has it"
    make_due(job)
    queue.sweep()
    assert count_tasks(redis_broker) == 1, "the worker died"


def test_worker_that_takes_a_job_calls_another_for_the_next(redis_broker: redis.Redis) -> None:
    for owner_id in (1, 2):
        create_job(owner_id)
    started: list[int] = []

    def work(job: Relocation) -> Outcome:
        started.append(count_tasks(redis_broker))
        return finish(job)

    assert [queue.run_next(work) for _ in range(3)] == [Outcome.FINISHED, Outcome.FINISHED, Outcome.UNCLAIMED]
    assert started == [1, 1], "only the first found another job"


def test_unfinished_job_requests_the_task_again(redis_broker: redis.Redis) -> None:
    create_job()
    outcome = queue.run_next(lambda job: Outcome.CONTINUED if queue.checkpoint(job) else Outcome.OVERTAKEN)
    assert (outcome, count_tasks(redis_broker)) == (Outcome.CONTINUED, 1)


# --- Clocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)])
def test_clock_of_the_worker_does_not_matter(skew: timedelta) -> None:
    wrong = timezone.now() + skew
    with patch("django.utils.timezone.now", lambda: wrong):
        job = create_job()
        with sets_due(job, LEASE):
            (claimed,) = queue.claim_due(1)
        assert not queue.has_due()
        with sets_due(job, seconds(20)):
            queue.retry_later(claimed, ValueError())
        assert queue.claim_due(1) == []
