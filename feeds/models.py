"""The fan-out ledger: one row a post, written in the post's own transaction. It is the transactional outbox.

A row says how far the delivery came, so that any worker can go on after any crash. `due_at` is both the
lease of whoever is working on it and the time at which the sweeper hands it out again.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from posts.models import Post


class DeliveryMode(models.IntegerChoices):
    PUSH = 0, "push"
    PULL = 1, "pull"


class State(models.IntegerChoices):
    PENDING = 0, "pending"
    RUNNING = 1, "running"
    DONE = 2, "done"
    DEAD = 3, "dead letter"


class FanOut(models.Model):
    post = models.OneToOneField(Post, models.CASCADE, primary_key=True, related_name="fan_out")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="fan_out_set")
    mode = models.PositiveSmallIntegerField(choices=DeliveryMode)
    state = models.PositiveSmallIntegerField(choices=State, default=State.PENDING, db_default=State.PENDING)
    last_follower_id = models.BigIntegerField(default=0, db_default=0)  # the checkpoint
    deliveries = models.PositiveIntegerField(default=0, db_default=0)  # feeds reached that were warm
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)  # failures and lost workers
    dispatches = models.PositiveSmallIntegerField(default=0, db_default=0)  # by the sweeper
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "fan-out"
        permissions = [("resume_fanout", "Can hand out fan-outs again")]
        indexes = [
            # What is not finished: a few rows out of millions, looked for every few seconds.
            models.Index(fields=["due_at"], name="fan_out_open", condition=Q(state__in=[State.PENDING, State.RUNNING])),
            models.Index(fields=["post"], name="fan_out_dead", condition=Q(state=State.DEAD)),
        ]

    def __str__(self) -> str:
        return f"fan-out of post {self.post_id}"
