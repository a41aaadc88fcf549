"""Render post ids as JSON for one viewer, and drop the posts that the viewer may not see.

Timelines hold candidates only; visibility is decided here, at every read. A post is visible if its card exists (it
is neither deleted nor hidden), its author's user summary exists (the account is active), and the author is one of
the viewer's visible authors (followed, or the viewer; neither muted nor blocked either way). So an unfollow, a
block, a deletion or a suspension takes effect at the next read.

Post cards and user summaries are cached bytes; they are joined and never decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from accounts.user_cache import user_summary_cache
from feeds import visible_authors
from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command
from posts import post_cache, post_parts
from posts.post_parts import PostParts


def render_posts(viewer_id: int, post_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return id and JSON of those posts that the viewer may see now, in the given order.

    Takes one round trip when warm and this process knows the posts' authors, else two. What is not cached is
    loaded with a fixed number of queries.
    """
    author_by_post = post_cache.get_known_author_ids(post_ids)
    if author_by_post is None:
        parts = post_parts.load_parts(viewer_id, post_ids)
        author_by_post = post_cache.extract_author_ids(parts.cards)
        author_summaries = _load_visible_author_summaries(viewer_id, author_by_post.values())
    else:
        parts, author_summaries = _load_parts_and_author_summaries(viewer_id, author_by_post)
    return parts.render(post_ids, author_summaries)


def _load_visible_author_summaries(viewer_id: int, author_ids: Iterable[int]) -> dict[int, bytes]:
    """Return the summaries of those authors whose posts the viewer sees. Takes one round trip when warm."""
    wanted = sorted(set(author_ids))
    if not wanted:
        return {}
    try:
        membership, raw_summaries = commands.run(_author_commands(viewer_id, wanted))
    except CacheUnavailable:
        return _load_author_summaries_without_cache(viewer_id, wanted)
    return _complete_author_summaries(viewer_id, wanted, membership, raw_summaries)


def _load_parts_and_author_summaries(
    viewer_id: int, author_by_post: Mapping[int, int]
) -> tuple[PostParts, dict[int, bytes]]:
    """Return the parts of these posts and the summaries of their visible authors. Takes one round trip when warm."""
    post_ids, author_ids = list(author_by_post), sorted(set(author_by_post.values()))
    if not post_ids:
        return post_parts.load_parts(viewer_id, []), {}
    try:
        membership, raw_summaries, *replies = commands.run(
            [*_author_commands(viewer_id, author_ids), *post_parts.read_commands(viewer_id, post_ids)]
        )
    except CacheUnavailable:
        parts = post_parts.load_parts_without_cache(viewer_id, post_ids)
        return parts, _load_author_summaries_without_cache(viewer_id, author_ids)
    author_summaries = _complete_author_summaries(viewer_id, author_ids, membership, raw_summaries)
    return post_parts.complete_parts(viewer_id, post_ids, replies), author_summaries


def _author_commands(viewer_id: int, author_ids: Sequence[int]) -> list[Command]:
    """Return the reads that `_complete_author_summaries` needs. `author_ids` must not be empty."""
    return [
        ("SMISMEMBER", keys.visible_authors(viewer_id), 0, *author_ids),
        user_summary_cache.read_command(author_ids),
    ]


def _complete_author_summaries(
    viewer_id: int, author_ids: Sequence[int], membership: Sequence[int], raw_summaries: Sequence[bytes | None]
) -> dict[int, bytes]:
    """Return the summaries of visible authors from the replies to `_author_commands`; load what was not cached."""
    is_set_complete, *is_member = membership
    summaries = user_summary_cache.fill_misses(author_ids, raw_summaries)
    if is_set_complete:
        visible = {author_id for author_id, member in zip(author_ids, is_member, strict=True) if member}
    else:
        visible = set(visible_authors.load(viewer_id))
    return {author_id: summary for author_id, summary in summaries.items() if author_id in visible}


def _load_author_summaries_without_cache(viewer_id: int, author_ids: Sequence[int]) -> dict[int, bytes]:
    visible = visible_authors.load(viewer_id)
    return user_summary_cache.get([author_id for author_id in author_ids if author_id in visible])
