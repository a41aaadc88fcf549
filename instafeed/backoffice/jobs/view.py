"""A job as its pages show it: status, progress, result and log in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

from celery import states
from django.utils import timezone

from instafeed.backoffice.jobs import results
from instafeed.backoffice.jobs.kinds import KINDS
from instafeed.backoffice.jobs.steps import Progress
from instafeed.backoffice.models import OperatorJob
from instafeed.core.admin.display import format_duration
from instafeed.core.jobs.leased import UNFINISHED, JobState

WORKER_WAIT = timedelta(seconds=20)  # a job that has been due longer waits for a worker
_ENDS = {
    states.SUCCESS: ("succeeded", "good"),
    states.FAILURE: ("failed", "bad"),
    states.REVOKED: ("cancelled", "busy"),
}


class JobView:
    """Reads the job's `task_result`; `message` needs one more query."""

    def __init__(self, job: OperatorJob) -> None:
        self.job, self._kind = job, KINDS.get(job.kind)

    @property
    def label(self) -> str:
        return self._kind.label if self._kind else self.job.kind

    @property
    def ended(self) -> bool:
        return self.job.state not in UNFINISHED

    @property
    def status(self) -> str:
        return self._status[0]

    @property
    def style(self) -> str:
        """The kind of badge, as `state_badge` takes it."""
        return self._status[1]

    @property
    def _status(self) -> tuple[str, str]:
        if self.ended:
            return _ENDS[self.job.task_result.status]
        if self.job.error:
            return "waiting", "bad"
        if timezone.now() - self.job.due_at > WORKER_WAIT:
            return "waiting for a worker", "bad"
        is_queued = self.job.started_at is None and self.job.state == JobState.PENDING
        return ("queued" if is_queued else "running"), "busy"

    @property
    def explanation(self) -> str:
        """Why the job waits, or empty."""
        if self.ended:
            return ""
        if self.job.error and self.job.attempts:  # the queue's record of an exception
            return "An unexpected error interrupted the job; a worker tries again. The worker's log has the details."
        if self.job.error:
            return f"A service does not answer; the job goes on when it does. {self.job.error}"
        waited = timezone.now() - self.job.due_at
        if waited > WORKER_WAIT:
            return (
                f"No worker has taken the job for {format_duration(waited)}. Look at the broker and the workers of the "
                "queue “bulk”."
            )
        return ""

    @cached_property
    def message(self) -> str:
        """The summary, why the job failed, or who cancelled it. Empty while it runs."""
        return results.load_message(self.job.task_result_id) if self.ended else ""

    @cached_property
    def progress(self) -> Progress:
        return results.load_progress(self.job.task_result)

    @property
    def percentage(self) -> int | None:
        """Whole per cent, rounded down; 100 after success. None while the total is unknown or zero."""
        if self.status == "succeeded":  # a dry run counts only; and rows come and go meanwhile
            return 100
        total = self.progress.total
        return min(100, 100 * self.progress.done // total) if total else None

    @property
    def progress_text(self) -> str:
        done, total = self.progress.done, self.progress.total
        if total is None:
            return "–"
        if self.status == "succeeded":
            return f"{done:,} done"
        count = f"{done:,} of {max(done, total):,}"
        return count if self.percentage is None else f"{count} ({self.percentage}%)"

    @property
    def duration(self) -> str:
        if self.job.started_at is None:
            return "–"
        return format_duration((self.job.ended_at or timezone.now()) - self.job.started_at)

    @property
    def last_update(self) -> str:
        return f"{format_duration(timezone.now() - self.job.task_result.date_done)} ago"

    @property
    def arguments(self) -> Sequence[tuple[str, str]]:
        """The labels and values of the arguments that were given, in the order of the form."""
        fields = self._kind.form().fields if self._kind else {}
        return [
            (str(field.label), "yes" if (value := self.job.arguments[name]) is True else str(value))
            for name, field in fields.items()
            if name in self.job.arguments
        ]

    @property
    def figures(self) -> Sequence[tuple[str, str]]:
        return [(name, f"{number:,}") for name, number in self.progress.figures.items()]
