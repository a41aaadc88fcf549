"""The accounts that were notified of a mention in a caption."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from posts.models.post import Post


class PostMention(models.Model):
    """An account that was notified, and the name in the caption. The account may have been renamed since."""

    pk = models.CompositePrimaryKey("post_id", "name")
    post = models.ForeignKey(Post, models.CASCADE, related_name="mention_set", db_index=False)
    name = models.CharField(max_length=30)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="post_mention_set")

    def __str__(self) -> str:
        return f"mention of {self.name} in post {self.post_id}"
