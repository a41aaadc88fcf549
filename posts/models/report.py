"""Reports of posts, comments and accounts, and the cases that collect the reports of one target."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Reason, Severity
from instafeed.core.db.snowflake import NextId


class TargetType(models.TextChoices):
    POST = "post"
    COMMENT = "comment"
    USER = "user"


class Report(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="report_set", db_index=False)
    target_type = models.CharField(max_length=7, choices=TargetType)
    # No foreign key: a report outlives its target.
    target_id = models.BigIntegerField()
    reason = models.CharField(max_length=14, choices=Reason)
    note = models.TextField(max_length=1000, blank=True, default="")
    # Of the target, when it was reported (posts.reported_texts). Emptied with the case.
    text = models.TextField(blank=True, default="", db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reporter", "target_type", "target_id"], name="report_once"),
        ]
        indexes = [
            models.Index(fields=["target_type", "target_id"], name="report_target"),
            # The newest reports of a reporter, and how they were decided.
            models.Index(fields=["reporter", "-id"], name="report_reporter"),
        ]

    def __str__(self) -> str:
        return f"{self.target_type} {self.target_id}: {self.reason}"


class CaseState(models.IntegerChoices):
    OPEN = 0, "open"
    DISMISSED = 1, "dismissed"
    ACTED = 2, "acted on"


class Case(models.Model):
    """All reports of one target: an entry of the moderators' queue (posts.moderation).

    Counts every report ever filed, including those of erased accounts. A new report reopens a closed case, and so does
    a repeated one about a text that is not among `known_texts`.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    target_type = models.CharField(max_length=7, choices=TargetType)
    target_id = models.BigIntegerField()
    user_id = models.BigIntegerField()  # the reported account or the author; no foreign key, as in Report
    report_count = models.PositiveIntegerField(default=0)
    reason_counts = models.JSONField(default=dict, db_default={})  # number of reports by reason
    # The texts of the target when it was reported: distinct, oldest first. Only the first and the newest are kept.
    reported_texts = ArrayField(models.TextField(), default=list, db_default=[])
    # The text when the case was closed last, and the texts that were reported since. Only the newest are kept.
    known_texts = ArrayField(models.TextField(), default=list, db_default=[])
    # The highest of the policies for the reasons of its reports, since it was opened last.
    severity = models.PositiveSmallIntegerField(choices=Severity, default=Severity.LOW, db_default=Severity.LOW)
    first_reported_at = models.DateTimeField()
    last_reported_at = models.DateTimeField()
    opened_at = models.DateTimeField(db_default=Now())  # by its first report, or by the one that opened it again
    state = models.PositiveSmallIntegerField(choices=CaseState, default=CaseState.OPEN, db_default=CaseState.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by_id = models.BigIntegerField(null=True, blank=True)
    # A hint for other moderators: who has the case open. An action does not need it.
    claimed_by_id = models.BigIntegerField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    # Set while an open case waits for the second opinion of a senior moderator.
    escalated_at = models.DateTimeField(null=True, blank=True)
    escalated_by_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target_type", "target_id"], name="case_unique_target")]
        indexes = [
            # The queue: most severe first, then longest waiting first. Statistics of open cases read only it.
            models.Index(fields=["-severity", "opened_at", "id"], name="case_open", condition=Q(state=CaseState.OPEN)),
            # Recently closed cases.
            models.Index(fields=["state", "-closed_at", "-id"], name="case_closed", condition=~Q(state=CaseState.OPEN)),
            GinIndex(fields=["reason_counts"], name="case_reasons"),
            models.Index(fields=["user_id", "-id"], name="case_user"),
            # The cases that a moderator has claimed: a handful.
            models.Index(fields=["claimed_by_id"], name="case_claimed", condition=Q(claimed_by_id__isnull=False)),
        ]
        permissions = [("decide_escalated_case", "Can decide cases that wait for a second opinion")]

    def __str__(self) -> str:
        return f"{self.target_type} {self.target_id}"

    @property
    def reasons(self) -> list[str]:
        """The distinct reasons of its reports, the most frequent first."""
        return sorted(self.reason_counts, key=lambda reason: (-self.reason_counts[reason], reason))


class CaseClosing(models.Model):
    """A decision that closed a case, with the time at which the case had been opened. Rows never change.

    A case that is opened again forgets its closing, so statistics count these rows and the open cases. The audit log
    cannot replace them: one entry may close two cases, and it does not say when they were opened.
    """

    id = models.BigAutoField(primary_key=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField()
    closed_by_id = models.BigIntegerField()

    class Meta:
        indexes = [
            # Statistics by day, which read only these two indexes.
            models.Index(fields=["opened_at"], name="closing_opened"),
            models.Index(fields=["closed_at"], include=["opened_at", "closed_by_id"], name="closing_closed"),
        ]

    def __str__(self) -> str:
        return f"closing {self.pk} at {self.closed_at}"
