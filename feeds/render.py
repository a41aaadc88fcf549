"""What this viewer may see, decided at every read: lists hold candidates only.

A feed shows a post if its card exists (not deleted, not hidden), its author has a card (active), and the
author is among the viewer's sources (followed, or oneself; neither muted nor blocked either way). So an
unfollow, block, deletion or suspension shows at the next read, whatever the lists still hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import redis

from accounts.user_cache import user_summary_cache
from feeds import visible_authors
from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client
from posts import rendering
from posts.rendering import PostParts


def visible_author_cards(viewer_id: int, author_ids: Iterable[int]) -> dict[int, bytes]:
    """The author cards of those whose posts the viewer sees. One round trip when warm."""
    wanted = sorted(set(author_ids))
    if not wanted:
        return {}
    try:
        with guarded_client() as client:
            pipe = client.pipeline(transaction=False)
            _fetch_authors(pipe, viewer_id, wanted)
            replies = pipe.execute()
    except CacheUnavailable:
        return _visible_from_database(viewer_id, wanted)
    return _complete_authors(viewer_id, wanted, *replies)


def load_visible(viewer_id: int, author_by_post: Mapping[int, int]) -> tuple[PostParts, dict[int, bytes]]:
    """What these posts are made of, and the author cards of those authors whose posts the viewer sees.

    One round trip when warm.
    """
    post_ids, wanted = list(author_by_post), sorted(set(author_by_post.values()))
    if not post_ids:
        return rendering.load_parts(viewer_id, []), {}
    try:
        with guarded_client() as client:
            pipe = client.pipeline(transaction=False)
            _fetch_authors(pipe, viewer_id, wanted)
            rendering.queue_reads(pipe, viewer_id, post_ids)
            is_member, raw_people, *replies = pipe.execute()
    except CacheUnavailable:
        return rendering.load_parts_without_cache(viewer_id, post_ids), _visible_from_database(viewer_id, wanted)
    authors = _complete_authors(viewer_id, wanted, is_member, raw_people)
    return rendering.complete_parts(viewer_id, post_ids, replies), authors


def _fetch_authors(pipe: redis.client.Pipeline, viewer_id: int, author_ids: Sequence[int]) -> None:
    pipe.smismember(keys.visible_authors(viewer_id), [0, *author_ids])
    pipe.mget([keys.user_summary(author_id) for author_id in author_ids])


def _complete_authors(
    viewer_id: int, author_ids: Sequence[int], membership: Sequence[int], raw_people: Sequence[bytes | None]
) -> dict[int, bytes]:
    is_complete, *is_member = membership
    people = user_summary_cache.complete(author_ids, raw_people)
    if is_complete:
        seen = {author_id for author_id, member in zip(author_ids, is_member, strict=True) if member}
    else:
        seen = set(visible_authors.load(viewer_id))
    return {author_id: card for author_id, card in people.items() if author_id in seen}


def _visible_from_database(viewer_id: int, author_ids: Sequence[int]) -> dict[int, bytes]:
    seen = visible_authors.load(viewer_id)
    return user_summary_cache.get([author_id for author_id in author_ids if author_id in seen])
