"""Follows and follow requests.

The primary key is the pair of users, so the database rejects a second follow. Its order (followee, follower) is the
order in which fan-out pages through an author's followers. The reverse index finds the accounts that a user follows.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from instafeed.core.jobs.leased import LeasedJob


class Follow(models.Model):
    pk = models.CompositePrimaryKey("followee_id", "follower_id")
    # db_index=False: the primary key and the reverse index cover both columns.
    followee = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="follower_set", db_index=False)
    follower = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="following_set", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["follower", "followee"], name="follow_reverse")]
        constraints = [
            models.CheckConstraint(condition=~Q(follower=F("followee")), name="follow_not_oneself"),
        ]

    def __str__(self) -> str:
        return f"{self.follower_id} follows {self.followee_id}"


class FollowRequest(models.Model):
    """A pending request to follow a private account. It is deleted when answered; an accepted one becomes a Follow."""

    pk = models.CompositePrimaryKey("followee_id", "follower_id")
    followee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="follow_request_set", db_index=False
    )
    follower = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="sent_follow_request_set", db_index=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["follower", "followee"], name="follow_request_reverse")]
        constraints = [
            models.CheckConstraint(condition=~Q(follower=F("followee")), name="follow_request_not_oneself"),
        ]

    def __str__(self) -> str:
        return f"{self.follower_id} requests to follow {self.followee_id}"


class RequestAcceptance(LeasedJob):
    """A public account with follow requests to accept. Written with the change (social.request_acceptance)."""

    owner_id = models.BigIntegerField(primary_key=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="request_acceptance_due")]

    def __str__(self) -> str:
        return f"acceptance of follow requests to user {self.owner_id}"
