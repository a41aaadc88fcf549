"""Ids to JSON: post cards and author cards are cached bytes, pasted together and never decoded."""

from __future__ import annotations

from collections.abc import Sequence

from feeds import render
from posts import post_cache, rendering


def render_posts(viewer_id: int, post_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that the viewer may see now, in the order given.

    One round trip when warm and this process knows the posts' authors, else two; whatever is not cached is
    loaded in a fixed number of queries.
    """
    by_post = post_cache.get_known_author_ids(post_ids)
    if by_post is None:
        parts = rendering.load_parts(viewer_id, post_ids)
        by_post = post_cache.extract_author_ids(parts.cards)
        authors = render.visible_author_cards(viewer_id, by_post.values())
    else:
        parts, authors = render.load_visible(viewer_id, by_post)
    return parts.rendered(post_ids, authors)
