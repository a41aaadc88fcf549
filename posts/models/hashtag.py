"""Hashtags and the posts that use them."""

from __future__ import annotations

from django.db import models

from posts.models.post import Post


class Hashtag(models.Model):
    """A hashtag in lower case, without its `#`, folded by `posts.entities`. The row is deleted with its last use."""

    id = models.BigAutoField(primary_key=True)
    # Collation C orders by code point, so prefix searches can use the index. Longer hashtags are not indexed.
    name = models.CharField(max_length=100, db_collation="C")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="hashtag_once")]

    def __str__(self) -> str:
        return f"#{self.name}"


class PostHashtag(models.Model):
    pk = models.CompositePrimaryKey("hashtag_id", "post_id")
    hashtag = models.ForeignKey(Hashtag, models.CASCADE, related_name="post_set", db_index=False)
    post = models.ForeignKey(Post, models.CASCADE, related_name="hashtag_set")

    def __str__(self) -> str:
        return f"hashtag {self.hashtag_id} of post {self.post_id}"
