"""Access decisions about users: which users a viewer may see, and whose posts.

A user whom the viewer may not see raises Http404, like a user who does not exist.
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
    """Return the active user with that username, in any case.

    Raises Http404 if there is none or if they block the viewer.
    """
    return get_visible_user_and_relationship(viewer_id, username)[0]


def get_visible_user_and_relationship(viewer_id: int | None, username: str) -> tuple[User, Relationship | None]:
    """Return `get_visible_user` and the viewer's relationship to them in one query.

    The relationship is None for anonymous viewers and for the viewer's own account. The user carries what
    `accounts.follower_counts.get_exact_counts` needs.
    """
    name = username.lower()
    if not re.match(USERNAME_PATTERN, name):  # keeps NUL characters away from PostgreSQL
        raise Http404
    users = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS).filter(username=name, is_active=True))
    user = get_object_or_404(users if viewer_id is None else annotate_relationship(users, viewer_id))
    if viewer_id is None or user.pk == viewer_id:
        return user, None
    relationship = read_annotated_relationship(user)
    if relationship.blocked_by:
        raise Http404
    return user, relationship


def get_visible_user_by_id(viewer_id: int, user_id: int) -> User:
    """Return the active user with that id. Raises Http404 if there is none or they block the viewer."""
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id, is_active=True)
    user = get_object_or_404(annotate_relationship(users, viewer_id))
    if read_annotated_relationship(user).blocked_by:
        raise Http404
    return user


def can_see_posts(viewer_id: int | None, author: User, relationship: Relationship | None = None) -> bool:
    """Return whether the viewer may see the author's posts: no block either way, and followed if private.

    Pass `relationship` to save the query if it has just been read.
    """
    if not author.is_active:
        return False
    if viewer_id is None:
        return not author.is_private
    if viewer_id == author.pk:
        return True
    relationship = relationship or fetch_relationships(viewer_id, [author.pk])[author.pk]
    return relationship.can_view_posts(author.is_private)
