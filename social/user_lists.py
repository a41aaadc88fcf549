"""Lists of users: followers, followees, follow requests, blocks and mutes, in pages of user ids.

A list is ordered by the other user's id, newest account first. The relation's composite key or its reverse index has
this order, and no row changes its place between two pages. The first page may come from a replica: whether the viewer
may see the list is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Model

from instafeed.core.db.keyset import fetch_ids
from social.models import Block, Follow, FollowRequest, Mute

MIN_BATCH_SIZE = 20  # user ids of a query, so that a page from which many users are hidden is filled in few queries


@dataclass(frozen=True)
class UserList:
    """The users in column `other` of the rows whose column `owner` is one user."""

    kind: str  # identifies the list in its cursors
    model: type[Model]
    owner: str
    other: str

    def fetch_ids(self, owner_id: int, before: int | None, limit: int) -> tuple[list[int], bool]:
        """Return at least `limit` user ids below the cursor, descending, and whether the list ends there.

        An index-only scan without joins: joined with users and blocks, PostgreSQL sometimes reads and sorts the whole
        list for one page. The caller removes users whom the viewer may not see.
        """
        rows = self.model._default_manager.filter(**{f"{self.owner}_id": owner_id})
        return fetch_ids(rows, f"{self.other}_id", before, max(limit, MIN_BATCH_SIZE))


FOLLOWERS = UserList("followers", Follow, "followee", "follower")
FOLLOWING = UserList("following", Follow, "follower", "followee")
FOLLOW_REQUESTS = UserList("follow_requests", FollowRequest, "followee", "follower")
BLOCKS = UserList("blocks", Block, "blocker", "blocked")
MUTES = UserList("mutes", Mute, "muter", "muted")
