"""Reading posts: which ones exist for whom."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404

from accounts.models import User
from instafeed.ids import MAX_ID, moment_of
from instafeed.replicas import session
from posts import cards
from posts.models import Post
from social.selectors import annotated, relationship_on
from social.visibility import can_see_posts


def visible_post(viewer_id: int | None, post_id: int) -> tuple[int, bytes]:
    """The post's author and its JSON; Http404 for whatever does not exist for this viewer."""
    card = cards.posts.get([post_id]).get(post_id)
    if card is None:
        raise Http404
    author_id = cards.author_of(card)
    authors = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=author_id)
    author = (authors if viewer_id is None else annotated(authors, viewer_id)).first()
    relation = None if author is None or viewer_id is None else relationship_on(author)
    if author is None or not can_see_posts(viewer_id, author, relation):
        raise Http404
    shown = cards.composed([post_id])
    if not shown:
        raise Http404
    return author_id, shown[0][1]


def ids_by_author(author_id: int, before: int | None, wanted: int) -> tuple[list[int], bool]:
    """The author's next `wanted` post ids below the cursor, newest first, and whether these are the last."""
    posts = Post.objects.filter(author_id=author_id, hidden_at=None)
    if before is None:
        ids = list(posts.order_by("-pk").values_list("pk", flat=True)[:wanted])
    else:
        # The page before may have come from a server that was ahead of this one: no hole between them.
        with session.reading_before(moment_of(min(before, MAX_ID))):
            ids = list(posts.filter(pk__lt=before).order_by("-pk").values_list("pk", flat=True)[:wanted])
    return ids, len(ids) < wanted
