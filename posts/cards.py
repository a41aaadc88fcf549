"""Post cards: a post as JSON bytes without any viewer's state, cached, and pasted into answers undecoded.

A card is the author's id, a newline, and the object's fields without its braces; so an answer is made of a
post card and an author card by joining bytes. A rename touches the author card only. A post that is deleted
or hidden has no card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Prefetch
from django.utils import timezone

from accounts.cards import person_cards
from instafeed import keys
from instafeed.api.links import file_url
from instafeed.ids import moment_of
from instafeed.leases import ReadThrough
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
    return int(card[: card.index(b"\n")])


def compose(card: bytes, author_card: bytes) -> bytes:
    """The JSON of a post as one viewer sees it."""
    return b'{%b,"author":%b,"liked":false,"saved":false}' % (card[card.index(b"\n") + 1 :], author_card)


def composed(post_ids: Iterable[int]) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that have a card and an active author, in the order given."""
    wanted = list(post_ids)
    found = posts.get(wanted)
    authors = person_cards.get({author_of(card) for card in found.values()})
    return [
        (post_id, compose(found[post_id], authors[author_of(found[post_id])]))
        for post_id in wanted
        if post_id in found and author_of(found[post_id]) in authors
    ]


def _load(post_ids: Sequence[int]) -> Mapping[int, bytes]:
    """Cards from the primary, in two queries whatever their number."""
    pictures = Prefetch(
        "post_media_set", PostMedia.objects.using("default").select_related("media").order_by("position")
    )
    rows = Post.objects.using("default").filter(pk__in=post_ids, hidden_at=None).prefetch_related(pictures)
    return {post.pk: _render(post) for post in rows}


def _render(post: Post) -> bytes:
    fields = {
        "id": str(post.pk),
        "caption": post.caption,
        "media": [_picture(place) for place in post.post_media_set.all()],
        "hashtags": [],
        "mentions": [],
        "like_count": post.like_count,
        "comment_count": post.comment_count,
        "created_at": _moment(post.created_at),
        "edited_at": _moment(post.edited_at),
    }
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%d\n%b" % (post.author_id, body[1:-1])


def _picture(place: PostMedia) -> dict[str, Any]:
    media = place.media
    return {
        "id": str(media.pk),
        "kind": "image",
        "url": file_url(media.path),
        "width": media.width,
        "height": media.height,
        "blurhash": None,
        "alt_text": media.alt_text,
        "variants": {},
    }


def _moment(moment: datetime | None) -> str | None:
    """RFC 3339, as DRF writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _can_appear_no_more(post_id: int) -> bool:
    """Whether every transaction that drew this id is over: ids can be guessed, and asked for before they exist."""
    return moment_of(post_id) < timezone.now() - LONGEST_TRANSACTION


posts = ReadThrough(keys.card, _load, keys.CARD_TTL, stays_absent=_can_appear_no_more)
