"""Whom a viewer may see, and whose posts: every access decision about users is made here.

What a viewer may not see does not exist for them, so the answer is Http404.
"""

from __future__ import annotations

import re

from django.db import DEFAULT_DB_ALIAS
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.counts import counted
from accounts.models import USERNAME_PATTERN, User
from social.selectors import Relationship, annotated, relationship, relationship_on


def visible_user(viewer_id: int | None, username: str) -> User:
    """The active user of that name (in any case), unless they blocked the viewer; Http404 otherwise."""
    return visible_user_and_relationship(viewer_id, username)[0]


def visible_user_and_relationship(viewer_id: int | None, username: str) -> tuple[User, Relationship | None]:
    """`visible_user` and what the viewer is to them (None for the anonymous and for oneself); one query.

    The user comes with what `accounts.counts.counts_of` needs.
    """
    name = username.lower()
    if not re.match(USERNAME_PATTERN, name):  # NUL and the like never reach PostgreSQL
        raise Http404
    users = counted(User.objects.using(DEFAULT_DB_ALIAS).filter(username=name, is_active=True))
    user = get_object_or_404(users if viewer_id is None else annotated(users, viewer_id))
    if viewer_id is None or user.pk == viewer_id:
        return user, None
    relation = relationship_on(user)
    if relation.blocked_by:
        raise Http404
    return user, relation


def visible_user_by_id(viewer_id: int, user_id: int) -> User:
    """The active user of that id, unless they blocked the viewer; Http404 otherwise."""
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id, is_active=True)
    user = get_object_or_404(annotated(users, viewer_id))
    if relationship_on(user).blocked_by:
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
    relation = relation or relationship(viewer_id, [author.pk])[author.pk]
    return relation.shows_posts(author.is_private)
