"""Whether a database was seeded, and with what: a comment on the user table, which commits with the data."""

from __future__ import annotations

from django.db import connection

from accounts.models import User
from feeds import sources
from feeds.demo.network import Recipe
from instafeed.invalidation import invalidate

_TABLE = User._meta.db_table
_MARK = "seed_demo "


class Refused(Exception):
    """Why this database is not seeded; str() is the one line that an operator reads."""


def already_seeded(recipe: Recipe) -> bool:
    """Whether this very network is there. Raises Refused when something else is."""
    if not User.objects.exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(%s::regclass)", [_TABLE])
        comment = cursor.fetchone()[0] or ""
    if not comment.startswith(_MARK):
        raise Refused("the database already has users; seed_demo only fills an empty one")
    if comment != _MARK + str(recipe):
        raise Refused(f"the database already holds the demo of {comment.removeprefix(_MARK)}")
    return True


def lock_users() -> None:
    """Keep everybody else from registering, importing and seeding until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {_TABLE} IN SHARE ROW EXCLUSIVE MODE")


def leave(recipe: Recipe) -> None:
    """Note the recipe, and let no cache believe that there are no celebrities; belongs in the transaction."""
    with connection.cursor() as cursor:
        # The recipe is made of names and whole numbers; DDL takes no parameters.
        cursor.execute(f"COMMENT ON TABLE {_TABLE} IS '{_MARK}{recipe}'")
    invalidate(sources.CELEBRITY_KEYS)
