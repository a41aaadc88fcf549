"""Lists of people: followers, followees, who asks, who is blocked, who is muted.

Each runs down one side of a relation by the other user's id, newest account first: an order that the
relation's composite key or its reverse index already has, and that nothing can change between two pages.
The ordinary router reads the first page, perhaps from a replica: who may see a list is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Model

from instafeed.core.db.replicas import session
from social.models import Block, Follow, FollowRequest, Mute

MIN_BATCH_SIZE = 20  # ids at least, so that refilling a page from which many were left out takes few rounds


@dataclass(frozen=True)
class UserList:
    """The users in the column `other` of the rows whose column `owner` is one user."""

    kind: str  # names the list in its cursors
    model: type[Model]
    owner: str
    other: str

    def ids(self, owner_id: int, before: int | None, wanted: int) -> tuple[list[int], bool]:
        """Some `wanted` user ids below the cursor, descending, and whether these are the last.

        An index-only scan and nothing else: joined with users and blocks, the planner now and then reads
        and sorts the whole list for one page. Who may be shown is for the caller to say.
        """
        other, count = f"{self.other}_id", max(wanted, MIN_BATCH_SIZE)
        rows = self.model._default_manager.filter(**{f"{self.owner}_id": owner_id})
        if before is None:
            ids = list(rows.order_by(f"-{other}").values_list(other, flat=True)[:count])
        else:
            # The page before may have come from a server that was ahead of a replica: no hole between them.
            with session.use_primary():
                rows = rows.filter(**{f"{other}__lt": before})
                ids = list(rows.order_by(f"-{other}").values_list(other, flat=True)[:count])
        return ids, len(ids) < count


FOLLOWERS = UserList("followers", Follow, "followee", "follower")
FOLLOWING = UserList("following", Follow, "follower", "followee")
FOLLOW_REQUESTS = UserList("follow_requests", FollowRequest, "followee", "follower")
BLOCKS = UserList("blocks", Block, "blocker", "blocked")
MUTES = UserList("mutes", Mute, "muter", "muted")
