"""The outbox of fan-outs: one row for each post, written in the transaction that creates the post.

A row is a leased job. It records how far the delivery has come, so that any worker can go on after a crash.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.jobs.leased import JobState, LeasedJob
from posts.models import Post


class DeliveryMode(models.IntegerChoices):
    """Whether a post is pushed to followers' home timelines, or pulled by followers from the author timeline."""

    PUSH = 0, "push"
    PULL = 1, "pull"


class MissedBucket(models.Model):
    """A bucket of a Redis Cluster whose server missed deliveries (`feeds.missed_buckets`)."""

    bucket = models.PositiveSmallIntegerField(primary_key=True)
    misses = models.PositiveIntegerField(default=1, db_default=1)

    def __str__(self) -> str:
        return f"bucket {self.bucket}"


class FanOut(LeasedJob):
    post = models.OneToOneField(Post, models.CASCADE, primary_key=True, related_name="fan_out")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="fan_out_set")
    mode = models.PositiveSmallIntegerField(choices=DeliveryMode)
    last_follower_id = models.BigIntegerField(default=0, db_default=0)  # the checkpoint
    deliveries = models.PositiveIntegerField(default=0, db_default=0)  # pushes to warm home timelines
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "fan-out"
        permissions = [("resume_fanout", "Can resume fan-outs")]
        indexes = [
            # Unfinished rows: a few among millions, claimed in this order.
            models.Index(
                fields=["due_at"], name="fan_out_open", condition=Q(state__in=[JobState.PENDING, JobState.RUNNING])
            ),
            models.Index(fields=["post"], name="fan_out_dead", condition=Q(state=JobState.DEAD)),
        ]

    def __str__(self) -> str:
        return f"fan-out of post {self.post_id}"
