"""A moderator's warning to a user. It is personal data of that user: exported and erased with the account."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId


class Warning(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    recipient_id = models.BigIntegerField()
    text = models.TextField(max_length=1000)
    # The post or comment that the warning is about, if any. It may have been deleted since.
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["recipient_id", "id"], name="warning_recipient")]

    def __str__(self) -> str:
        return f"warning {self.pk} of user {self.recipient_id}"
