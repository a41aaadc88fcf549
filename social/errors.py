"""Reasons why a relation between two users cannot be changed. `api/base.py` maps each to an HTTP status."""


class RelationError(Exception):
    """Base class. str() is a message for the user."""


class OwnAccount(RelationError, ValueError):
    """A user tried to follow, block or mute their own account (400)."""

    def __init__(self) -> None:
        super().__init__("This is your own account.")


class UnknownUser(RelationError, LookupError):
    """The other user does not exist, is inactive, or has blocked the acting user (404)."""


class NoRequest(RelationError, LookupError):
    """The follow request does not exist: never sent, withdrawn, or already answered (404)."""


class FollowingLimit(RelationError):
    """The acting user follows, or asks to follow, settings.MAX_FOLLOWING accounts already (409)."""

    def __init__(self) -> None:
        super().__init__("You follow too many accounts: unfollow some first.")


class Blocking(RelationError):
    """The acting user blocks the account that they try to follow (409)."""

    def __init__(self) -> None:
        super().__init__("You block this account: unblock it first.")
