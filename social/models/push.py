"""Web Push: the devices that users subscribed, and the messages to send to them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Session
from instafeed.core.jobs.leased import UNFINISHED, JobState, LeasedJob


class PushSubscription(models.Model):
    """A browser that gets push messages, as its push service knows it. It is deleted with its session.

    The endpoint and the keys are the right to send messages to the browser, so they are neither logged nor exported.
    """

    id = models.BigAutoField(primary_key=True)
    user_id = models.BigIntegerField(db_index=True)  # of the session; an integer, because each batch of events joins it
    session = models.ForeignKey(Session, models.CASCADE, related_name="push_subscription_set")
    endpoint = models.CharField(max_length=1024, db_collation="C")  # ASCII
    p256dh = models.BinaryField(max_length=65)  # the browser's public key, a point of P-256
    auth = models.BinaryField(max_length=16)  # its authentication secret
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint"], name="push_subscription_endpoint")]

    def __str__(self) -> str:
        return f"push subscription {self.pk}"


class OutgoingPush(LeasedJob):
    """A message about a notification to send to a subscription. The worker decides what is in it (social.push).

    Ids are plain integers, as in the notification tables. A message without its subscription or notification is
    dropped when it is due. A sent one is kept, done, until `due_at`: until then the next one about the same
    notification waits.
    """

    id = models.BigAutoField(primary_key=True)
    subscription_id = models.BigIntegerField()
    notification_id = models.BigIntegerField()  # Notification.id, which stays when the entry moves
    announced_at = models.DateTimeField(db_default=Now(), editable=False)  # when it was last asked for

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription_id", "notification_id"], name="push_unique_message"),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="push_due", condition=Q(state__in=UNFINISHED)),
            models.Index(fields=["due_at"], name="push_done", condition=Q(state=JobState.DONE)),
        ]

    def __str__(self) -> str:
        return f"push {self.pk}"
