"""Lists of people: followers, followees, who asks, who is blocked, who is muted.

Each runs down one side of a relation by the other user's id, newest account first: an order that the
relation's composite key or its reverse index already has, and that nothing can change between two pages.
The ordinary router reads them, perhaps from a replica: who may see a list is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Model, OuterRef

from social.models import Block, Follow, FollowRequest, Mute


@dataclass(frozen=True)
class PeopleList:
    """The users in the column `other` of the rows whose column `owner` is one user."""

    kind: str  # names the list in its cursors
    model: type[Model]
    owner: str
    other: str

    def ids(self, owner_id: int, viewer_id: int, before: int | None, wanted: int) -> tuple[list[int], bool]:
        """The next `wanted` user ids below the cursor, descending, and whether these are the last.

        Leaves out who does not exist for the viewer: inactive users, and those who block the viewer.
        """
        other = f"{self.other}_id"
        conditions: dict[str, Any] = {f"{self.owner}_id": owner_id, f"{self.other}__is_active": True}
        if before is not None:
            conditions[f"{other}__lt"] = before
        blocks_viewer = Exists(Block.objects.filter(blocker_id=OuterRef(other), blocked_id=viewer_id))
        rows = self.model._default_manager.filter(~blocks_viewer, **conditions)
        ids = list(rows.order_by(f"-{other}").values_list(other, flat=True)[:wanted])
        return ids, len(ids) < wanted


FOLLOWERS = PeopleList("followers", Follow, "followee", "follower")
FOLLOWING = PeopleList("following", Follow, "follower", "followee")
FOLLOW_REQUESTS = PeopleList("follow_requests", FollowRequest, "followee", "follower")
BLOCKS = PeopleList("blocks", Block, "blocker", "blocked")
MUTES = PeopleList("mutes", Mute, "muter", "muted")
