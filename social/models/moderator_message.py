"""A moderator's message to a user. It is personal data of that user: exported and erased with the account."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from social.models.notification import NotificationKind


class ModeratorMessage(models.Model):
    """A warning, or the news of a decision about the user's content, account or report."""

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    recipient_id = models.BigIntegerField()
    kind = models.CharField(
        max_length=16,
        choices=[(kind.value, kind.label) for kind in (NotificationKind.WARNING, NotificationKind.DECISION)],
    )
    text = models.TextField()
    # The post or comment that the message is about, if any. It may have been deleted since.
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["recipient_id", "id"], name="moderator_message_recipient"),
            # Old ones, to delete. Warnings are kept.
            models.Index(fields=["id"], name="moderator_message_decision", condition=Q(kind=NotificationKind.DECISION)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} of user {self.recipient_id}"
