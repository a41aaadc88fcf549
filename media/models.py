"""A picture, from its upload to its variants; files that are to go; owners whose files may lie in the wrong place."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId


class Status(models.IntegerChoices):
    UPLOADING = 0, "uploading"
    PROCESSING = 1, "processing"
    READY = 2, "ready"
    FAILED = 3, "failed"


class Media(models.Model):
    """Its files are `incoming`, the original, until it is processed or found bad, and the variants under `key`.

    While it is processed, `due_at` is both the lease of whoever works on it and the time of the next attempt. The
    row names every file that there may be: whoever is killed half way leaves nothing that nobody knows of.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="media_set")
    status = models.PositiveSmallIntegerField(choices=Status, default=Status.UPLOADING, db_default=Status.UPLOADING)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")  # for the owner
    incoming = models.CharField(max_length=200, blank=True, default="", db_default="")  # a path; empty once dropped
    content_type = models.CharField(max_length=50, blank=True, default="", db_default="")  # as announced
    size = models.PositiveIntegerField(default=0, db_default=0)  # bytes of the original
    key = models.CharField(max_length=64, blank=True, default="", db_default="")
    is_public = models.BooleanField(default=False, db_default=False)  # where its files lie, not whether they should
    is_withheld = models.BooleanField(default=False, db_default=False)  # by a moderator
    is_attached = models.BooleanField(default=False, db_default=False)  # to a post
    width = models.PositiveIntegerField(null=True)  # of the upright original
    height = models.PositiveIntegerField(null=True)
    blurhash = models.CharField(max_length=60, blank=True, default="", db_default="")
    variants = models.JSONField(default=dict, db_default={})  # see `media.variants`
    alt_text = models.CharField(max_length=1000, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    again_at = models.DateTimeField("last processed again", null=True)  # by an operator's word
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    attempts_before = models.PositiveIntegerField(default=0, db_default=0)  # of them, before `again_at`
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)  # of them, that killed or failed their worker

    class Meta:
        verbose_name_plural = "media"
        permissions = [("reprocess_media", "Can have pictures processed again")]
        constraints = [
            models.CheckConstraint(
                name="media_in_the_making_is_due",
                condition=~Q(status=Status.PROCESSING) | (Q(due_at__isnull=False) & ~Q(incoming="")),
            ),
            models.CheckConstraint(name="media_ready_has_files", condition=~Q(status=Status.READY) | ~Q(key="")),
            # Two rows of one key would delete each other's files.
            models.UniqueConstraint(fields=["key"], name="media_unique_key", condition=~Q(key="")),
        ]
        indexes = [
            # What waits for a worker: a few rows out of millions, looked for every few seconds.
            models.Index(fields=["due_at"], name="media_due", condition=Q(status=Status.PROCESSING)),
            # What may turn out to be wanted by nobody.
            models.Index(fields=["id"], name="media_unattached", condition=Q(is_attached=False)),
            # What the admin filters by.
            models.Index(fields=["id"], name="media_failed", condition=Q(status=Status.FAILED)),
            # What has to move when its owner turns private or public.
            models.Index(fields=["owner", "is_public", "id"], name="media_by_place", condition=Q(status=Status.READY)),
        ]

    def __str__(self) -> str:
        return f"media {self.pk}"


class Removal(models.Model):
    """Files that are to go, written in the transaction that made them unwanted; deleted once they are gone."""

    id = models.BigAutoField(primary_key=True)
    paths = ArrayField(models.TextField())
    public_key = models.CharField(max_length=64, blank=True, default="")  # copies in a CDN go as well
    due_at = models.DateTimeField(db_default=Now(), db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"removal of {len(self.paths)} files"


class Relocation(models.Model):
    """An owner whose files may lie in the wrong place, public or private, written with what made it so."""

    owner_id = models.BigIntegerField(primary_key=True)
    due_at = models.DateTimeField(db_default=Now(), db_index=True)
    version = models.PositiveIntegerField(default=0, db_default=0)  # grows with each reason: none is lost

    def __str__(self) -> str:
        return f"relocation for user {self.owner_id}"
