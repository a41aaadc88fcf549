"""Why a relation between two users cannot be changed. The API gives each its status."""


class RelationError(Exception):
    """The base of all: str() is fit for the user."""


class OwnAccount(RelationError, ValueError):
    """Nobody follows, blocks or mutes themselves (400)."""

    def __init__(self) -> None:
        super().__init__("This is your own account.")


class UnknownUser(RelationError, LookupError):
    """The other does not exist for this user: never did, is inactive, or has blocked them (404)."""


class NoRequest(RelationError, LookupError):
    """There is no such follow request: never was, withdrawn, or already answered (404)."""


class Blocking(RelationError):
    """One does not follow whom one blocks (409)."""

    def __init__(self) -> None:
        super().__init__("You block this account: unblock it first.")
