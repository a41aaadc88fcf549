"""What the two are told of a follow; announced before the counts move, which is where others wait."""

from __future__ import annotations

from social.notifications import Event


def follow_requested(follower_id: int, followee_id: int) -> Event:
    """To the owner of a private account."""
    return Event("follow_request", followee_id, follower_id)


def followed(follower_id: int, followee_id: int) -> Event:
    """To whoever is followed without having been asked."""
    return Event("follow", followee_id, follower_id)


def follow_accepted(follower_id: int, followee_id: int) -> Event:
    """To whoever had asked."""
    return Event("follow_accepted", follower_id, followee_id)
