"""Ids to JSON: post cards and author cards are cached bytes, pasted together and never decoded."""

from __future__ import annotations

from collections.abc import Sequence

from feeds import visibility
from posts import cards, hydration


def hydrate(viewer_id: int, post_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that the viewer may see now, in the order given.

    One round trip when warm and this process knows the posts' authors, else two; whatever is not cached is
    loaded in a fixed number of queries.
    """
    by_post = cards.known_authors(post_ids)
    if by_post is None:
        parts = hydration.load(viewer_id, post_ids)
        by_post = cards.authors_of(parts.cards)
        authors = visibility.seen_authors(viewer_id, by_post.values())
    else:
        parts, authors = visibility.seen_posts(viewer_id, by_post)
    return parts.rendered(post_ids, authors)
