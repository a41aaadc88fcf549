"""Export (a ZIP of all that a user has here, a leased job), and what each slice of the work added to it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from instafeed.core.db.snowflake import NextId
from instafeed.core.jobs.leased import UNFINISHED, JobState, LeasedJob


class Export(LeasedJob):
    """A ZIP with a user's data and pictures (instafeed.exports.worker).

    The row names the file before it is written. It is PENDING or RUNNING until the file is complete, then DONE, or DEAD
    after too many failures; `error` is a text for the user then.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    # db_index=False: an index below covers it.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="export_set", db_index=False)
    path = models.CharField(max_length=200, unique=True)  # of the finished file
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True)  # of a finished or failed export: the row and the file are deleted

    # The checkpoint.
    upload_id = models.TextField(default="", db_default="")  # of the parts in the storage; empty before the first slice
    picture_count = models.PositiveIntegerField(default=0, db_default=0)  # how many pictures there are
    pictures_done = models.PositiveIntegerField(default=0, db_default=0)
    last_media_id = models.BigIntegerField(default=0, db_default=0)  # the last of them
    slice_count = models.PositiveIntegerField(default=0, db_default=0)
    part_count = models.PositiveIntegerField(default=0, db_default=0)
    size = models.BigIntegerField(default=0, db_default=0)  # bytes of the ZIP so far
    # The last of these bytes, too few for a part: they wait in a file of their own.
    tail_path = models.CharField(max_length=200, default="", db_default="")
    tail_size = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user"], name="export_one_unfinished", condition=Q(state__in=UNFINISHED)),
            # Only files that are deleted later can be downloaded.
            models.CheckConstraint(
                name="export_finished_expires", condition=Q(state__in=UNFINISHED) | Q(expires_at__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="export_due", condition=Q(state__in=UNFINISHED)),
            models.Index(fields=["expires_at"], name="export_expires", condition=Q(expires_at__isnull=False)),
            models.Index(fields=["user", "id"], name="export_user"),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"

    @property
    def progress(self) -> int:
        """Percent. 100 only once the file is complete."""
        if self.state == JobState.DONE:
            return 100
        # The data comes last, and counts like a picture. A picture whose upload ends meanwhile was not counted before.
        return min(99 * self.pictures_done // (self.picture_count + 1), 99)


class ExportSlice(models.Model):
    """What one slice added to a ZIP. Deleted when the ZIP is complete."""

    id = models.BigAutoField(primary_key=True)
    export = models.ForeignKey(Export, models.CASCADE, related_name="slice_set", db_index=False)
    number = models.PositiveIntegerField()
    part = models.JSONField(null=True)  # of the storage, if the slice completed one (media.storage.multipart)
    entry_count = models.PositiveIntegerField()
    directory = models.BinaryField()  # its entries of the ZIP's central directory
    pictures = models.JSONField()  # rows of the section `files` in export.json

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="export_slice_number")]

    def __str__(self) -> str:
        return f"slice {self.number} of export {self.export_id}"
