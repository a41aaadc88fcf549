"""Who follows whom, and who asks to.

The primary key is the pair, so the database itself refuses a second follow, and its order
(followee, follower) is the order in which fan-out pages through an audience. The reverse index serves
"whom do I follow".
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


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
    """A wish to follow a private account; it becomes a Follow or goes."""

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
        return f"{self.follower_id} asks to follow {self.followee_id}"
