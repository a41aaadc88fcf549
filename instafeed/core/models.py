"""The shared tables: the invalidation outbox, the answers kept for repeated requests, and the dashboard's samples."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Invalidation(models.Model):
    """Keys to drop from Redis, written in the transaction that made them stale.

    The row goes once the keys are gone, normally right after the commit; `sweep_invalidations` does it
    for a process that died in between or a Redis that was away (see instafeed.core.cache.invalidation).
    """

    id = models.BigAutoField(primary_key=True)
    keys = ArrayField(models.TextField())
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{len(self.keys)} keys since {self.created_at:%H:%M:%S}"


class IdempotentAnswer(models.Model):
    """The answer to a request with an Idempotency-Key, to be given again (see instafeed.core.api.idempotency).

    Committed together with what the request wrote; without an answer (status 0) only inside that transaction.
    """

    pk = models.CompositePrimaryKey("user_id", "digest")
    user_id = models.BigIntegerField()  # no foreign key: its check would lock the user's row in every request
    digest = models.UUIDField()  # of method, path and key
    status = models.SmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotent_answers_by_age")]

    def __str__(self) -> str:
        return f"{self.status} to {self.digest} since {self.created_at:%H:%M:%S}"


class Sample(models.Model):
    """How the system was at a moment: what the admin's dashboard draws. A row a minute, kept for a week."""

    at = models.DateTimeField(primary_key=True)
    figures = models.JSONField()  # numbers by name, null where a part did not answer

    class Meta:
        verbose_name = "dashboard sample"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
