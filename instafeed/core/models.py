"""The shared tables: the invalidation outbox and the answers stored for idempotent requests."""

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
