"""A report: somebody tells the moderators of a post, a comment or an account."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from instafeed.ids import NextId


class TargetType(models.TextChoices):
    POST = "post"
    COMMENT = "comment"
    USER = "user"


class Reason(models.TextChoices):
    SPAM = "spam"
    NUDITY = "nudity"
    VIOLENCE = "violence"
    HARASSMENT = "harassment"
    MISINFORMATION = "misinformation"
    OTHER = "other"


class Report(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="report_set", db_index=False)
    target_type = models.CharField(max_length=7, choices=TargetType)
    # No foreign key: a report outlives what it is about.
    target_id = models.BigIntegerField()
    reason = models.CharField(max_length=14, choices=Reason)
    note = models.TextField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reporter", "target_type", "target_id"], name="report_once"),
        ]
        indexes = [models.Index(fields=["target_type", "target_id"], name="report_target")]

    def __str__(self) -> str:
        return f"{self.target_type} {self.target_id}: {self.reason}"
