"""Sessions of the admin, in the database. Names that no session can have are refused before they reach it."""

from __future__ import annotations

import re

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

_KEY = re.compile("[0-9a-z]{32}")  # as Django creates them


class SessionStore(DatabaseStore):
    """Ignores cookies that are no session key: PostgreSQL refuses a NUL character, and the request would be a 500."""

    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and _KEY.fullmatch(key) is not None
