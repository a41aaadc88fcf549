"""Which databases may be seeded, and the marker of a seeded one: a comment on the user table with the recipe.

The marker commits with the data. Only staff may be there before, such as the administrator of a new site.
"""

from __future__ import annotations

from django.db import connection

from accounts.models import User
from feeds import visible_authors
from instafeed.core.cache.invalidation import invalidate
from instafeed.demo import accounts
from instafeed.demo.network import Recipe
from posts.models import Post
from social.models import Follow

_TABLE = User._meta.db_table
_COMMENT_PREFIX = "seed_demo "


class SeedingRefused(Exception):
    """This database cannot be seeded. Its text is one line for the operator."""


def is_already_seeded(recipe: Recipe) -> bool:
    """Return whether the database holds this network. Raises SeedingRefused if it holds other users than staff."""
    if not User.objects.exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regclass)", [_TABLE])
        comment = cursor.fetchone()[0] or ""
    if not comment.startswith(_COMMENT_PREFIX):
        _require_staff_only(recipe)
        return False
    if comment != _COMMENT_PREFIX + str(recipe):
        raise SeedingRefused(f"the database already holds the demo of {comment.removeprefix(_COMMENT_PREFIX)}")
    return True


def _require_staff_only(recipe: Recipe) -> None:
    """Raise SeedingRefused unless the accounts are staff's, who have done nothing and leave the demo's names free."""
    if User.objects.filter(is_staff=False).exists() or Post.objects.exists() or Follow.objects.exists():
        raise SeedingRefused("the database already has users; seed_demo only fills one that is empty except for staff")
    staff = accounts.missing_staff()
    taken = {name for name in User.objects.values_list("username", flat=True) if accounts.is_demo_name(name, recipe)}
    if taken or User.objects.filter(email__in=[accounts.email_of(name) for name in accounts.sign_in_names(staff)]):
        name = min(taken, default="an account")
        raise SeedingRefused(f"{name} has the name or the email address of a demo account")


def lock_user_table() -> None:
    """Prevent registrations, imports and other seedings until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {_TABLE} IN SHARE ROW EXCLUSIVE MODE")


def write_marker(recipe: Recipe) -> None:
    """Store the recipe and invalidate the cached celebrities. Must run in the loader's transaction."""
    with connection.cursor() as cursor:
        # DDL takes no parameters; the recipe consists of names and whole numbers only.
        cursor.execute(f"COMMENT ON TABLE {_TABLE} IS '{_COMMENT_PREFIX}{recipe}'")
    invalidate(visible_authors.celebrity_cache_keys())
