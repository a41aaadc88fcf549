"""Hashtags and the posts that use them."""

from __future__ import annotations

from django.db import models

from posts.models.post import Post


class Hashtag(models.Model):
    """A tag, in lower case and without its mark; never deleted, so that its id may be remembered."""

    id = models.BigAutoField(primary_key=True)
    # Collation C: an order by code points, which prefix searches can use. Longer tags are not looked up by anybody.
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
        return f"tag {self.hashtag_id} of post {self.post_id}"
