"""Background jobs as rows in PostgreSQL: claimed under a lease, retried, never lost.

A job's row is written in the transaction that causes the job (a transactional outbox), so a crash loses neither. The
rows are the queue: one coalesced Celery task (`instafeed.core.jobs.coalesced`) says that there is work, and names none
of them. It may be lost; a sweep requests it again.

    PENDING ──claim──▶ RUNNING ──finish or delete──▶ DONE, or no row
       ▲                 │ │
       └──checkpoint,────┘ └──retry_later, after more than `max_attempts` failures in a row──▶ DEAD
          retry_later

* A job can be claimed from `due_at` on, and the job that has been due longest is claimed first, or that of the first
  turn (`instafeed.core.jobs.turns`). A claim draws a random token, `lease`, and moves `due_at` to its end. Every later
  write names the token: a worker that outlived its lease finds another one there and changes nothing.
* An exception delays the next claim, longer each time. A claim that follows an expired lease counts as a failure too,
  as the worker died, but is not delayed.
* Leases and delays use the database's clock, so the clocks of workers need not agree.

Sources: "Transactional outbox" (Chris Richardson, microservices.io); `FOR UPDATE SKIP LOCKED` as a queue (PostgreSQL's
documentation of SELECT).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import uuid4

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.observability.metrics import JOB_SLICES

logger = logging.getLogger(__name__)

MAX_ERROR_LENGTH = 1_000  # characters
MAX_TASK_DURATION = timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 5)  # by then Celery has killed the worker
_MAX_DOUBLINGS = 16
_MAX_COUNT = 1_000  # of attempts without an end: the column is a small integer


class JobState(models.IntegerChoices):
    PENDING = 0, "pending"
    RUNNING = 1, "running"
    DONE = 2, "done"
    DEAD = 3, "dead letter"


UNFINISHED = (JobState.PENDING, JobState.RUNNING)


class Outcome(StrEnum):
    """How a slice of a job ended. The values label metrics."""

    UNCLAIMED = "unclaimed"  # finished, deleted, or another worker has it
    CONTINUED = "continued"  # a checkpoint: more is left to do
    FINISHED = "finished"
    OVERTAKEN = "overtaken"  # the lease expired during the slice
    POSTPONED = "postponed"  # a service is down; does not count as a failure
    FAILED = "failed"


class LeasedJob(models.Model):
    """The columns of a job. The subclass adds an index on `due_at`; if finished rows are kept, without these."""

    state = models.PositiveSmallIntegerField(choices=JobState, default=JobState.PENDING, db_default=JobState.PENDING)
    due_at = models.DateTimeField(db_default=Now())  # from when it can be claimed; while RUNNING: the end of the lease
    lease = models.UUIDField(null=True, editable=False)  # the token of the current claim
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)  # failures and lost workers in a row
    error = models.TextField(blank=True, default="", db_default="")  # of the last failure

    class Meta:
        abstract = True


JobT = TypeVar("JobT", bound=LeasedJob)


def _has_failed(job: LeasedJob) -> bool:
    return bool(job.attempts) or job.state == JobState.RUNNING  # running, though due: its worker died


def now_plus(delay: timedelta) -> CombinedExpression:
    """The database's clock plus `delay`."""
    return Now() + delay


class LeasedQueue(Generic[JobT]):
    """The jobs of one model, and how they are claimed and retried.

    `jobs`: the queryset that a claim reads. `task`: the task that works on due jobs. `lease`: how long a claim holds;
    make it much longer than a slice. `retry_delay` doubles with each failure up to `max_retry_delay`. `max_attempts`:
    how many failures in a row are retried; one more makes a dead letter. None: no limit.
    `transient`: exceptions that mean that a service is down. They are retried without limit.
    `isolates_failures`: a job that failed, or whose worker died, is claimed without others. Otherwise a job that kills
    its workers would make dead letters of the jobs that are claimed with it.
    `claim_order`: the fields by which due jobs are claimed. They need an index.
    """

    def __init__(
        self,
        jobs: QuerySet[JobT],
        *,
        task: CoalescedTask,
        lease: timedelta,
        retry_delay: timedelta = timedelta(seconds=5),
        max_retry_delay: timedelta = timedelta(minutes=5),
        max_attempts: int | None = None,
        transient: tuple[type[Exception], ...] = (),
        isolates_failures: bool = False,
        claim_order: Sequence[str] = ("due_at", "pk"),
    ) -> None:
        self._jobs = jobs.using(DEFAULT_DB_ALIAS)
        self._rows: QuerySet[JobT] = jobs.model._default_manager.using(DEFAULT_DB_ALIAS)
        self._name = jobs.model._meta.model_name
        self.task = task
        self.lease = lease
        self.retry_delay, self.max_retry_delay = retry_delay, max_retry_delay
        self.max_attempts = max_attempts
        self.transient = transient
        self.isolates_failures = isolates_failures
        self._claim_order = claim_order

    # --- The task --------------------------------------------------------------------------------------

    def request_task_on_commit(self) -> None:
        """Request the task after the commit of the current transaction, which writes a job or makes it due.

        robust: the transaction is committed even if this fails; the sweep requests the task then.
        """
        transaction.on_commit(self.task.request, using=DEFAULT_DB_ALIAS, robust=True)

    def sweep(self) -> None:
        """Request the task if a job is due: its task was lost, its worker died, or its retry delay is over."""
        if self.has_due():
            self.task.request()

    # --- Working on jobs -------------------------------------------------------------------------------

    def run_next(self, work: Callable[[JobT], Outcome]) -> Outcome:
        """Have `work` do a slice of the first due job. For tasks that work on one job at a time.

        If more jobs are due, request the task again at once, so that another worker can start.
        """
        self.task.begin_look()
        claimed = self.claim_due(1)
        if claimed and self.has_due():
            self.task.request()
        outcome = self.run(claimed[0] if claimed else None, work)
        if outcome is Outcome.CONTINUED:
            self.task.request()
        return outcome

    def run(self, job: JobT | None, work: Callable[[JobT], Outcome]) -> Outcome:
        """Have `work` do a slice of a claimed job; exceptions become retries. Count the outcome and return it.

        `work` ends the claim itself, by `checkpoint`, `finish` or `delete`. `job` may be None, for nothing to claim.
        """
        outcome = Outcome.UNCLAIMED if job is None else self._attempt(job, work)
        self.count(outcome)
        return outcome

    def count(self, outcome: Outcome, slices: int = 1) -> None:
        """Count the outcome of slices in the metrics. For workers that do not use `run`."""
        JOB_SLICES.labels(self._name, outcome).inc(slices)

    def _attempt(self, job: JobT, work: Callable[[JobT], Outcome]) -> Outcome:
        try:
            return work(job)
        except self.transient as error:
            logger.warning("%s is postponed: %s", job, error)
            self.retry_later(job, error, counts=False)
            return Outcome.POSTPONED
        except Exception as error:
            logger.exception("%s failed", job)
            self.retry_later(job, error)
            return Outcome.FAILED

    def claim_due(self, limit: int) -> list[JobT]:
        """Claim due jobs, in the queue's order."""
        while True:
            with transaction.atomic(DEFAULT_DB_ALIAS):
                due = self._lock(self._jobs.filter(self._due()).order_by(*self._claim_order)[:limit])
                if self.isolates_failures and due:
                    due = due[:1] if _has_failed(due[0]) else [job for job in due if not _has_failed(job)]
                claimed = self._take(due)
            if claimed or not due:  # otherwise all of them have become dead letters
                return claimed

    @staticmethod
    def _lock(candidates: QuerySet[JobT]) -> list[JobT]:
        return list(candidates.select_for_update(of=("self",), skip_locked=True, no_key=True))

    def _take(self, candidates: Iterable[JobT]) -> list[JobT]:
        claimed, lease = [], uuid4()
        for job in candidates:
            if job.state == JobState.RUNNING:  # its worker died
                job.attempts = min(job.attempts + 1, _MAX_COUNT)
                self._rows.filter(pk=job.pk).update(attempts=job.attempts)
            if self.max_attempts is not None and job.attempts > self.max_attempts:
                self._dead_letter(job, "its workers died")
                continue
            job.state, job.lease = JobState.RUNNING, lease
            claimed.append(job)
        if claimed:
            end = now_plus(self.lease)
            rows = self._rows.filter(pk__in=[job.pk for job in claimed])
            rows.update(state=JobState.RUNNING, lease=lease, due_at=end)
        return claimed

    def renew(self, job: JobT) -> bool:
        """Let the lease hold for its whole duration again. False if it was lost."""
        return bool(self.owned([job]).update(due_at=now_plus(self.lease)))

    def checkpoint(self, *jobs: JobT, **changes: Any) -> int:
        """End a slice that leaves work, and save `changes`. Return how many jobs still had their lease.

        The jobs can be claimed at once, behind those that are due already, or from `due_at` on if that is among the
        changes.
        """
        progress = {"state": JobState.PENDING, "lease": None, "due_at": Now(), "attempts": 0, "error": ""}
        return self.owned(jobs).update(**(progress | changes))

    def finish(self, *jobs: JobT, **changes: Any) -> int:
        """End jobs and keep their rows, with `changes`. Return how many still had their lease."""
        return self.owned(jobs).update(state=JobState.DONE, lease=None, error="", **changes)

    def delete(self, jobs: Iterable[JobT]) -> int:
        """End jobs that keep no row. Return how many still had their lease."""
        return self.owned(jobs).delete()[0]

    def retry_later(
        self,
        job: JobT,
        error: Exception,
        *,
        counts: bool = True,
        delay: timedelta | None = None,
        **changes: Any,
    ) -> bool:
        """Give a failed job back for later, and save `changes`. `counts=False` for failures that are not the job's own.

        `delay` replaces the one that grows with the failures. False if the lease was lost, and nothing was saved.
        """
        with transaction.atomic(DEFAULT_DB_ALIAS):
            row = self.owned([job]).select_for_update(no_key=True).first()
            if row is None:
                return False
            row.attempts = min(row.attempts + counts, _MAX_COUNT)
            if self.max_attempts is not None and row.attempts > self.max_attempts:
                self._dead_letter(row, repr(error))
                return True
            retry_at = now_plus(self._delay_after(row.attempts) if delay is None else delay)
            self._rows.filter(pk=row.pk).update(
                state=JobState.PENDING,
                lease=None,
                attempts=row.attempts,
                error=repr(error)[:MAX_ERROR_LENGTH],
                due_at=retry_at,
                **changes,
            )
        return True

    def give_up(self, job: JobT, reason: str) -> bool:
        """Make a claimed job a dead letter at once. False if the lease was lost."""
        changes = {"state": JobState.DEAD, "lease": None, "due_at": Now(), "error": reason[:MAX_ERROR_LENGTH]}
        return bool(self.owned([job]).update(**changes))

    def postpone(self, jobs: Iterable[JobT], error: Exception) -> int:
        """Give jobs back while a service is down. Return how many still had their lease."""
        return self.owned(jobs).update(
            state=JobState.PENDING,
            lease=None,
            error=repr(error)[:MAX_ERROR_LENGTH],
            due_at=now_plus(self.retry_delay),
        )

    def owned(self, jobs: Iterable[JobT]) -> QuerySet[JobT]:
        """The rows of claimed jobs whose lease still holds, for writes of the caller's transaction."""
        leases = {job.pk: job.lease for job in jobs}
        return self._rows.filter(pk__in=list(leases), state=JobState.RUNNING, lease__in=set(leases.values()))

    def _dead_letter(self, job: JobT, reason: str) -> None:
        logger.error("%s is a dead letter: %s", job, reason)
        self._rows.filter(pk=job.pk).update(
            state=JobState.DEAD, lease=None, attempts=job.attempts, error=reason[:MAX_ERROR_LENGTH]
        )

    def _delay_after(self, times: int) -> timedelta:
        return min(self.retry_delay * 2 ** min(times, _MAX_DOUBLINGS), self.max_retry_delay)

    # --- The queue -------------------------------------------------------------------------------------

    def has_due(self) -> bool:
        """Return whether `claim_due` would find a job now."""
        return self._rows.filter(self._due()).exists()

    def unclaimed(self) -> QuerySet[JobT]:
        """All unfinished jobs that no living worker has, due or not."""
        return self._rows.filter(Q(state=JobState.PENDING) | self._due())

    def make_due(self, pks: Iterable[int] | None = None) -> int:
        """End the retry delay of pending jobs, all or those named. Return how many can be claimed at once now."""
        waiting = self._rows.filter(state=JobState.PENDING, due_at__gt=Now())
        if pks is not None:
            waiting = waiting.filter(pk__in=list(pks))
        return waiting.update(due_at=Now())

    def requeue_dead_letters(self, pks: Iterable[int] | None = None) -> int:
        """Start dead letters again, all or those named; return how many."""
        dead = self._rows.filter(state=JobState.DEAD)
        if pks is not None:
            dead = dead.filter(pk__in=list(pks))
        return dead.update(state=JobState.PENDING, attempts=0, error="", due_at=Now())

    @staticmethod
    def _due() -> Q:
        return Q(state__in=UNFINISHED, due_at__lte=Now())
