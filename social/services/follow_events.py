"""Notification events of a follow. Each function takes the follower and the followee."""

from __future__ import annotations

from social.models import NotificationKind
from social.notifications import Event


def follow_requested(follower_id: int, followee_id: int) -> Event:
    """Build the event that notifies the owner of a private account of a request."""
    return Event(NotificationKind.FOLLOW_REQUEST, followee_id, follower_id)


def followed(follower_id: int, followee_id: int) -> Event:
    """Build the event that notifies the owner of a public account of a new follower."""
    return Event(NotificationKind.FOLLOW, followee_id, follower_id)


def follow_accepted(follower_id: int, followee_id: int) -> Event:
    """Build the event that notifies the follower that the request was accepted."""
    return Event(NotificationKind.FOLLOW_ACCEPTED, follower_id, followee_id)


def all_between(follower_id: int, followee_id: int) -> list[Event]:
    """Build every event that a follow in this direction may have announced."""
    return [build(follower_id, followee_id) for build in (follow_requested, followed, follow_accepted)]
