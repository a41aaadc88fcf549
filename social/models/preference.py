"""What users want to be notified of, and how."""

from __future__ import annotations

from django.db import models

from social.models.notification import NotificationKind


class NotificationPreference(models.Model):
    """A user's choices for one kind of notification. Null, like a missing row, means the default, which is on."""

    pk = models.CompositePrimaryKey("user_id", "kind")
    user_id = models.BigIntegerField()
    kind = models.CharField(max_length=16, choices=NotificationKind)
    in_app = models.BooleanField(null=True)  # an entry of the list
    push = models.BooleanField(null=True)  # a message to subscribed devices; needs the entry

    def __str__(self) -> str:
        return f"user {self.user_id} about {self.kind}"
