"""The tables that test_migrations changes while other connections use them."""

from django.db import models
from django.db.models import Q


class Note(models.Model):
    text = models.TextField()
    failed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["id"], name="note_failed", condition=Q(failed_at__isnull=False))]

    def __str__(self) -> str:
        return self.text


class Attachment(models.Model):
    note = models.ForeignKey(Note, models.CASCADE)
    name = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["name"], name="attachment_name")]

    def __str__(self) -> str:
        return self.name
