"""Which posts exist for a viewer; whatever does not is Http404, or left out of lists.

A post exists for a viewer if it is neither deleted nor hidden, its author is active, there is no block
between the two, and the author is public, followed, or the viewer. Decided at every read, on the primary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404

from accounts.cards import people
from accounts.models import User
from posts import cards, hydration
from social.selectors import annotated, relationship, relationship_on
from social.visibility import can_see_posts


def author_of_visible(viewer_id: int | None, post_id: int) -> int:
    """The post's author; Http404 if the post does not exist for this viewer. One query when its card is cached."""
    card = cards.posts.get([post_id]).get(post_id)
    if card is None:
        raise Http404
    author_id = cards.author_of(card)
    authors = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=author_id)
    author = (authors if viewer_id is None else annotated(authors, viewer_id)).first()
    relation = None if author is None or viewer_id is None else relationship_on(author)
    if author is None or not can_see_posts(viewer_id, author, relation):
        raise Http404
    return author_id


def visible_post(viewer_id: int | None, post_id: int) -> bytes:
    """The post's JSON; Http404 if it does not exist for this viewer."""
    author_of_visible(viewer_id, post_id)
    shown = hydration.rendered(viewer_id, [post_id])
    if not shown:
        raise Http404
    return shown[0][1]


def shown(
    viewer_id: int | None, post_ids: Sequence[int], *, public_only: bool = False, unmuted_only: bool = False
) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that exist for the viewer, in the order given; for `filled_page`.

    Two queries when warm, whatever their number. `public_only` leaves out posts of private accounts even
    for their followers, `unmuted_only` those of authors whom the viewer muted.
    """
    parts = hydration.load(viewer_id, post_ids)
    seen = visible_authors(viewer_id, parts.author_ids(), public_only=public_only, unmuted_only=unmuted_only)
    authors = people(seen)
    return [
        (post_id, parts.render(post_id, authors[parts.author_of(post_id)]))
        for post_id in post_ids
        if post_id in parts.cards and parts.author_of(post_id) in authors
    ]


def visible_ids(viewer_id: int | None, post_ids: Iterable[int]) -> set[int]:
    """Those of these posts that exist for the viewer."""
    found = cards.posts.get(post_ids)
    authors = visible_authors(viewer_id, {cards.author_of(card) for card in found.values()})
    return {post_id for post_id, card in found.items() if cards.author_of(card) in authors}


def visible_authors(
    viewer_id: int | None, author_ids: Collection[int], *, public_only: bool = False, unmuted_only: bool = False
) -> set[int]:
    """Those of these users whose posts exist for the viewer; two queries on the primary."""
    if not author_ids:
        return set()
    active = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=author_ids, is_active=True)
    if public_only:
        active = active.filter(is_private=False)
    authors = list(active.only("id", "is_active", "is_private"))
    if viewer_id is None:
        return {author.pk for author in authors if can_see_posts(None, author)}
    relations = relationship(viewer_id, author_ids)
    return {
        author.pk
        for author in authors
        if can_see_posts(viewer_id, author, relations[author.pk]) and not (unmuted_only and relations[author.pk].muting)
    }
