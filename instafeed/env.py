"""Reading settings from the environment: a wrong value stops the start with one line that names it.

Every helper takes the variable's name and a default, and returns a parsed value. `SettingError` is a
`SystemExit`, so that manage.py, gunicorn, Celery and pytest alike end with its message instead of a
traceback.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_PERIODS = ("second", "minute", "hour", "day")
_LIBPQ_TO_DJANGO = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


class SettingError(SystemExit):
    """A setting that cannot be used; str() is the one line that an operator reads."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"instafeed: {name} {problem}")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def boolean(name: str, default: bool) -> bool:
    raw = text(name)
    if not raw:
        return default
    if raw.lower() in ("1", "true", "yes", "on"):
        return True
    if raw.lower() in ("0", "false", "no", "off"):
        return False
    raise SettingError(name, f"must be true or false, not {raw!r}")


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    raw = text(name)
    if not raw:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", raw):
        raise SettingError(name, f"must be a whole number, not {raw!r}")
    value = int(raw)
    if not minimum <= value <= maximum:
        raise SettingError(name, f"must be between {minimum} and {maximum}, not {value}")
    return value


def share(name: str, default: float) -> float:
    """A number from 0 to 1."""
    raw = text(name)
    if not raw:
        return default
    if not re.fullmatch(r"[01]|[01]?\.[0-9]{1,9}", raw) or float(raw) > 1:
        raise SettingError(name, f"must be a number from 0 to 1, not {raw!r}")
    return float(raw)


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; empty items are dropped."""
    return [item.strip() for item in (text(name) or default).split(",") if item.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    raw = text(name) or default
    if raw not in allowed:
        raise SettingError(name, f"must be one of {', '.join(allowed)}, not {raw!r}")
    return raw


def require(*names: str) -> None:
    """All of these must be set, where one of them is."""
    for name in names:
        if not text(name):
            raise SettingError(name, "must be set too")


def web_origin(name: str) -> str:
    """`https://example.org`, without a trailing slash; empty when unset."""
    return next(iter(web_origins(name)), "")


def web_origins(name: str) -> list[str]:
    """A comma-separated list of these."""
    origins = words(name)
    for raw in origins:
        if not re.fullmatch(r"https?://[^/?#\s]+/?", raw):
            raise SettingError(name, f"must be like https://example.org, not {raw!r}")
    return [raw.rstrip("/") for raw in origins]


def rate(name: str, default: str) -> str | None:
    """A throttle as `N/second|minute|hour|day`; `off` gives None."""
    raw = (text(name) or default).lower()
    if raw == "off":
        return None
    if not re.fullmatch(rf"[1-9][0-9]{{0,8}}/({'|'.join(_PERIODS)})", raw):
        raise SettingError(name, f"must be N/{'|'.join(_PERIODS)} or off, not {raw!r}")
    return raw


def postgres(name: str, url: str) -> dict[str, Any]:
    """`postgresql://user:password@host:port/name?option=…` as one entry of Django's DATABASES."""
    if not url.startswith(("postgres://", "postgresql://")):
        raise SettingError(name, "must be a postgresql:// URL")
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise SettingError(name, f"is not a valid postgresql:// URL: {str(error).strip()}") from None
    database: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}
    for key, value in parts.items():
        target = _LIBPQ_TO_DJANGO.get(key)
        if target:
            database[target] = str(value)
        else:
            database["OPTIONS"][key] = value
    port = database.get("PORT") or "5432"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise SettingError(name, f"has no valid port: {port}")
    if not database.get("NAME"):
        raise SettingError(name, "names no database, as in postgresql://host:5432/instafeed")
    return database


def redis(name: str, default: str) -> str:
    """A redis:// URL, checked by its parts so that a typing error shows at the start, not at the first read."""
    url = text(name, default)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingError(name, f"is not a valid Redis URL: {error}") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise SettingError(name, "must be a redis://, rediss:// or unix:// URL")
    if parts.scheme != "unix":
        if not parts.hostname or port == 0:
            raise SettingError(name, "names no host, as in redis://localhost:6379/0")
        if not re.fullmatch(r"/?[0-9]*", unquote(parts.path)):
            raise SettingError(name, "must end with a database number, as in redis://localhost:6379/0")
    return url
