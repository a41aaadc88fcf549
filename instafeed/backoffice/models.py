"""The back office's own tables: the samples that the dashboard draws, and the jobs that operators start."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django_celery_results.models import TaskResult

from instafeed.core.jobs.leased import UNFINISHED, JobState, LeasedJob


class Sample(models.Model):
    """The metrics of one minute, for the dashboard. One row a minute (`retention` deletes old ones)."""

    at = models.DateTimeField(primary_key=True)
    metrics = models.JSONField()  # {metric name: number, or null if its service did not answer}

    class Meta:
        verbose_name = "dashboard sample"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class OperatorJob(LeasedJob):
    """A long job that an operator started in the admin, such as a backfill of all feeds (`backoffice.jobs`).

    This row says who wants what, who works on it and where to go on. Its `task_result` says how it goes: the state, the
    progress and the result. Both change in the same transactions.
    """

    kind = models.CharField(max_length=30)  # a key of `backoffice.jobs.kinds.KINDS`
    arguments = models.JSONField(default=dict)  # as the kind's form validated them
    checkpoint = models.JSONField(default=dict)  # where the next slice goes on; empty at the beginning
    log = models.TextField(blank=True, default="")  # the last lines (`backoffice.jobs.log`)
    task_result = models.OneToOneField(TaskResult, models.PROTECT, to_field="task_id", related_name="operator_job")
    # No foreign key, as for the audit log: the operator's account may be erased.
    requested_by_id = models.BigIntegerField()
    requested_by_name = models.CharField(max_length=30)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ("view",)
        permissions = [("run_operatorjob", "Can start and cancel operator jobs")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], name="operator_job_one_of_a_kind", condition=Q(state__in=UNFINISHED)
            ),
            models.CheckConstraint(
                name="operator_job_end_has_time",
                condition=Q(state__in=UNFINISHED, ended_at=None) | Q(state=JobState.DONE, ended_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="operator_job_due", condition=Q(state__in=UNFINISHED)),
            models.Index(fields=["ended_at"], name="operator_job_ended"),
        ]

    def __str__(self) -> str:
        return f"operator job {self.pk} ({self.kind})"
