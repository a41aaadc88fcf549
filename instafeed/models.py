"""The invalidation outbox: cache keys that a committed transaction made stale and that may still be there."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Invalidation(models.Model):
    """Keys to drop from Redis, written in the transaction that made them stale.

    The row goes once the keys are gone, normally right after the commit; `sweep_invalidations` does it
    for a process that died in between or a Redis that was away (see instafeed.invalidation).
    """

    id = models.BigAutoField(primary_key=True)
    keys = ArrayField(models.TextField())
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{len(self.keys)} keys since {self.created_at:%H:%M:%S}"
