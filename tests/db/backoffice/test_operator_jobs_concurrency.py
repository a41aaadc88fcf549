"""Operator jobs under concurrency: one of a kind, and a cancellation while a worker saves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from celery.result import AsyncResult
from django.db import connection, transaction

from accounts.models import AuditEntry
from instafeed.backoffice.jobs import services, worker
from instafeed.backoffice.jobs.steps import Step, Work
from instafeed.backoffice.models import OperatorJob
from instafeed.core.jobs.leased import Outcome
from tests.db.backoffice.operator_jobs import count_up, progress_of, replace_steps, start_job, view_of
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import TIMEOUT, eventually
from tests.support.lock_waits import count_lock_waiters
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db(transaction=True)

KIND = "reconcile_counters"


def test_concurrent_starts_create_one_job() -> None:
    operator = create_staff("Operator")
    results = run_concurrently([partial(services.start, KIND, {}, operator)] * 6)
    assert sum(isinstance(result, OperatorJob) for result in results) == 1
    assert sum(isinstance(result, services.AlreadyRunning) for result in results) == 5
    assert OperatorJob.objects.count() == AuditEntry.objects.count() == 1


@pytest.mark.parametrize("attempt", range(5))
def test_cancellation_and_slice_agree(attempt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row, the result and the audit log tell the same end."""
    replace_steps(monkeypatch, KIND, count_up)
    job, operator = start_job(KIND), create_staff("Operator")
    cancelled, outcome = run_concurrently([partial(services.cancel, job.pk, operator), worker.process_next])
    assert isinstance(cancelled, bool)
    if cancelled:
        assert outcome in (Outcome.OVERTAKEN, Outcome.UNCLAIMED)
    else:
        assert outcome is Outcome.FINISHED
    action, state = ("cancel_job", "REVOKED") if cancelled else ("end_job", "SUCCESS")
    assert AsyncResult(job.task_result_id).state == state
    assert view_of(job).ended
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["start_job", action]


def test_two_workers_do_not_share_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_steps(monkeypatch, KIND, count_up)
    start_job(KIND)
    outcomes = run_concurrently([worker.process_next] * 4)
    assert sorted(outcomes) == [Outcome.FINISHED, *[Outcome.UNCLAIMED] * 3]


def test_cancellation_keeps_the_progress_that_is_saved_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    replace_steps(monkeypatch, KIND, count_up)
    job, operator = start_job(KIND), create_staff("Operator")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert worker.process_next() is Outcome.CONTINUED
            cancelling = pool.submit(close_connection_after, services.cancel, job.pk, operator)
            eventually(lambda: count_lock_waiters() or cancelling.done())
        assert cancelling.result(TIMEOUT)
    assert (view_of(job).status, progress_of(job).done, progress_of(job).total) == ("cancelled", 1, 10)


def test_job_waits_when_the_database_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a restart of the server. The transaction of a test would keep the worker from opening a new connection."""

    def lose_connection(work: Work) -> Iterator[Step]:
        yield next(count_up(work))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    replace_steps(monkeypatch, KIND, lose_connection)
    job = start_job(KIND)
    assert worker.process_next() is Outcome.POSTPONED
    assert (view_of(job).status, progress_of(job).done) == ("waiting", 1)
