"""Post ids to JSON: the card, the author's card, the counts and the viewer's marks, pasted together as bytes.

Each part is cached apart, because each changes for reasons of its own: an edit, a rename, a like, one's own
like. Nothing here asks whether the viewer may see a post: `posts.visibility` and `feeds.visibility` do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from accounts.cards import own_card, people
from instafeed import keys
from instafeed.redis import CacheUnavailable, guarded
from posts import cards, counters, marks
from posts.counters import Counts
from posts.marks import Marks
from posts.models import Post


@dataclass(frozen=True, slots=True)
class Parts:
    """All that one viewer's posts are made of but their authors' cards; a post without a card does not exist."""

    viewer_id: int | None
    cards: dict[int, bytes]
    counts: dict[int, bytes]
    marks: Marks

    def author_of(self, post_id: int) -> int:
        return cards.author_of(self.cards[post_id])

    def author_ids(self) -> set[int]:
        return {cards.author_of(card) for card in self.cards.values()}

    def rendered(self, post_ids: Sequence[int], authors: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
        """Id and JSON of those posts that exist and whose author is among `authors`, in the order given."""
        return [
            (post_id, self._render(post_id, authors[self.author_of(post_id)]))
            for post_id in post_ids
            if self._exists(post_id) and self.author_of(post_id) in authors
        ]

    def _exists(self, post_id: int) -> bool:
        card = self.cards.get(post_id)
        return card is not None and (not cards.is_for_author_only(card) or cards.author_of(card) == self.viewer_id)

    def _render(self, post_id: int, author_card: bytes) -> bytes:
        liked, saved = post_id in self.marks.liked, post_id in self.marks.saved
        return cards.compose(self.cards[post_id], author_card, Counts.decode(self.counts[post_id]), liked, saved)


def fetch(pipe: redis.client.Pipeline, viewer_id: int | None, post_ids: Sequence[int]) -> None:
    """Queue what `complete` needs, as a part of somebody's round trip. `post_ids` must not be empty."""
    pipe.mget([keys.card(post_id) for post_id in post_ids])
    pipe.mget([keys.count(post_id) for post_id in post_ids])
    pipe.get(keys.marks(viewer_id or 0))


def complete(viewer_id: int | None, post_ids: Sequence[int], replies: Sequence[Any]) -> Parts:
    """The parts from the pipeline's replies; what was not cached is loaded in a fixed number of queries."""
    raw_cards, raw_counts, entry = replies
    found = cards.posts.complete(post_ids, raw_cards)
    if viewer_id is None:
        seen = Marks()
    else:
        entry = marks.marks.complete([viewer_id], [entry]).get(viewer_id)
        seen = marks.complete(viewer_id, found, entry)
    raw_counts = [raw for post_id, raw in zip(post_ids, raw_counts, strict=True) if post_id in found]
    existing = [post_id for post_id in post_ids if post_id in found]
    return Parts(viewer_id, found, counters.counts.complete(existing, raw_counts), seen)


def load(viewer_id: int | None, post_ids: Sequence[int]) -> Parts:
    """The parts of those posts that exist; one round trip when warm."""
    if not post_ids:
        return Parts(viewer_id, {}, {}, Marks())
    try:
        with guarded() as client:
            pipe = client.pipeline(transaction=False)
            fetch(pipe, viewer_id, post_ids)
            replies = pipe.execute()
    except CacheUnavailable:
        return without_cache(viewer_id, post_ids)
    return complete(viewer_id, post_ids, replies)


def without_cache(viewer_id: int | None, post_ids: Sequence[int]) -> Parts:
    """The same while Redis is away."""
    found = cards.posts.get(post_ids)
    return Parts(viewer_id, found, counters.counts.get(found), marks.of(viewer_id, found))


def rendered(viewer_id: int | None, post_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that exist and have an active author, in the order given."""
    parts = load(viewer_id, post_ids)
    return parts.rendered(post_ids, people(parts.author_ids()))


def rendered_fresh(post: Post) -> bytes:
    """The JSON for its author of a post that the current transaction has just made; no cache learns of it."""
    return cards.compose(cards.fresh(post.pk), own_card(post.author_id), Counts(), False, False)
