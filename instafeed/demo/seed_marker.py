"""Whether a database was seeded, and with what: a comment on the user table, which commits with the data."""

from __future__ import annotations

from django.db import connection

from accounts.models import User
from feeds import visible_authors
from instafeed.core.cache.invalidation import invalidate
from instafeed.demo.network import Recipe

_TABLE = User._meta.db_table
_COMMENT_PREFIX = "seed_demo "


class SeedingRefused(Exception):
    """Why this database is not seeded; str() is the one line that an operator reads."""


def is_already_seeded(recipe: Recipe) -> bool:
    """Whether this very network is there. Raises Refused when something else is."""
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
    """Keep everybody else from registering, importing and seeding until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {_TABLE} IN SHARE ROW EXCLUSIVE MODE")


def write_marker(recipe: Recipe) -> None:
    """Note the recipe, and let no cache believe that there are no celebrities; belongs in the transaction."""
    with connection.cursor() as cursor:
        # The recipe is made of names and whole numbers; DDL takes no parameters.
        cursor.execute(f"COMMENT ON TABLE {_TABLE} IS '{_COMMENT_PREFIX}{recipe}'")
    invalidate(visible_authors.CELEBRITY_CACHE_KEYS)
