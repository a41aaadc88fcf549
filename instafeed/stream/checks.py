"""What is looked up for all viewers each minute, in bulk: whether their sessions live, and whether a hint was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from accounts import auth_cache
from accounts.auth_cache import AuthState
from feeds.timeline_store import Snapshot
from instafeed.stream import reads, seen_posts
from instafeed.stream.seen_posts import SeenPosts
from social.notifications.selectors import fetch_newest_positions

Marks = tuple[int | None, int | None]  # of `fetch_newest_positions`


class Check(NamedTuple):
    state: AuthState | None  # None: the user does not exist any more
    posts: bool  # there may be new posts
    marks: Marks

    def is_live(self, session_id: int | None) -> bool:
        """Return whether a token of the session would be accepted, unless it has expired."""
        if self.state is None or not self.state.to_user().is_active:
            return False
        return session_id is None or not self.state.has_ended(session_id)


def check_viewers(viewers: Sequence[tuple[int, SeenPosts | None]]) -> dict[int, Check]:
    """Return a check by viewer id. Takes two round trips and one query if the users' states are cached.

    While Redis is down no new posts are looked for: a query for each viewer would burden the primary.
    """
    ids = [viewer_id for viewer_id, _ in viewers]
    states = auth_cache.get_auth_states(ids)
    marks = fetch_newest_positions(ids)
    snapshots = reads.read_snapshots(ids)
    return {
        viewer_id: Check(
            states.get(viewer_id), _may_have_new(seen, snapshots.get(viewer_id)), marks.get(viewer_id, (None, None))
        )
        for viewer_id, seen in viewers
    }


def _may_have_new(seen: SeenPosts | None, snapshot: Snapshot | None) -> bool:
    return seen is not None and snapshot is not None and seen_posts.may_have_new(seen, snapshot)
