"""Stored rankings of recent public posts. Clients page through one ranking while newer ones are computed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class ExploreRanking(models.Model):
    id = models.BigAutoField(primary_key=True)
    post_ids = ArrayField(models.BigIntegerField())  # best first
    created_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    def __str__(self) -> str:
        return f"ranking {self.pk}"
