"""Whom a viewer may see, and whose posts: every access decision about users is made here.

What a viewer may not see does not exist for them, so the answer is Http404.
"""

from __future__ import annotations

import re

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.follower_counts import with_pending_counts
from accounts.models import USERNAME_PATTERN, User
from social.selectors import Relationship, annotate_relationship, fetch_relationships, read_annotated_relationship


def get_visible_user(viewer_id: int | None, username: str) -> User:
    """The active user of that name (in any case), unless they blocked the viewer; Http404 otherwise."""
    return get_visible_user_and_relationship(viewer_id, username)[0]


def get_visible_user_and_relationship(viewer_id: int | None, username: str) -> tuple[User, Relationship | None]:
    """`get_visible_user` and what the viewer is to them (None for the anonymous and for oneself); one query.

    The user comes with what `accounts.follower_counts.get_exact_counts` needs.
    """
    name = username.lower()
    if not re.match(USERNAME_PATTERN, name):  # NUL and the like never reach PostgreSQL
        raise Http404
    users = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS).filter(username=name, is_active=True))
    user = get_object_or_404(users if viewer_id is None else annotate_relationship(users, viewer_id))
    if viewer_id is None or user.pk == viewer_id:
        return user, None
    relation = read_annotated_relationship(user)
    if relation.blocked_by:
        raise Http404
    return user, relation


def get_visible_user_by_id(viewer_id: int, user_id: int) -> User:
    """The active user of that id, unless they blocked the viewer; Http404 otherwise."""
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id, is_active=True)
    user = get_object_or_404(annotate_relationship(users, viewer_id))
    if read_annotated_relationship(user).blocked_by:
        raise Http404
    return user


def can_see_posts(viewer_id: int | None, author: User, relation: Relationship | None = None) -> bool:
    """Whether the author's posts exist for the viewer: no block either way, and followed if private.

    `relation` saves the query when the caller has just read it.
    """
    if not author.is_active:
        return False
    if viewer_id is None:
        return not author.is_private
    if viewer_id == author.pk:
        return True
    relation = relation or fetch_relationships(viewer_id, [author.pk])[author.pk]
    return relation.can_view_posts(author.is_private)
