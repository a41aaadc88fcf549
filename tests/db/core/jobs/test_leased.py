"""Leased jobs: claims, expired leases, retries, dead letters and dispatches, on rows of a real model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.utils import timezone

from instafeed.core.jobs.leased import JobState, LeasedQueue, Outcome, now_plus
from media.models import Relocation
from tests.support.database_clock import assert_sets_ahead
from tests.support.metric_values import MetricChange

pytestmark = pytest.mark.django_db

LEASE = timedelta(minutes=2)
MAX_ATTEMPTS = 2

queue = LeasedQueue(
    Relocation.objects.all(),
    lease=LEASE,
    retry_delay=timedelta(seconds=10),
    max_retry_delay=timedelta(seconds=60),
    max_attempts=MAX_ATTEMPTS,
    transient=(ConnectionError,),
)


def create_job(owner_id: int = 1) -> Relocation:
    return Relocation.objects.create(owner_id=owner_id)


def claim(job: Relocation) -> Relocation:
    claimed = queue.claim(job.pk)
    assert claimed is not None
    return claimed


def make_due(job: Relocation) -> None:
    """End the lease or the retry delay."""
    Relocation.objects.filter(pk=job.pk).update(
        due_at=now_plus(timedelta(seconds=-1)), dispatch_at=now_plus(timedelta(seconds=-1))
    )


def reload(job: Relocation) -> Relocation:
    return Relocation.objects.get(pk=job.pk)


def sets_due(job: Relocation, delay: timedelta) -> AbstractContextManager[None]:
    """Assert that the block makes the job due after the delay."""
    return assert_sets_ahead(Relocation.objects.filter(pk=job.pk), "due_at", delay)


def sets_dispatch(job: Relocation, delay: timedelta) -> AbstractContextManager[None]:
    """Assert that the block lets the sweep enqueue the job after the delay."""
    return assert_sets_ahead(Relocation.objects.filter(pk=job.pk), "dispatch_at", delay)


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def fail(job: Relocation, error: Exception) -> Outcome:
    """Run a slice that raises `error`."""

    def work(_: Relocation) -> Outcome:
        raise error

    return queue.run(queue.claim(job.pk), work)


# --- Claims ------------------------------------------------------------------------------------------------


def test_claimed_job_is_not_claimed_again() -> None:
    job = create_job()
    with sets_due(job, LEASE):
        job = claim(job)
    assert (reload(job).state, reload(job).lease) == (JobState.RUNNING, job.lease)
    assert queue.claim(job.pk) is None
    assert queue.claim_due(10) == []
    assert not queue.has_due()


def test_job_is_not_claimed_before_it_is_due() -> None:
    job = create_job()
    Relocation.objects.update(due_at=now_plus(LEASE))
    assert queue.claim_due(10) == []
    assert queue.claim(job.pk) is None
    queue.make_due([job.pk])
    assert queue.claim(job.pk) == job


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


def test_checkpoint_resets_failures_and_keeps_the_pause_between_dispatches() -> None:
    job = create_job()
    assert fail(job, ValueError("broken")) is Outcome.FAILED
    make_due(job)
    queue.claim_overdue(1)
    assert (reload(job).attempts, reload(job).dispatches) == (1, 1)
    assert "broken" in reload(job).error
    job = claim(job)
    with sets_dispatch(job, seconds(20)):
        assert queue.checkpoint(job)
    saved = reload(job)
    assert (saved.state, saved.lease, saved.attempts, saved.dispatches) == (JobState.PENDING, None, 0, 1)
    assert saved.error == ""


def test_finished_job_is_not_claimed_or_dispatched() -> None:
    job = claim(create_job())
    assert queue.finish(job)
    make_due(job)
    assert reload(job).state == JobState.DONE
    assert queue.claim(job.pk) is None
    assert queue.claim_due(1) == queue.claim_overdue(1) == []


def test_run_counts_outcomes() -> None:
    job = create_job()
    changes = {
        outcome: MetricChange("instafeed_job_slices_total", kind="relocation", outcome=outcome) for outcome in Outcome
    }
    fail(job, ConnectionError())
    make_due(job)
    fail(job, ValueError())
    make_due(job)
    queue.run(queue.claim(job.pk), lambda job: Outcome.FINISHED if queue.delete([job]) else Outcome.OVERTAKEN)
    queue.run(queue.claim(job.pk), lambda _: Outcome.FINISHED)
    counted = {outcome for outcome, change in changes.items() if change.by == 1}
    assert counted == {Outcome.POSTPONED, Outcome.FAILED, Outcome.FINISHED, Outcome.UNCLAIMED}


# --- Failures ----------------------------------------------------------------------------------------------------


def test_retry_delay_doubles_with_each_failure() -> None:
    endless, job = LeasedQueue(Relocation.objects.all(), lease=LEASE, retry_delay=timedelta(seconds=10)), create_job()
    for delay in (20, 40, 80, 160, 300, 300):
        claimed = endless.claim(job.pk)
        assert claimed is not None
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
    assert queue.claim(job.pk) is None
    assert reload(job).state == JobState.DEAD


# --- Dispatches ----------------------------------------------------------------------------------------------


def test_pause_between_dispatches_doubles() -> None:
    job = create_job()
    for pause in (10, 20, 40, 60, 60):
        make_due(job)
        with sets_dispatch(job, seconds(pause)):
            assert queue.claim_overdue(10) == [job.pk]
        assert queue.claim_overdue(10) == []


def test_dispatch_keeps_the_expired_lease_of_a_dead_worker() -> None:
    job = claim(create_job())
    assert queue.claim_overdue(10) == []
    make_due(job)
    assert queue.claim_overdue(10) == [job.pk]
    assert claim(job).attempts == 1


def test_tasks_that_the_broker_refuses_stay_overdue() -> None:
    jobs = [create_job(owner_id) for owner_id in range(1, 4)]
    for job in jobs:
        make_due(job)
    sent: list[int] = []

    def enqueue(pk: int) -> bool:
        sent.append(pk)
        return len(sent) < 2

    assert queue.dispatch_overdue(10, enqueue) == 1
    refused = {job.pk for job in jobs} - {sent[0]}
    assert set(queue.claim_overdue(10)) == refused


def test_refused_task_does_not_shorten_the_retry_delay_of_a_job_that_failed_meanwhile() -> None:
    job = create_job()

    def refuse(pk: int) -> bool:
        fail(job, ValueError())
        return False

    with sets_dispatch(job, seconds(20)):
        assert queue.dispatch_overdue(10, refuse) == 0
    assert (reload(job).state, reload(job).dispatches) == (JobState.PENDING, 0)


def test_expired_leases_do_not_crowd_out_other_overdue_jobs() -> None:
    expired, waiting = claim(create_job(1)), create_job(2)
    make_due(expired)
    assert queue.claim_overdue(1) == [expired.pk]
    assert queue.claim_overdue(1) == [waiting.pk]


# --- Clocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)])
def test_clock_of_the_worker_does_not_matter(skew: timedelta) -> None:
    wrong = timezone.now() + skew
    with patch("django.utils.timezone.now", lambda: wrong):
        job = create_job()
        with sets_due(job, LEASE):
            (claimed,) = queue.claim_due(1)
        assert queue.claim(job.pk) is None
        with sets_due(job, seconds(20)):
            queue.retry_later(claimed, ValueError())
        assert queue.claim_due(1) == queue.claim_overdue(1) == []
        make_due(job)
        with sets_dispatch(job, seconds(10)):
            assert queue.claim_overdue(1) == [job.pk]
