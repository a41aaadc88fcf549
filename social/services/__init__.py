"""Services that change the social graph: plain functions of two user ids, the acting user first.

Each is one transaction and idempotent, and stays correct when it runs twice, late, or at the same time as its opposite
(see `locks`). Each raises a `social.errors.RelationError` if the change is not allowed.
"""

from social.services.blocks import block, unblock
from social.services.follows import FollowState, follow, remove_follower, unfollow
from social.services.mutes import mute, unmute
from social.services.requests import accept_request, accept_request_batch, reject_request

__all__ = [
    "FollowState",
    "accept_request",
    "accept_request_batch",
    "block",
    "follow",
    "mute",
    "reject_request",
    "remove_follower",
    "unblock",
    "unfollow",
    "unmute",
]
