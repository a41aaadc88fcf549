"""The cache of post cards: posts as JSON bytes that hold no viewer's state.

A card is the author's id, a newline, and the fields of the JSON object without its braces. An `x` before the newline
marks a post that is visible to its author only, because its media are pending. A response joins the bytes of a post
card and an author summary without decoding either, so a rename invalidates the author summary only. Likes do not
change the card: counts are inserted as well (posts.counters). A deleted or hidden post has no card.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Prefetch
from django.dispatch import receiver
from django.utils import timezone

from instafeed.core.api.formats import rfc3339
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.cache.read_through import ReadThroughCache
from instafeed.core.db.snowflake import timestamp_of_id
from media import storage, variants
from media.signals import alt_text_changed
from posts import entities
from posts.models import Post, PostMedia

MAX_TRANSACTION_DURATION = timedelta(minutes=1)  # between drawing a post's id and its commit

MAX_CACHED_AUTHORS = 100_000  # about 12 MB per process (tracemalloc)
_author_by_post: dict[int, int] = {}  # a post's author never changes, so entries need no invalidation


def get_known_author_ids(post_ids: Iterable[int]) -> dict[int, int] | None:
    """Return the author id of each post, or None unless this process knows all of them.

    A known author does not mean that the post still exists.
    """
    try:
        return {post_id: _author_by_post[post_id] for post_id in post_ids}
    except KeyError:
        return None


def extract_author_ids(found: Mapping[int, bytes]) -> dict[int, int]:
    """Return the author id of each post from the posts' cards, and remember it for `get_known_author_ids`."""
    by_post = {post_id: extract_author_id(card) for post_id, card in found.items()}
    if len(_author_by_post) > MAX_CACHED_AUTHORS:
        _author_by_post.clear()
    _author_by_post.update(by_post)
    return by_post


def extract_author_id(card: bytes) -> int:
    """Return the author id of a card."""
    return split_card(card)[0]


def split_card(card: bytes) -> tuple[int, bool, bytes]:
    """Return the author id of a card, whether only the author sees the post, and the fields of its JSON."""
    head, _, fields = card.partition(b"\n")
    return (int(head[:-1]), True, fields) if head.endswith(b"x") else (int(head), False, fields)


def render_post(
    fields: bytes, author_summary: bytes, counts: bytes, permalink: bytes, *, liked: bool, saved: bool
) -> bytes:
    """Return the JSON of a post as one viewer sees it. `counts` are encoded (posts.counters), `permalink` is JSON."""
    likes, _, comments = counts.partition(b":")
    return b'{%b,"author":%b,"like_count":%b,"comment_count":%b,"liked":%b,"saved":%b,"url":%b}' % (
        storage.sign_placeholders(fields),
        author_summary,
        likes,
        comments,
        b"true" if liked else b"false",
        b"true" if saved else b"false",
        permalink,
    )


def _load_cards(post_ids: Sequence[int]) -> Mapping[int, bytes]:
    """Load cards from the primary in two queries."""
    links = PostMedia.objects.using("default").select_related("media").order_by("position")
    rows = Post.objects.using("default").filter(pk__in=post_ids, hidden_at=None, deleted_at=None)
    # The plugin of mypy would define the attribute itself.
    rows = rows.prefetch_related(Prefetch("post_media_set", links, to_attr="media_links"))  # type: ignore[no-redef]
    return {post.pk: render_card(post) for post in rows}


def render_card(post: Post) -> bytes:
    """Return the card of a post with its `media_links`."""
    fields = {
        "id": str(post.pk),
        "caption": post.caption,
        "media": [variants.serialize(link.media) for link in post.media_links],
        "hashtags": entities.extract_hashtags(post.caption),
        "mentions": entities.extract_mentions(post.caption),
        "created_at": rfc3339(post.created_at),
        "edited_at": rfc3339(post.edited_at) if post.edited_at else None,
    }
    body = storage.encode_with_placeholders(fields)
    return b"%d%b\n%b" % (post.author_id, b"x" if post.media_pending else b"", body[1:-1])


def _is_permanently_absent(post_id: int) -> bool:
    """Return whether a post with this id can no longer appear.

    Ids can be guessed and requested before they exist. Absence is cached only once every transaction that could have
    drawn the id is over.
    """
    return timestamp_of_id(post_id) < timezone.now() - MAX_TRANSACTION_DURATION


@receiver(alt_text_changed)
def forget_cards_with_media(media_ids: Sequence[int], **_: Any) -> None:
    """Invalidate the cards of all posts with these media. Call it inside the transaction that changes them."""
    post_ids = PostMedia.objects.filter(media__in=media_ids).values_list("post_id", flat=True)
    invalidate(keys.post_card(post_id) for post_id in post_ids)


cards = ReadThroughCache(keys.post_card, _load_cards, keys.POST_CARD_TTL, can_cache_absence=_is_permanently_absent)
