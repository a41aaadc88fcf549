"""Media (a picture, from upload to variants), and the jobs that process, delete and relocate their files."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from instafeed.core.jobs.leased import LeasedJob
from instafeed.core.jobs.turns import Turn


class Status(models.IntegerChoices):
    UPLOADING = 0, "uploading"
    PROCESSING = 1, "processing"
    READY = 2, "ready"
    FAILED = 3, "failed"


class Media(models.Model):
    """A picture. Its files are the original at `original_path` and the variants under `key`.

    The original is deleted once the picture is ready or found to be bad, unless settings say to keep it. The row names
    every file before it is written, so a worker that is killed leaves no unknown files.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="media_set")
    status = models.PositiveSmallIntegerField(choices=Status, default=Status.UPLOADING, db_default=Status.UPLOADING)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")  # shown to the owner
    original_path = models.CharField(max_length=200, blank=True, default="", db_default="")  # empty once deleted
    content_type = models.CharField(max_length=50, blank=True, default="", db_default="")  # as the client declared it
    size = models.PositiveIntegerField(default=0, db_default=0)  # bytes of the original
    key = models.CharField(max_length=64, blank=True, default="", db_default="")
    is_public = models.BooleanField(default=False, db_default=False)  # where its files are now, not where they belong
    is_withheld = models.BooleanField(default=False, db_default=False)  # by a moderator
    is_barred_as_avatar = models.BooleanField(default=False, db_default=False)  # by a moderator who removed the avatar
    is_attached = models.BooleanField(default=False, db_default=False)  # to a post
    width = models.PositiveIntegerField(null=True)  # of the upright original
    height = models.PositiveIntegerField(null=True)
    blurhash = models.CharField(max_length=60, blank=True, default="", db_default="")
    variants = models.JSONField(default=dict, db_default={})  # see `media.variants`
    alt_text = models.CharField(max_length=1000, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    reprocessed_at = models.DateTimeField("last reprocessed", null=True)  # by an operator

    class Meta:
        verbose_name_plural = "media"
        permissions = [("reprocess_media", "Can reprocess pictures")]
        constraints = [
            models.CheckConstraint(
                name="media_processing_has_original", condition=~Q(status=Status.PROCESSING) | ~Q(original_path="")
            ),
            models.CheckConstraint(name="media_ready_has_files", condition=~Q(status=Status.READY) | ~Q(key="")),
            # Two rows with the same key would delete each other's files.
            models.UniqueConstraint(fields=["key"], name="media_unique_key", condition=~Q(key="")),
        ]
        indexes = [
            # Candidates for the deletion of orphans.
            models.Index(fields=["id"], name="media_unattached", condition=Q(is_attached=False)),
            # The admin's filter for failed pictures.
            models.Index(fields=["id"], name="media_failed", condition=Q(status=Status.FAILED)),
            # Pictures to move when their owner turns private or public.
            models.Index(fields=["owner", "is_public", "id"], name="media_by_place", condition=Q(status=Status.READY)),
        ]

    def __str__(self) -> str:
        return f"media {self.pk}"


class ProcessingJob(LeasedJob, Turn):
    """The work on a picture in status PROCESSING. Written and deleted in the transactions that change the status."""

    media = models.OneToOneField(Media, models.CASCADE, primary_key=True, related_name="processing_job")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="processing_job_due"),
            models.Index(fields=["turn", "media"], name="processing_job_turn"),
            models.Index(fields=["owner_id", "turn"], name="processing_job_owner"),
        ]

    def __str__(self) -> str:
        return f"processing of media {self.pk}"


class FileDeletion(LeasedJob):
    """Files to delete. Written in the transaction that makes them unwanted, and deleted after the files."""

    id = models.BigAutoField(primary_key=True)
    paths = ArrayField(models.TextField())
    # Of files that were public: the CDN's copies of them are purged, too.
    public_key = models.CharField(max_length=64, blank=True, default="")
    is_urgent = models.BooleanField(default=False, db_default=False)  # a moderator took them down

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="file_deletion_due"),
            # A few rows, claimed before the others.
            models.Index(fields=["due_at"], name="file_deletion_urgent", condition=Q(is_urgent=True)),
        ]

    def __str__(self) -> str:
        return f"deletion of {len(self.paths)} files"


class Relocation(LeasedJob):
    """An owner whose files may have to move between public and private. Written with the change that causes it."""

    owner_id = models.BigIntegerField(primary_key=True)
    last_media_id = models.BigIntegerField(default=0, db_default=0)  # the checkpoint

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="relocation_due")]

    def __str__(self) -> str:
        return f"relocation for user {self.owner_id}"
