"""Turns: an owner's many jobs are claimed between those of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from instafeed.core.jobs.leased import LeasedQueue, Outcome
from instafeed.core.jobs.turns import next_turn
from media import processing_job
from media.models import Media, ProcessingJob
from tests.support.factories import UserFactory
from tests.support.pictures import enqueue_pictures

pytestmark = pytest.mark.django_db

queue: LeasedQueue[ProcessingJob] = processing_job.queue


def work() -> Iterator[int]:
    """Claim and finish jobs one by one. Yield their keys."""
    while claimed := queue.claim_due(1):
        queue.delete(claimed)
        yield claimed[0].pk


def test_jobs_of_a_late_owner_do_not_wait_for_all_jobs_of_an_early_one() -> None:
    many, one, few = (UserFactory() for _ in range(3))
    first = enqueue_pictures(many, 60)
    (single,) = enqueue_pictures(one)
    others = enqueue_pictures(few, 3)
    order = list(work())
    assert set(order[:4]) == {*first[:2], single, others[0]}
    assert [pk for pk in order if pk in first] == first, "the jobs of an owner keep their order"
    assert order.index(others[2]) < 10


def test_late_owner_joins_the_next_round() -> None:
    many, one = UserFactory(), UserFactory()
    first = enqueue_pictures(many, 60)
    worker = work()
    assert [next(worker) for _ in range(30)] == first[:30]
    running = queue.claim_due(1)
    (single,) = enqueue_pictures(one)
    assert [next(worker), next(worker)] == [first[31], single], f"while {running} is running"


def test_steady_new_owners_do_not_starve_a_backlog() -> None:
    many = UserFactory()
    first = enqueue_pictures(many, 5)
    worker, order = work(), []
    for _ in range(12):
        enqueue_pictures(UserFactory())
        enqueue_pictures(UserFactory())
        order.append(next(worker))
    assert [pk for pk in order if pk in first] == first[:4]


def test_idle_worker_takes_all_jobs_of_one_owner() -> None:
    first = enqueue_pictures(UserFactory(), 5)
    assert [job.pk for job in queue.claim_due(9)] == first


def test_failed_job_does_not_hold_up_the_rounds() -> None:
    """Otherwise all new owners would go before those who wait, as long as the failed job waits."""
    unlucky, many = UserFactory(), UserFactory()
    (failed,) = enqueue_pictures(unlucky)
    first = enqueue_pictures(many, 3)
    (job,) = queue.claim_due(1)
    assert job.pk == failed
    job.media = Media.objects.get(pk=job.pk)
    assert processing_job.retry_later(job, OSError("no space")) is Outcome.POSTPONED
    newcomers = [pk for _ in range(3) for pk in enqueue_pictures(UserFactory())]
    assert [job.pk for job in queue.claim_due(3)] == [first[0], first[1], newcomers[0]]


@pytest.mark.usefixtures("fresh_tables")
def test_turns_and_claims_read_indexes_only_as_far_as_needed() -> None:
    owner = UserFactory()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH pictures AS (
                INSERT INTO media_media (owner_id, status, original_path)
                SELECT %s, 1, 'x' FROM generate_series(1, 20000) RETURNING id
            )
            INSERT INTO media_processingjob (media_id, owner_id, turn)
            SELECT id, 1000000 + id %% 500, row_number() OVER () FROM pictures
            """,
            [owner.pk],
        )
        cursor.execute("ANALYZE media_processingjob")
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        assert next_turn(ProcessingJob, owner.pk) == 2
        assert len(queue.claim_due(1)) == 1
    reads = [
        query["sql"] for query in queries if "processingjob" in query["sql"] and query["sql"].strip()[:6] == "SELECT"
    ]
    assert len(reads) == 3, "the lock, the turn, the claim"
    for sql in reads[1:]:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan
