"""Notes that moderators write for each other."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from posts.models.report import TargetType


class Note(models.Model):
    """A moderator's note about a post, a comment or an account. Only moderators see it.

    It has no foreign keys, like a case, and is erased with the account that it is about.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    target_type = models.CharField(max_length=7, choices=TargetType)
    target_id = models.BigIntegerField()
    user_id = models.BigIntegerField()  # the account that it is about: the target itself, or its author
    author_id = models.BigIntegerField()
    author_name = models.CharField(max_length=30)  # at the time of the note
    text = models.TextField(max_length=1000)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["user_id", "-id"], name="note_user")]

    def __str__(self) -> str:
        return f"note {self.pk} about {self.target_type} {self.target_id}"
