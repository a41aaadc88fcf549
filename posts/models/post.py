"""Posts, their media, and rankings of posts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from media.models import Media


class Post(models.Model):
    # A snowflake id, drawn by the database: feeds are ordered by id, and a cursor is one integer.
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="post_set", db_index=False)
    caption = models.TextField(max_length=2200, blank=True, default="")
    media = models.ManyToManyField(Media, through="posts.PostMedia", related_name="post_set")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    edited_at = models.DateTimeField(null=True, blank=True)
    hidden_at = models.DateTimeField(null=True, blank=True)  # by a moderator
    # Set when the author deletes the post: invisible from then on, and purged in the background (posts.purge).
    deleted_at = models.DateTimeField(null=True, blank=True)
    # Set while any of its media are being processed: visible to its author only (posts.media_pending).
    media_pending = models.BooleanField(default=False, db_default=False, editable=False)

    media_links: list[PostMedia]  # in order; only where a function says that it loads them

    class Meta:
        indexes = [
            # Lists of an author's posts, and the feed's query of the newest posts per pulled author.
            models.Index(fields=["author", "-id"], name="post_author_newest"),
            # Posts to purge: a handful of rows, queried every few seconds.
            models.Index(fields=["id"], name="post_deleted", condition=Q(deleted_at__isnull=False)),
            # The admin's filter by hidden posts.
            models.Index(fields=["id"], name="post_hidden", condition=Q(hidden_at__isnull=False)),
        ]
        permissions = [("moderate_post", "Can act on reports: hide, restore and delete posts and comments")]

    def __str__(self) -> str:
        return f"post {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save in a transaction, so that rows written by receivers of `post_save` (feeds.receivers) commit with it."""
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)


class PostMedia(models.Model):
    """A medium's position in a post. A medium belongs to one post at most."""

    pk = models.CompositePrimaryKey("post_id", "position")
    post = models.ForeignKey(Post, models.CASCADE, related_name="post_media_set", db_index=False)
    position = models.PositiveSmallIntegerField()
    media = models.OneToOneField(Media, models.PROTECT, related_name="post_media")

    def __str__(self) -> str:
        return f"media {self.position} of post {self.post_id}"


class ExploreRanking(models.Model):
    """A ranking of recent public posts (posts.explore). Clients page through one while newer ones are computed."""

    id = models.BigAutoField(primary_key=True)
    post_ids = ArrayField(models.BigIntegerField())  # best first
    created_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    def __str__(self) -> str:
        return f"ranking {self.pk}"
