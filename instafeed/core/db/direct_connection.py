"""Connections to PostgreSQL itself, for commands that need a database session of their own.

DATABASE_URL may lead to PgBouncer in transaction mode, where each transaction may run in another session: a session's
advisory locks and settings are lost, and would be found by other clients. DATABASE_DIRECT_URL is the way around it.
"""

from __future__ import annotations

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

_SETTINGS = ("HOST", "PORT", "USER", "PASSWORD", "NAME", "OPTIONS", "DISABLE_SERVER_SIDE_CURSORS")


def bypass_pooler() -> None:
    """Have this process connect to DATABASE_DIRECT_URL from now on. Without that setting do nothing."""
    if settings.DIRECT_DATABASE is None:
        return
    connection = connections[DEFAULT_DB_ALIAS]
    connection.close()
    connection.settings_dict.update({name: settings.DIRECT_DATABASE.get(name, "") for name in _SETTINGS})
