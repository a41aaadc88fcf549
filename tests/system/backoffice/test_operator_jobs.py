"""An operator job with real workers: it survives their death and an outage of the broker."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.imported_follows import import_follows, register_author
from tests.support.live_stack import LiveStack

USERS = 300  # at least; the job rebuilds their feeds at RATE a second: much longer than a busy machine needs for a test
RATE = 2
_START = """
from accounts.models import User
from instafeed.backoffice.jobs import services
print("job", services.start("backfill_feeds", {{"rate": {}}}, User(pk=1, username="operator")).pk)
"""
_CANCEL = """
from accounts.models import User
from instafeed.backoffice.jobs import services
print(services.cancel({}, User(pk=1, username="operator")))
"""
_QUERY = """
SELECT result.status, result.meta::jsonb -> 'progress', job.state
FROM backoffice_operatorjob job JOIN django_celery_results_taskresult result ON result.task_id = job.task_result_id
WHERE job.id = %s
"""
_HURRY = "UPDATE backoffice_operatorjob SET arguments = jsonb_set(arguments, '{rate}', '100000') WHERE id = %s"


class Job:
    """A backfill of all feeds, as the database shows it."""

    def __init__(self, stack: LiveStack, database: psycopg.Connection, *, rate: int = RATE) -> None:
        self._stack, self._database = stack, database
        self.pk = int(stack.manage("shell", "-c", _START.format(rate)).split("job ")[1])

    @property
    def row(self) -> tuple[str, dict[str, int], int]:
        row = self._database.execute(_QUERY, [self.pk]).fetchone()
        assert row is not None
        return row

    @property
    def status(self) -> str:
        return self.row[0]

    @property
    def done(self) -> int:
        return self.row[1]["done"]

    def cancel(self) -> bool:
        return "True" in self._stack.manage("shell", "-c", _CANCEL.format(self.pk))


@pytest.fixture
def database(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def users(live_stack: LiveStack, database: psycopg.Connection) -> int:
    """How many active users there are."""
    import_follows(register_author(live_stack), live_stack, followers=USERS)
    row = database.execute("SELECT count(*) FROM accounts_user WHERE is_active").fetchone()
    assert row is not None
    return int(row[0])


def test_job_runs_beside_other_tasks_and_can_be_cancelled(
    live_stack: LiveStack, database: psycopg.Connection, users: int
) -> None:
    job = Job(live_stack, database)
    eventually(lambda: job.done > 0)
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    post = author.create_post("delivered meanwhile")
    eventually(lambda: follower.feed() == [post])
    assert (job.status, job.done < users) == ("PROGRESS", True)
    assert job.cancel()
    done = job.done
    assert job.status == "REVOKED"
    second = Job(live_stack, database, rate=100_000)
    eventually(lambda: second.status == "SUCCESS")
    assert (job.status, job.done) == ("REVOKED", done)


@pytest.mark.kills_a_part
def test_job_goes_on_after_its_worker_was_killed(
    live_stack: LiveStack, database: psycopg.Connection, users: int
) -> None:
    job = Job(live_stack, database)
    eventually(lambda: job.done > 0)
    live_stack.kill("worker")
    assert job.done < users, "the job was over before the kill"
    database.execute(_HURRY, [job.pk])
    eventually(lambda: job.status == "SUCCESS")
    assert job.done >= users
    another = Job(live_stack, database, rate=100_000)
    eventually(lambda: another.status == "SUCCESS")  # there is one at a time


@pytest.mark.kills_a_part
def test_job_is_started_while_the_broker_is_down(
    live_stack: LiveStack, database: psycopg.Connection, users: int
) -> None:
    with live_stack.paused("broker"), live_stack.paused("worker"):  # which may have a task from before
        job = Job(live_stack, database, rate=100_000)
        assert job.status == "PENDING"
    eventually(lambda: job.status == "SUCCESS")
    assert job.done >= users
