"""Everything that changes the social graph: plain functions of two user ids, the acting one first.

Each is one transaction, idempotent, and right when it runs twice, late, or at the same time as its
opposite (see `locks`). Each raises a `social.errors.RelationError` for what cannot be.
"""

from social.services.blocks import block, unblock
from social.services.follows import FollowState, follow, remove_follower, unfollow
from social.services.mutes import mute, unmute
from social.services.privacy import accept_pending_requests
from social.services.requests import accept_request, reject_request

__all__ = [
    "FollowState",
    "accept_pending_requests",
    "accept_request",
    "block",
    "follow",
    "mute",
    "reject_request",
    "remove_follower",
    "unblock",
    "unfollow",
    "unmute",
]
