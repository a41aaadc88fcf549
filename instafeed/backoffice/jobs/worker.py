"""Work on operator jobs in slices of a second, and save the progress after each slice.

A slice that ends in the middle of the work is a checkpoint of the leased job. If its worker dies, the lease expires and
the next worker repeats the slice. While Redis, the storage or the database does not answer, the job waits.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import redis
from celery import states
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.models import User
from instafeed.backoffice.jobs import log, results
from instafeed.backoffice.jobs.kinds import KINDS, JobKind
from instafeed.backoffice.jobs.steps import JobFailed, Step, Work
from instafeed.backoffice.models import OperatorJob
from instafeed.core.exceptions import DependencyUnavailable
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import MAX_ERROR_LENGTH, LeasedQueue, Outcome, now_plus

logger = logging.getLogger(__name__)

SLICE_SECONDS = 1.0  # of work before other tasks get their turn
LEASE = timedelta(seconds=40)  # much longer than a step; a dead worker delays its job that long
RETRY_DELAY = timedelta(seconds=5)
MAX_LOST_WORKERS = 5  # in a row without progress; then the job probably kills them
TRANSIENT = (redis.RedisError, DependencyUnavailable, OperationalError)

queue = LeasedQueue(
    OperatorJob.objects.all(),
    task=CoalescedTask(queues.RUN_OPERATOR_JOBS),
    lease=LEASE,
    retry_delay=RETRY_DELAY,
)


def process_next() -> Outcome:
    """Work for about a second on the job that is due longest."""
    return queue.run_next(lambda job: JobSlice(job).run())


class JobSlice:
    """A second's work on a claimed job."""

    def __init__(self, job: OperatorJob) -> None:
        self.job = job
        operator = User(pk=job.requested_by_id, username=job.requested_by_name)
        self.work = Work(job.arguments, job.checkpoint, operator)
        self.progress = results.load_progress(job.task_result)
        self.checkpoint, self.lines = job.checkpoint, list[str]()
        self.started_at = job.started_at or timezone.now()

    def run(self) -> Outcome:
        try:
            kind = self._find_kind()
            if not self._work(kind):
                return self._save()
            summary = kind.finish(self.work, self.progress)
        except TRANSIENT as error:
            return self._postpone(error)
        except JobFailed as failure:
            return self._end(states.FAILURE, failure)
        except Exception as error:
            logger.exception("%s failed", self.job)
            message = f"An unexpected error ended the job ({type(error).__name__}). The worker's log has the details."
            return self._end(states.FAILURE, JobFailed(message))
        return self._end(states.SUCCESS, summary)

    def _find_kind(self) -> JobKind:
        """Raises JobFailed if another version of the program started the job, and this one has no such kind."""
        if self.job.kind not in KINDS:
            raise JobFailed(
                f"The workers have no job “{self.job.kind}”. During a deployment, start it again at its end."
            )
        return KINDS[self.job.kind]

    def _work(self, kind: JobKind) -> bool:
        """Do steps for a second. Return True when all are done."""
        if self.job.attempts > MAX_LOST_WORKERS:
            raise JobFailed(f"{MAX_LOST_WORKERS + 1} workers in a row died during the same step.")
        if self.progress.total is None:
            self.progress.total = kind.count(self.work)
            self.lines.append(f"Started; {self.progress.total:,} to do.")
        ends = time.monotonic() + SLICE_SECONDS
        for step in kind.steps(self.work):
            self._add(step)
            if time.monotonic() >= ends:
                return False
        return True

    def _add(self, step: Step) -> None:
        self.progress.add(step)
        self.checkpoint = dict(step.checkpoint)
        self.lines.extend(step.lines)
        if self.work.rate:
            time.sleep(step.done / self.work.rate)  # a step has at most one second's worth

    def _save(self) -> Outcome:
        return self._checkpoint(Outcome.CONTINUED)

    def _postpone(self, error: Exception) -> Outcome:
        logger.warning("%s is postponed: %s", self.job, error)
        reason = f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH]
        if not self.job.error:
            self.lines.append(f"Waiting, as a service does not answer. {reason}")
        if not connection.is_usable():  # the server was restarted, for example; Django opens a new one
            connection.close()
        return self._checkpoint(Outcome.POSTPONED, error=reason, due_at=now_plus(RETRY_DELAY))

    def _checkpoint(self, outcome: Outcome, **changes: object) -> Outcome:
        with transaction.atomic():
            if not queue.checkpoint(self.job, **self._columns(), **changes):
                return Outcome.OVERTAKEN
            results.store(self.job, results.PROGRESS, None, self.progress)
        return outcome

    def _end(self, state: str, result: str | JobFailed) -> Outcome:
        """End the job, with its result and the audit entry."""
        self.lines.append(str(result))
        self.checkpoint = {}  # it may hold the id of a user who is erased later
        with transaction.atomic():
            if not queue.finish(self.job, **self._columns(), ended_at=Now()):
                return Outcome.OVERTAKEN
            results.store(self.job, state, result, self.progress)
            after = {"kind": self.job.kind, "result": state.lower(), **self.progress.figures}
            audit.record(self.work.operator, "end_job", "operator_job", self.job.pk, user_id=None, after=after)
        return Outcome.FINISHED if state == states.SUCCESS else Outcome.FAILED

    def _columns(self) -> dict[str, object]:
        return {
            "checkpoint": self.checkpoint,
            "log": log.append(self.job.log, self.lines),
            "started_at": self.started_at,
        }
