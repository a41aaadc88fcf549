from social.models.block import Block
from social.models.follow import Follow, FollowRequest, RequestAcceptance
from social.models.mute import Mute
from social.models.notification import (
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationKind,
    NotificationState,
    Verb,
)
from social.models.warning import Warning

__all__ = [
    "Block",
    "Follow",
    "FollowRequest",
    "Mute",
    "Notification",
    "NotificationActor",
    "NotificationEvent",
    "NotificationKind",
    "NotificationState",
    "RequestAcceptance",
    "Verb",
    "Warning",
]
