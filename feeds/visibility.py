"""What this viewer may see, decided at every read: lists hold candidates only.

A feed shows a post if its card exists (not deleted, not hidden), its author has a card (active), and the
author is among the viewer's sources (followed, or oneself; neither muted nor blocked either way). So an
unfollow, block, deletion or suspension shows at the next read, whatever the lists still hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from accounts.cards import person_cards
from feeds import sources
from instafeed import keys
from instafeed.redis import CacheUnavailable, guarded
from posts.cards import posts as post_cards


def seen_authors(viewer_id: int, author_ids: Collection[int]) -> dict[int, bytes]:
    """The author cards of those whose posts the viewer sees. One round trip when warm."""
    return seen_posts(viewer_id, {}, author_ids)[1]


def seen_posts(
    viewer_id: int, author_by_post: Mapping[int, int], author_ids: Collection[int] = ()
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The cards of these posts, and the author cards of those authors whose posts the viewer sees.

    Of the posts' authors, and of `author_ids`. One round trip when warm.
    """
    post_ids = list(author_by_post)
    wanted = sorted({*author_by_post.values(), *author_ids})
    if not wanted:
        return {}, {}
    try:
        with guarded() as client:
            pipe = client.pipeline(transaction=False)
            pipe.smismember(keys.sources(viewer_id), [0, *wanted])
            pipe.mget([person_cards.key_of(author_id) for author_id in wanted])
            if post_ids:
                pipe.mget([post_cards.key_of(post_id) for post_id in post_ids])
            (is_complete, *is_member), raw_people, *raw_posts = pipe.execute()
    except CacheUnavailable:
        return post_cards.get(post_ids), _seen_in_database(viewer_id, wanted)
    people = person_cards.complete(wanted, raw_people)
    posts = post_cards.complete(post_ids, raw_posts[0]) if post_ids else {}
    if is_complete:
        seen = {author_id for author_id, member in zip(wanted, is_member, strict=True) if member}
    else:
        seen = set(sources.load(viewer_id))
    return posts, {author_id: card for author_id, card in people.items() if author_id in seen}


def _seen_in_database(viewer_id: int, author_ids: Sequence[int]) -> dict[int, bytes]:
    seen = sources.load(viewer_id)
    return person_cards.get([author_id for author_id in author_ids if author_id in seen])
