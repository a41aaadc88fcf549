"""The rules of the site, as moderators cite them in their decisions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId


class Reason(models.TextChoices):
    """Why a user reports something."""

    SPAM = "spam"
    NUDITY = "nudity"
    VIOLENCE = "violence"
    HARASSMENT = "harassment"
    HATE = "hate"
    SELF_HARM = "self_harm", "self-harm"
    CHILD_SAFETY = "child_safety", "child safety"
    MISINFORMATION = "misinformation"
    COPYRIGHT = "copyright"
    OTHER = "other"


class Severity(models.IntegerChoices):
    LOW = 1, "low"
    MEDIUM = 2, "medium"
    HIGH = 3, "high"
    CRITICAL = 4, "critical"


class Policy(models.Model):
    """A rule: administrators keep the list, moderators choose one for each decision.

    The audit log keeps the name that it had then, so a policy may be renamed. One that is out of use is not deleted.
    """

    class DefaultAction(models.TextChoices):
        """The action that a case of this policy suggests: the name of an `AdminAction` of cases."""

        DISMISS = "dismiss"
        HIDE = "hide"
        HIDE_AND_WARN = "hide_and_warn", "Hide and warn"
        WARN = "warn"
        SUSPEND = "suspend"

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    name = models.CharField(max_length=60, unique=True)
    text = models.TextField("text for the author", max_length=1000, help_text="The message to a user who broke it.")
    severity = models.PositiveSmallIntegerField(
        choices=Severity, help_text="Cases of a higher severity come first. A change applies to later reports."
    )
    reason = models.CharField(
        "reason of reports",
        max_length=14,
        choices=Reason,
        blank=True,
        help_text="Cases that are reported for this reason suggest the policy, and get its severity.",
    )
    default_action = models.CharField(max_length=20, choices=DefaultAction, blank=True)
    is_active = models.BooleanField("in use", default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "policies"
        ordering = ("-severity", "name")
        constraints = [
            models.UniqueConstraint(
                fields=["reason"],
                condition=Q(is_active=True) & ~Q(reason=""),
                name="policy_unique_reason",
                violation_error_message="Another policy in use has this reason.",
            )
        ]

    def __str__(self) -> str:
        return self.name
