"""A picture: its owner, its file in the default storage, and what a client needs to lay it out."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from instafeed.ids import NextId


class Media(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="media_set")
    path = models.CharField(max_length=200, unique=True)  # in the default storage; unguessable
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    alt_text = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "media"

    def __str__(self) -> str:
        return f"media {self.pk}"
