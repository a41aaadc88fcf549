"""Notifications: the outbox of what happened, the entries that are made of it, and how far each user has read.

Ids of users, posts and comments are plain numbers: a foreign key would lock a celebrity's row at every like,
and posts are not known here. Whatever goes is forgotten through `social.notifications`.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class NotificationKind(models.TextChoices):
    LIKE = "like"  # of a post, or of a comment
    COMMENT = "comment"
    REPLY = "reply"
    FOLLOW = "follow"
    FOLLOW_REQUEST = "follow_request"
    FOLLOW_ACCEPTED = "follow_accepted"
    MENTION = "mention"  # in a caption, or in a comment
    MEDIA_FAILED = "media_failed"  # of one's own post, which waits for it
    WARNING = "warning"  # by a moderator


class Verb(models.IntegerChoices):
    ANNOUNCE = 1, "announce"
    RETRACT = 2, "retract"
    DELETE = 3, "forget"  # a post or a comment, with all that was told of it


class NotificationEvent(models.Model):
    """Something that happened, written with it; deleted in the transaction that applies it.

    Ids order the events of one actor on one thing: whoever likes and unlikes at once waits for a lock.
    """

    id = models.BigAutoField(primary_key=True)
    verb = models.PositiveSmallIntegerField(choices=Verb)
    kind = models.CharField(max_length=16, choices=NotificationKind, blank=True)
    subject = models.CharField(max_length=40, blank=True)  # see `subjects`
    recipient_id = models.BigIntegerField(default=0)  # both 0 where something is forgotten
    actor_id = models.BigIntegerField(default=0)
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    failed_at = models.DateTimeField(null=True)  # set aside: it cannot be applied and must not hold up the others

    class Meta:
        # What is waiting, in order; what was set aside is passed over without being read.
        indexes = [models.Index(fields=["id"], name="notification_event_waiting", condition=Q(failed_at=None))]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.get_verb_display()} {self.kind}"


class Notification(models.Model):
    """One entry of one user's list: all who did the same to the same thing.

    `position` is its id for clients: drawn afresh whenever somebody new arrives, so that the entry moves to the
    top and what a client said it had seen does not cover it.
    """

    id = models.BigAutoField(primary_key=True)
    recipient_id = models.BigIntegerField()
    subject = models.CharField(max_length=40, db_collation="C")  # what happened to what, see `subjects`
    kind = models.CharField(max_length=16, choices=NotificationKind)
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    position = models.BigIntegerField()
    actor_count = models.PositiveIntegerField(default=0)  # of those who have not taken it back
    created_at = models.DateTimeField()  # when the newest of them arrived

    class Meta:
        constraints = [
            # The subject first: what is told to many of one comment is found by it.
            models.UniqueConstraint(fields=["subject", "recipient_id"], name="notification_unique_subject"),
        ]
        indexes = [
            models.Index(fields=["recipient_id", "-position"], name="notification_newest"),
            # What was told of the comments on a post; the post's own entries are found by their subject.
            models.Index(fields=["post_id"], name="notification_post", condition=Q(comment_id__isnull=False)),
            # What all took back: kept for a while, in no list.
            models.Index(fields=["created_at"], name="notification_empty", condition=Q(actor_count=0)),
        ]

    def __str__(self) -> str:
        return f"notification {self.position} of user {self.recipient_id}: {self.subject}"


class NotificationActor(models.Model):
    """Somebody in an entry. Who took it back stays for a while as inactive, so that doing it again is no news."""

    pk = models.CompositePrimaryKey("notification_id", "actor_id")
    notification = models.ForeignKey(Notification, models.CASCADE, related_name="actor_set", db_index=False)
    actor_id = models.BigIntegerField()
    position = models.BigIntegerField()  # the entry's when they arrived
    announced_at = models.DateTimeField()
    is_active = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["notification", "-position"], name="notification_actor_newest", condition=Q(is_active=True)
            ),
            models.Index(fields=["actor_id"], name="notification_actor_actor"),  # erasure
            models.Index(fields=["announced_at"], name="notification_actor_gone", condition=Q(is_active=False)),
        ]

    def __str__(self) -> str:
        return f"user {self.actor_id} in notification {self.notification_id}"


class NotificationState(models.Model):
    """How far a user has read: everything up to a position."""

    user_id = models.BigIntegerField(primary_key=True)
    read_up_to = models.BigIntegerField()

    def __str__(self) -> str:
        return f"user {self.user_id} has read up to {self.read_up_to}"
