"""Render post ids as JSON: join the bytes of the post card, the author summary, the counts and the viewer's flags.

Each part has its own cache, because each changes for its own reason: an edit, a rename, any like, the viewer's like.
This module does not check whether the viewer can see a post; `posts.visibility` and `feeds.render` do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.user_cache import get_own_summary, get_user_summaries
from instafeed.core.cache import commands
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command
from posts import counters, post_cache, viewer_flags
from posts.counters import Counts
from posts.models import Post
from posts.permalinks import permalink_format
from posts.viewer_flags import ViewerFlags


@dataclass(frozen=True, slots=True)
class PostParts:
    """Everything needed to render posts for one viewer except the author summaries.

    A post without a card does not exist.
    """

    viewer_id: int | None
    cards: dict[int, bytes]
    counts: dict[int, bytes]
    flags: ViewerFlags

    def author_ids(self) -> set[int]:
        return {post_cache.extract_author_id(card) for card in self.cards.values()}

    def render(self, post_ids: Sequence[int], authors: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
        """Return id and JSON of the existing posts whose author is in `authors`, in the given order."""
        rendered, permalink = [], permalink_format()
        for post_id in post_ids:
            card = self.cards.get(post_id)
            if card is None:
                continue
            author_id, is_author_only, fields = post_cache.split_card(card)
            if author_id not in authors or (is_author_only and author_id != self.viewer_id):
                continue
            post = post_cache.render_post(
                fields,
                authors[author_id],
                self.counts[post_id],
                permalink % post_id,
                liked=post_id in self.flags.liked,
                saved=post_id in self.flags.saved,
            )
            rendered.append((post_id, post))
        return rendered


def read_commands(viewer_id: int | None, post_ids: Sequence[int]) -> list[Command]:
    """Return the cache reads that `complete_parts` needs. `post_ids` must not be empty."""
    return [
        post_cache.cards.read_command(post_ids),
        counters.cached_counts.read_command(post_ids),
        viewer_flags.cached_flags.read_command([viewer_id or 0]),
    ]


def complete_parts(viewer_id: int | None, post_ids: Sequence[int], replies: Sequence[Any]) -> PostParts:
    """Return the parts from the replies to `read_commands`. Load what was not cached in a fixed number of queries."""
    raw_cards, raw_counts, raw_flags = replies
    found = post_cache.cards.fill_misses(post_ids, raw_cards)
    if viewer_id is None:
        flags = ViewerFlags()
    else:
        entry = viewer_flags.cached_flags.fill_misses([viewer_id], raw_flags).get(viewer_id)
        flags = viewer_flags.complete_flags(viewer_id, found, entry)
    raw_counts = [raw for post_id, raw in zip(post_ids, raw_counts, strict=True) if post_id in found]
    existing = [post_id for post_id in post_ids if post_id in found]
    return PostParts(viewer_id, found, counters.cached_counts.fill_misses(existing, raw_counts), flags)


def load_parts(viewer_id: int | None, post_ids: Sequence[int]) -> PostParts:
    """Return the parts of the existing posts. Takes one round trip to Redis when the cache is warm."""
    if not post_ids:
        return PostParts(viewer_id, {}, {}, ViewerFlags())
    try:
        replies = commands.run(read_commands(viewer_id, post_ids))
    except CacheUnavailable:
        return load_parts_without_cache(viewer_id, post_ids)
    return complete_parts(viewer_id, post_ids, replies)


def load_parts_without_cache(viewer_id: int | None, post_ids: Sequence[int]) -> PostParts:
    """Return the parts of the existing posts while Redis is unavailable."""
    found = post_cache.cards.get(post_ids)
    return PostParts(viewer_id, found, counters.cached_counts.get(found), viewer_flags.get_flags(viewer_id, found))


def render_posts(viewer_id: int | None, post_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return id and JSON of the existing posts with an active author, in the given order."""
    parts = load_parts(viewer_id, post_ids)
    return parts.render(post_ids, get_user_summaries(parts.author_ids()))


def render_new_post(post: Post) -> bytes:
    """Return the JSON, for its author, of a post that `services.create_post` returned. Does not cache the card."""
    _, _, fields = post_cache.split_card(post_cache.render_card(post))
    author = get_own_summary(post.author_id)
    link = permalink_format() % post.pk
    return post_cache.render_post(fields, author, Counts().encode(), link, liked=False, saved=False)
