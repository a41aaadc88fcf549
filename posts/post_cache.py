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

from instafeed.core.api.times import rfc3339
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache
from instafeed.core.db.snowflake import timestamp_of_id
from media import storage, variants
from posts import entities
from posts.counters import Counts
from posts.models import Post, PostMedia

MAX_TRANSACTION_DURATION = timedelta(minutes=1)  # between drawing a post's id and its commit

MAX_CACHED_AUTHORS = 100_000  # about 12 MB a process (tracemalloc)
_author_by_post: dict[int, int] = {}  # author by post: it never changes, so it needs no invalidation


def get_known_author_ids(post_ids: Iterable[int]) -> dict[int, int] | None:
    """Author by post, if this process has met all of these posts; says nothing of whether they still exist."""
    try:
        return {post_id: _author_by_post[post_id] for post_id in post_ids}
    except KeyError:
        return None


def extract_author_ids(found: Mapping[int, bytes]) -> dict[int, int]:
    """Author by post, from the posts' cards; remembered for `get_known_author_ids`."""
    by_post = {post_id: extract_author_id(card) for post_id, card in found.items()}
    if len(_author_by_post) > MAX_CACHED_AUTHORS:
        _author_by_post.clear()
    _author_by_post.update(by_post)
    return by_post


def extract_author_id(card: bytes) -> int:
    return int(card[: card.index(b"\n")].removesuffix(b"x"))


def is_author_only(card: bytes) -> bool:
    return card[card.index(b"\n") - 1] == ord("x")


def render_post(card: bytes, author_card: bytes, counts: Counts, liked: bool, saved: bool) -> bytes:
    """The JSON of a post as one viewer sees it."""
    return b'{%b,"author":%b,"like_count":%d,"comment_count":%d,"liked":%b,"saved":%b}' % (
        storage.sign_placeholders(card[card.index(b"\n") + 1 :]),
        author_card,
        counts.likes,
        counts.comments,
        b"true" if liked else b"false",
        b"true" if saved else b"false",
    )


def load_uncommitted_card(post_id: int) -> bytes:
    """The card of a post that the current transaction has just made: not yet for anybody else, nor for a cache."""
    return _load_cards([post_id])[post_id]


def _load_cards(post_ids: Sequence[int]) -> Mapping[int, bytes]:
    """Cards from the primary, in two queries whatever their number."""
    pictures = Prefetch(
        "post_media_set", PostMedia.objects.using("default").select_related("media").order_by("position")
    )
    rows = (
        Post.objects.using("default")
        .filter(pk__in=post_ids, hidden_at=None, deleted_at=None)
        .prefetch_related(pictures)
    )
    return {post.pk: _render_card(post) for post in rows}


def _render_card(post: Post) -> bytes:
    fields = {
        "id": str(post.pk),
        "caption": post.caption,
        "media": [variants.serialize(place.media) for place in post.post_media_set.all()],
        "hashtags": entities.extract_hashtags(post.caption),
        "mentions": entities.extract_mentions(post.caption),
        "created_at": rfc3339(post.created_at),
        "edited_at": rfc3339(post.edited_at) if post.edited_at else None,
    }
    body = storage.encode_with_placeholders(fields)
    return b"%d%b\n%b" % (post.author_id, b"x" if post.waiting else b"", body[1:-1])


def _is_permanently_absent(post_id: int) -> bool:
    """Whether every transaction that drew this id is over: ids can be guessed, and asked for before they exist."""
    return timestamp_of_id(post_id) < timezone.now() - MAX_TRANSACTION_DURATION


cards = ReadThroughCache(keys.post_card, _load_cards, keys.POST_CARD_TTL, stays_absent=_is_permanently_absent)
