"""The marker of a seeded database: a comment on the user table with the recipe, which commits with the data."""

from __future__ import annotations

from django.db import connection

from accounts.models import User
from feeds import visible_authors
from instafeed.core.cache.invalidation import invalidate
from instafeed.demo.network import Recipe

_TABLE = User._meta.db_table
_COMMENT_PREFIX = "seed_demo "


class SeedingRefused(Exception):
    """This database cannot be seeded. Its text is one line for the operator."""


def is_already_seeded(recipe: Recipe) -> bool:
    """Return whether the database holds this network. Raises SeedingRefused if it holds other users."""
    if not User.objects.exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regclass)", [_TABLE])
        comment = cursor.fetchone()[0] or ""
    if not comment.startswith(_COMMENT_PREFIX):
        raise SeedingRefused("the database already has users; seed_demo only fills an empty one")
    if comment != _COMMENT_PREFIX + str(recipe):
        raise SeedingRefused(f"the database already holds the demo of {comment.removeprefix(_COMMENT_PREFIX)}")
    return True


def lock_user_table() -> None:
    """Prevent registrations, imports and other seedings until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {_TABLE} IN SHARE ROW EXCLUSIVE MODE")


def write_marker(recipe: Recipe) -> None:
    """Store the recipe and invalidate the cached celebrities. Must run in the loader's transaction."""
    with connection.cursor() as cursor:
        # DDL takes no parameters; the recipe consists of names and whole numbers only.
        cursor.execute(f"COMMENT ON TABLE {_TABLE} IS '{_COMMENT_PREFIX}{recipe}'")
    invalidate(visible_authors.CELEBRITY_CACHE_KEYS)
