"""A mute hides a user from the muting user's feed and notifications. The follow stays; the muted user cannot see it."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Mute(models.Model):
    pk = models.CompositePrimaryKey("muter_id", "muted_id")
    muter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="mute_set", db_index=False)
    muted = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="muted_by_set", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["muted", "muter"], name="mute_reverse")]
        constraints = [
            models.CheckConstraint(condition=~Q(muter=F("muted")), name="mute_not_oneself"),
        ]

    def __str__(self) -> str:
        return f"{self.muter_id} mutes {self.muted_id}"
