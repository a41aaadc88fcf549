"""Access decisions about users: which users a viewer may see, and whose posts.

A user whom the viewer may not see raises Http404, like a user who does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts import former_usernames
from accounts.follower_counts import with_pending_counts
from accounts.models import USERNAME_PATTERN, User
from social.selectors import Relationship, annotate_relationship, fetch_relationships, read_annotated_relationship


class UserRenamed(Exception):
    """The name in the path is a former one of a visible user. The present name is `username`."""

    def __init__(self, username: str) -> None:
        super().__init__(username)
        self.username = username


# Functions of two user ids that return whether the second has written to the first.
_contact_checks: list[Callable[[int, int], bool]] = []


def register_contact_check(has_contacted: Callable[[int, int], bool]) -> None:
    """Let an app above tell who has written to a user. See `get_reachable_user`."""
    _contact_checks.append(has_contacted)


def get_visible_user(viewer_id: int | None, username: str) -> User:
    """Return the active user with that username, in any case.

    Raises Http404 if there is none or if they block the viewer.
    """
    return _require_visible(*_get_user_and_relationship(viewer_id, username, _query_active()))[0]


def get_visible_user_and_relationship(viewer_id: int | None, username: str) -> tuple[User, Relationship | None]:
    """Return `get_visible_user` and the viewer's relationship to them in one query.

    The relationship is None for anonymous viewers and for the viewer's own account. The user carries what
    `accounts.follower_counts.get_exact_counts` needs. Raises UserRenamed if the name is a former one of a user whom
    the viewer may see.
    """
    try:
        found = _get_user_and_relationship(viewer_id, username, with_pending_counts(_query_active()))
    except Http404:
        raise UserRenamed(_get_renamed_user(viewer_id, username).username) from None
    return _require_visible(*found)


def _get_renamed_user(viewer_id: int | None, former_username: str) -> User:
    """Return the user to whom a former name is reserved, by the rule of `get_visible_user`. Raises Http404."""
    if not _is_username(former_username):
        raise Http404
    users = former_usernames.query_users(former_username.lower()).filter(is_active=True)
    return _require_visible(*_get_with_relationship(viewer_id, users))[0]


def _require_visible(user: User, relationship: Relationship | None) -> tuple[User, Relationship | None]:
    if relationship is not None and relationship.blocked_by:
        raise Http404
    return user, relationship


def _query_active() -> QuerySet[User]:
    return User.objects.filter(is_active=True)


def get_user_to_withdraw_from(viewer_id: int, username: str, relations: Collection[str]) -> User:
    """Return a user whom the viewer sees or to whom they have one of `relations`, fields of `Relationship`.

    What a viewer made can be taken back although the other is suspended or blocks them. All others raise Http404, in
    the same query.
    """
    existing = User.objects.filter(deleted_at=None)
    user, relationship = _get_user_and_relationship(viewer_id, username, existing)
    if relationship is None or any(getattr(relationship, relation) for relation in relations):
        return user
    if not user.is_active or relationship.blocked_by:
        raise Http404
    return user


def get_reachable_user(viewer_id: int, username: str) -> User:
    """Return a user whom the viewer may block: one whom they see, or who blocks them after a contact.

    Someone who writes to a user and then blocks them can be blocked and reported. Raises Http404.
    """
    active = User.objects.filter(is_active=True)
    user, relationship = _get_user_and_relationship(viewer_id, username, active)
    _require_reachable(viewer_id, user, relationship)
    return user


def get_reachable_user_by_id(viewer_id: int, user_id: int) -> User:
    """Return a user whom the viewer may report, by the rule of `get_reachable_user`. Raises Http404."""
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id, is_active=True)
    user = get_object_or_404(annotate_relationship(users, viewer_id))
    _require_reachable(viewer_id, user, read_annotated_relationship(user))
    return user


def _require_reachable(viewer_id: int, user: User, relationship: Relationship | None) -> None:
    if relationship is None or not relationship.blocked_by:
        return
    if not any(has_contacted(viewer_id, user.pk) for has_contacted in _contact_checks):
        raise Http404


def _get_user_and_relationship(
    viewer_id: int | None, username: str, users: QuerySet[User]
) -> tuple[User, Relationship | None]:
    """Return the user with that username, in any case, on the primary. Raises Http404 if there is none."""
    if not _is_username(username):
        raise Http404
    return _get_with_relationship(viewer_id, users.using(DEFAULT_DB_ALIAS).filter(username=username.lower()))


def _is_username(text: str) -> bool:
    """Keep NUL characters away from PostgreSQL. Call it before lowering: the Kelvin sign's lower case is an ASCII k."""
    return re.match(USERNAME_PATTERN, text, re.IGNORECASE | re.ASCII) is not None


def _get_with_relationship(viewer_id: int | None, users: QuerySet[User]) -> tuple[User, Relationship | None]:
    """Return the only one of `users` and the viewer's relationship to them. Raises Http404 if there is none."""
    user = get_object_or_404(users if viewer_id is None else annotate_relationship(users, viewer_id))
    if viewer_id is None or user.pk == viewer_id:
        return user, None
    return user, read_annotated_relationship(user)


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
