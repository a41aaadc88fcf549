"""The audit log of staff actions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId


class AuditEntry(models.Model):
    """A staff action: actor, target, reason and changes. Committed together with the action (accounts.audit).

    Triggers refuse updates and deletes. So an entry has no foreign keys, which would prevent the erasure of users, and
    no personal data of users except ids. Only the actor is named.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    actor_id = models.BigIntegerField()
    actor_name = models.CharField(max_length=30)  # at the time of the action
    action = models.CharField(max_length=30)
    target_type = models.CharField(max_length=20)
    target_id = models.BigIntegerField()
    user_id = models.BigIntegerField(null=True)  # the affected user: the target itself, or its author
    reason = models.TextField(max_length=1000, blank=True, default="")
    policy_id = models.BigIntegerField(null=True)
    policy_name = models.CharField(max_length=60, blank=True, default="", db_default="")  # at the time of the action
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["target_type", "target_id", "-id"], name="audit_target"),
            models.Index(fields=["user_id", "-id"], name="audit_user"),
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["policy_id", "-id"], name="audit_policy", condition=Q(policy_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.target_type} {self.target_id}"
