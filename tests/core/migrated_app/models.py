"""The table that test_migrations changes while other connections use it."""

from django.db import models
from django.db.models import Q


class Note(models.Model):
    text = models.TextField()
    failed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["id"], name="note_failed", condition=Q(failed_at__isnull=False))]

    def __str__(self) -> str:
        return self.text
