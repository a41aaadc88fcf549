"""Which posts of a viewer's feed are new: a comparison with those that were announced.

The largest id alone would not do. A post with pictures becomes visible seconds after its id was drawn, and may be
delivered after newer ones. So the newest ids are kept, and a post is new if it is not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from feeds import render, timeline
from feeds.timeline_store import Snapshot
from instafeed.core.db.snowflake import first_id_at

MAX_COUNT = 100  # as of GET /feed/unread-count
WINDOW = 20  # newest posts that are compared
LATE = timedelta(minutes=10)  # before a stream begins: a post from then that becomes visible later is new


@dataclass(frozen=True, slots=True)
class SeenPosts:
    """The newest posts that the viewer knows, in descending order; all others above `floor` are new."""

    ids: tuple[int, ...]
    floor: int

    @property
    def newest(self) -> int:
        return self.ids[0] if self.ids else self.floor

    def count_above(self, post_id: int) -> int | None:
        """Return how many of these are newer than a post; None if there may be more."""
        return sum(id_ > post_id for id_ in self.ids) if post_id >= self.floor else None

    def with_new(self, post_ids: list[int]) -> SeenPosts:
        ids = sorted({*self.ids, *post_ids}, reverse=True)
        floor = max(self.floor, *ids[WINDOW : WINDOW + 1]) if len(ids) > WINDOW else self.floor
        return SeenPosts(tuple(ids[:WINDOW]), floor)


def begin(viewer_id: int, first: Snapshot | None) -> SeenPosts:
    """Return what the viewer's feed shows now."""
    return find_new(viewer_id, SeenPosts((), first_id_at(timezone.now() - LATE)), first)[1]


def find_new(viewer_id: int, seen: SeenPosts, first: Snapshot | None) -> tuple[int, SeenPosts]:
    """Return how many posts have appeared in the viewer's feed, at most MAX_COUNT, and what is seen with them.

    `first` is what Redis held for `timeline.page_command(viewer_id, None, WINDOW)` a moment ago. Takes no SQL, and no
    round trip if nothing is new.
    """
    candidates, _ = timeline.candidate_post_ids(viewer_id, None, WINDOW + 1, first, skip_inactive=False)
    unknown = _unknown(candidates, seen)
    if not unknown:
        return 0, seen
    visible = [post_id for post_id, _ in render.render_posts(viewer_id, unknown)]
    count = len(visible)
    if len(unknown) > WINDOW:  # there may be more below
        count = timeline.count_newer(viewer_id, seen.newest, MAX_COUNT)[0]
    return count, seen.with_new(visible)


def may_have_new(seen: SeenPosts, snapshot: Snapshot) -> bool:
    """Return whether `find_new` is worth a call: it may find that no new post is visible."""
    parts = [snapshot.home_timeline, *snapshot.author_timelines.values()]
    timelines = [part for part in parts if part is not None]
    is_complete = snapshot.has_visible_authors and snapshot.has_celebrities and len(timelines) == len(parts)
    return not is_complete or any(_unknown(part.ids[: WINDOW + 1], seen) for part in timelines)


def count_newer(viewer_id: int, post_id: int, seen: SeenPosts) -> int:
    """Return how many posts of those seen are newer than the one of a Last-Event-ID."""
    known = seen.count_above(post_id)
    return timeline.count_newer(viewer_id, post_id, MAX_COUNT)[0] if known is None else known


def _unknown(candidates: list[int], seen: SeenPosts) -> list[int]:
    return [post_id for post_id in candidates if post_id > seen.floor and post_id not in seen.ids]
