"""Likes and saves: one row per user and post or comment, unique by key."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from posts.models.comment import Comment
from posts.models.post import Post


class Like(models.Model):
    pk = models.CompositePrimaryKey("post_id", "user_id")
    # db_index=False: the primary key and the reverse index cover both columns.
    post = models.ForeignKey(Post, models.CASCADE, related_name="like_set", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="like_set", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        # For the viewer's flags, a user's newest likes, and erasure.
        indexes = [models.Index(fields=["user", "post"], name="like_reverse")]

    def __str__(self) -> str:
        return f"{self.user_id} likes post {self.post_id}"


class CommentLike(models.Model):
    pk = models.CompositePrimaryKey("comment_id", "user_id")
    comment = models.ForeignKey(Comment, models.CASCADE, related_name="like_set", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="comment_like_set", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["user", "comment"], name="comment_like_reverse")]

    def __str__(self) -> str:
        return f"{self.user_id} likes comment {self.comment_id}"


class Save(models.Model):
    """A post that a user saved for later, visible to that user only. The user's list is ordered by the save's id."""

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="save_set", db_index=False)
    post = models.ForeignKey(Post, models.CASCADE, related_name="save_set")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "post"], name="save_once")]
        indexes = [models.Index(fields=["user", "-id"], name="save_newest")]

    def __str__(self) -> str:
        return f"{self.user_id} saved post {self.post_id}"
