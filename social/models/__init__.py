from social.models.block import Block
from social.models.follow import Follow, FollowRequest, RequestAcceptance
from social.models.moderator_message import ModeratorMessage
from social.models.mute import Mute
from social.models.notification import (
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationKind,
    NotificationState,
    Verb,
)
from social.models.preference import NotificationPreference
from social.models.push import OutgoingPush, PushSubscription

__all__ = [
    "Block",
    "Follow",
    "FollowRequest",
    "ModeratorMessage",
    "Mute",
    "Notification",
    "NotificationActor",
    "NotificationEvent",
    "NotificationKind",
    "NotificationPreference",
    "NotificationState",
    "OutgoingPush",
    "PushSubscription",
    "RequestAcceptance",
    "Verb",
]
