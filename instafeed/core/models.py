"""The shared tables: the invalidation outbox, and stored responses for repeated requests."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Invalidation(models.Model):
    """Redis keys to delete, written in the transaction that made them stale.

    The row is deleted after the keys, normally right after the commit; that of a like with the next like.
    `sweep_invalidations` handles the rows of a process that died in between or became idle, and those of a Redis outage
    (see instafeed.core.cache.invalidation).
    """

    id = models.BigAutoField(primary_key=True)
    keys = ArrayField(models.TextField())
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{len(self.keys)} keys since {self.created_at:%H:%M:%S}"


class IdempotentResponse(models.Model):
    """The response to a request with an Idempotency-Key, for replay (see instafeed.core.api.idempotency).

    Committed together with the request's own writes. Status 0 means "no response yet" and is seen only inside
    that transaction.
    """

    pk = models.CompositePrimaryKey("user_id", "digest")
    user_id = models.BigIntegerField()  # no foreign key: its check would lock the user's row in every request
    digest = models.UUIDField()  # of method, path and key
    request_digest = models.UUIDField()  # of the request's body
    status = models.SmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotent_response_created")]

    def __str__(self) -> str:
        return f"{self.status} to {self.digest} since {self.created_at:%H:%M:%S}"
