"""Usernames and passwords of the demo network, which `seed_demo` creates and `manage.py stack` prints."""

from __future__ import annotations

import functools

import psycopg
from django.contrib.auth.hashers import check_password

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo-password-1"  # noqa: S105 - public by design, valid on a seeded demo stack only
ADMIN_USERNAME = "admin"
ADMIN_PASSWORD = "admin-password-1"  # noqa: S105 - for all staff
_SELECT_HASHES = """
SELECT username, password FROM accounts_user
WHERE is_active AND username = ANY(%s) AND (is_staff OR username <> ALL(%s))
AND NOT EXISTS (SELECT FROM accounts_secondfactor WHERE user_id = accounts_user.id AND confirmed)
"""
# {username: group, or None for the superuser}
STAFF = {ADMIN_USERNAME: None, "moderator": "Moderator", "operator": "Operator"}


def usable_names(connection: psycopg.Connection) -> list[str]:
    """Return the names of the demo user and the staff who can sign in with the demo's password alone.

    Staff may have existed before the demo network, and every password can be changed.
    """
    passwords = {DEMO_USERNAME: DEMO_PASSWORD} | dict.fromkeys(STAFF, ADMIN_PASSWORD)
    hashes: dict[str, str] = dict(connection.execute(_SELECT_HASHES, [list(passwords), list(STAFF)]).fetchall())
    check = functools.cache(check_password)  # slow by design, and the demo's staff share one hash
    return [name for name, password in passwords.items() if name in hashes and check(password, hashes[name])]
