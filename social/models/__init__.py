from social.models.block import Block
from social.models.follow import Follow, FollowRequest
from social.models.mute import Mute

__all__ = ["Block", "Follow", "FollowRequest", "Mute"]
