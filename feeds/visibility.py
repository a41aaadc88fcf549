"""What this viewer may see, decided at every read: lists hold candidates only.

A feed shows a post if its card exists (not deleted, not hidden), its author has a card (active), and the
author is among the viewer's sources (followed, or oneself; neither muted nor blocked either way). So an
unfollow, block, deletion or suspension shows at the next read, whatever the lists still hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from accounts.cards import person_cards
from feeds import sources
from instafeed import keys
from instafeed.redis import CacheUnavailable, guarded


def seen_authors(viewer_id: int, author_ids: Collection[int]) -> dict[int, bytes]:
    """The author cards of those whose posts the viewer sees. One round trip when warm."""
    wanted = sorted(set(author_ids))
    if not wanted:
        return {}
    names = [person_cards.key_of(author_id) for author_id in wanted]
    try:
        with guarded() as client:
            pipe = client.pipeline(transaction=False)
            pipe.mget(names)
            pipe.smismember(keys.sources(viewer_id), [0, *wanted])
            raw, (is_complete, *is_member) = pipe.execute()
    except CacheUnavailable:
        return _seen_in_database(viewer_id, wanted)
    people = person_cards.complete(wanted, raw)
    if is_complete:
        seen = {author_id for author_id, member in zip(wanted, is_member, strict=True) if member}
    else:
        seen = set(sources.load(viewer_id))
    return {author_id: card for author_id, card in people.items() if author_id in seen}


def _seen_in_database(viewer_id: int, author_ids: Sequence[int]) -> dict[int, bytes]:
    seen = sources.load(viewer_id)
    return person_cards.get([author_id for author_id in author_ids if author_id in seen])
