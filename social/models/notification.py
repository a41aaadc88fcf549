"""Notifications in four tables: the outbox of events, the entries built from it, their actors, and the read state.

User, post and comment ids are plain integers. A foreign key would lock a celebrity's row at every like, and `social`
does not know posts. Rows of deleted users, posts and comments are removed by `social.notifications.deletion`.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class NotificationKind(models.TextChoices):
    LIKE = "like"  # of a post or a comment
    COMMENT = "comment"
    REPLY = "reply"
    FOLLOW = "follow"
    FOLLOW_REQUEST = "follow_request"
    FOLLOW_ACCEPTED = "follow_accepted"
    MENTION = "mention"  # in a caption or a comment
    MEDIA_FAILED = "media_failed"  # processing failed for a file of the recipient's own post
    WARNING = "warning"  # by a moderator
    CONTENT_HIDDEN = "content_hidden"  # a moderator hid the recipient's own post or comment
    DECISION = "decision"  # what moderators decided about the recipient's content, account or report


class Verb(models.IntegerChoices):
    """What the consumer does with an outbox event."""

    ANNOUNCE = 1, "announce"
    RETRACT = 2, "retract"
    DELETE = 3, "delete"  # remove all notifications about a post or a comment


class NotificationEvent(models.Model):
    """An outbox row. It commits with the change that it reports and is deleted in the transaction that applies it.

    Ids order the events of one actor on one target, because a like and an unlike by the same user take the same lock.
    """

    id = models.BigAutoField(primary_key=True)
    verb = models.PositiveSmallIntegerField(choices=Verb)
    kind = models.CharField(max_length=16, choices=NotificationKind, blank=True)
    aggregation_key = models.CharField(max_length=40, blank=True)  # see `aggregation_keys`
    recipient_id = models.BigIntegerField(default=0)  # recipient and actor are 0 in DELETE events
    actor_id = models.BigIntegerField(default=0)
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    failed_at = models.DateTimeField(null=True)  # set when the event cannot be applied; the consumer then skips it

    class Meta:
        # Pending events in order. Failed events are not in this index, so skipping them costs no reads.
        indexes = [models.Index(fields=["id"], name="notification_event_pending", condition=Q(failed_at=None))]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.get_verb_display()} {self.kind}"


class Notification(models.Model):
    """One entry in a user's list: everyone who did the same to the same target.

    Clients use `position` as the id. A new actor gives the entry a new position, which moves it to the top and makes
    it unread again, because it is above the position up to which the client has read. A dismissed entry comes back.
    """

    id = models.BigAutoField(primary_key=True)
    recipient_id = models.BigIntegerField()
    aggregation_key = models.CharField(max_length=40, db_collation="C")  # see `aggregation_keys`
    kind = models.CharField(max_length=16, choices=NotificationKind)
    post_id = models.BigIntegerField(null=True)
    comment_id = models.BigIntegerField(null=True)
    position = models.BigIntegerField()
    actor_count = models.PositiveIntegerField(default=0)  # active actors only
    created_at = models.DateTimeField()  # when the newest actor was added
    is_dismissed = models.BooleanField(default=False)  # by the recipient; reset when the entry gets a new position

    class Meta:
        constraints = [
            # The key comes first, so that a deleted comment finds the entries of all its recipients.
            models.UniqueConstraint(fields=["aggregation_key", "recipient_id"], name="notification_unique_key"),
        ]
        indexes = [
            # Partial, so that a list does not read the entries that its user has dismissed. The third one is for
            # exports and erasure.
            models.Index(
                fields=["recipient_id", "-position"], name="notification_newest", condition=Q(is_dismissed=False)
            ),
            models.Index(
                fields=["recipient_id", "kind", "-position"],
                name="notification_newest_of_kind",
                condition=Q(is_dismissed=False),
            ),
            models.Index(
                fields=["recipient_id", "-position"], name="notification_dismissed", condition=Q(is_dismissed=True)
            ),
            # Entries about the comments on a post. Entries about the post itself are found by their key.
            models.Index(fields=["post_id"], name="notification_post", condition=Q(comment_id__isnull=False)),
            models.Index(fields=["created_at"], name="notification_age"),  # old entries, to delete
            # Entries whose actors have all retracted. They are in no list and are deleted after a cooldown.
            models.Index(fields=["created_at"], name="notification_empty", condition=Q(actor_count=0)),
        ]

    def __str__(self) -> str:
        return f"notification {self.position} of user {self.recipient_id}: {self.aggregation_key}"


class NotificationActor(models.Model):
    """An actor of an entry.

    A retracted actor stays as inactive for a cooldown, so that liking again does not notify again.
    """

    pk = models.CompositePrimaryKey("notification_id", "actor_id")
    notification = models.ForeignKey(Notification, models.CASCADE, related_name="actor_set", db_index=False)
    actor_id = models.BigIntegerField()
    position = models.BigIntegerField()  # the entry's position when this actor was added
    announced_at = models.DateTimeField()
    is_active = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["notification", "-position"], name="notification_actor_newest", condition=Q(is_active=True)
            ),
            models.Index(fields=["actor_id"], name="notification_actor_actor"),  # account erasure
            models.Index(fields=["announced_at"], name="notification_actor_retracted", condition=Q(is_active=False)),
        ]

    def __str__(self) -> str:
        return f"user {self.actor_id} in notification {self.notification_id}"


class NotificationState(models.Model):
    """The position up to which a user has read their notifications."""

    user_id = models.BigIntegerField(primary_key=True)
    read_up_to = models.BigIntegerField()

    def __str__(self) -> str:
        return f"user {self.user_id} has read up to {self.read_up_to}"
