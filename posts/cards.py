"""Post cards: a post as JSON bytes without any viewer's state, cached, and pasted into answers undecoded.

A card is the author's id, a newline, and the object's fields without its braces (an `x` before the newline: for the
author only, as the post waits for its pictures); so an answer is made of a
post card and an author card by joining bytes. A rename touches the author card only. A post that is deleted
or hidden has no card. Likes do not touch the card: counts are pasted in as well (posts.counters).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db.models import Prefetch
from django.utils import timezone

from instafeed import keys
from instafeed.api.times import rfc3339
from instafeed.ids import moment_of
from instafeed.leases import ReadThrough
from media import storage, variants
from posts import text
from posts.counters import Counts
from posts.models import Post, PostMedia

LONGEST_TRANSACTION = timedelta(minutes=1)  # between drawing a post's id and its commit

AUTHORS_KEPT = 100_000  # about 12 MB a process (tracemalloc)
_authors: dict[int, int] = {}  # author by post: it never changes, so it needs no invalidation


def known_authors(post_ids: Iterable[int]) -> dict[int, int] | None:
    """Author by post, if this process has met all of these posts; says nothing of whether they still exist."""
    try:
        return {post_id: _authors[post_id] for post_id in post_ids}
    except KeyError:
        return None


def authors_of(found: Mapping[int, bytes]) -> dict[int, int]:
    """Author by post, from the posts' cards; remembered for `known_authors`."""
    by_post = {post_id: author_of(card) for post_id, card in found.items()}
    if len(_authors) > AUTHORS_KEPT:
        _authors.clear()
    _authors.update(by_post)
    return by_post


def author_of(card: bytes) -> int:
    return int(card[: card.index(b"\n")].removesuffix(b"x"))


def is_for_author_only(card: bytes) -> bool:
    return card[card.index(b"\n") - 1] == ord("x")


def compose(card: bytes, author_card: bytes, counts: Counts, liked: bool, saved: bool) -> bytes:
    """The JSON of a post as one viewer sees it."""
    return b'{%b,"author":%b,"like_count":%d,"comment_count":%d,"liked":%b,"saved":%b}' % (
        storage.fill_in(card[card.index(b"\n") + 1 :]),
        author_card,
        counts.likes,
        counts.comments,
        b"true" if liked else b"false",
        b"true" if saved else b"false",
    )


def fresh(post_id: int) -> bytes:
    """The card of a post that the current transaction has just made: not yet for anybody else, nor for a cache."""
    return _load([post_id])[post_id]


def _load(post_ids: Sequence[int]) -> Mapping[int, bytes]:
    """Cards from the primary, in two queries whatever their number."""
    pictures = Prefetch(
        "post_media_set", PostMedia.objects.using("default").select_related("media").order_by("position")
    )
    rows = (
        Post.objects.using("default")
        .filter(pk__in=post_ids, hidden_at=None, deleted_at=None)
        .prefetch_related(pictures)
    )
    return {post.pk: _render(post) for post in rows}


def _render(post: Post) -> bytes:
    fields = {
        "id": str(post.pk),
        "caption": post.caption,
        "media": [variants.shown(place.media) for place in post.post_media_set.all()],
        "hashtags": text.hashtags(post.caption),
        "mentions": text.mentions(post.caption),
        "created_at": rfc3339(post.created_at),
        "edited_at": rfc3339(post.edited_at) if post.edited_at else None,
    }
    body = storage.encode(fields)
    return b"%d%b\n%b" % (post.author_id, b"x" if post.waiting else b"", body[1:-1])


def _can_appear_no_more(post_id: int) -> bool:
    """Whether every transaction that drew this id is over: ids can be guessed, and asked for before they exist."""
    return moment_of(post_id) < timezone.now() - LONGEST_TRANSACTION


posts = ReadThrough(keys.card, _load, keys.CARD_TTL, stays_absent=_can_appear_no_more)
