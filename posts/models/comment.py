"""A comment on a post, optionally a reply to another comment on the same post."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from posts.models.post import Post


class Comment(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    post = models.ForeignKey(Post, models.CASCADE, related_name="comment_set", db_index=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="comment_set", db_index=False)
    text = models.TextField(max_length=1000)
    # A reply stays when the comment that it answers is deleted.
    reply_to = models.ForeignKey(
        "self", models.SET_NULL, related_name="reply_set", null=True, blank=True, db_index=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    hidden_at = models.DateTimeField(null=True, blank=True)  # by a moderator

    class Meta:
        indexes = [
            models.Index(fields=["post", "id"], name="comment_oldest"),
            models.Index(fields=["author", "id"], name="comment_author"),
            # For SET NULL when the answered comment is deleted.
            models.Index(fields=["reply_to"], name="comment_replies", condition=Q(reply_to__isnull=False)),
            # The admin's filter by hidden comments.
            models.Index(fields=["id"], name="comment_hidden", condition=Q(hidden_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"comment {self.pk}"
