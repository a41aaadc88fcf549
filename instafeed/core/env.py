"""Read settings from the environment. An invalid value stops the start with one line that names the variable.

Every function takes the variable's name and a default, and returns a parsed value. An empty variable counts as unset.
`SettingError` is a `SystemExit`, so manage.py, gunicorn, Celery and pytest all end with its message instead of a
traceback. `KNOWN_VARIABLES` records each variable that was read. From it deploy/settings_reference.py writes
docs/configuration.md.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_RATE_PERIODS = ("second", "minute", "hour", "day")  # as in instafeed.core.api.rate_limits.PERIODS
_LIBPQ_TO_DJANGO = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
_ROOT = Path(__file__).resolve().parents[2]
_TEXT_KIND = "text"
_MAX_INTEGER = 2**31 - 1
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_VIRTUAL_HOST = ("/?[^/]*|//", "must end with a virtual host, as in amqp://user:password@host:5672/instafeed")
# What may follow the host in the URL of a broker of several servers, and the error.
_CLUSTER_BROKER_PATHS = {
    "amqp": _VIRTUAL_HOST,
    "amqps": _VIRTUAL_HOST,
    "sentinel": ("/?[0-9]*", "must end with a database number, as in sentinel://host:26379/0"),
}


@dataclass(frozen=True)
class Variable:
    """A variable as the reference shows it.

    `default` is written as in an .env file. None means that the variable is required, or computed from others.
    """

    name: str
    kind: str
    default: str | None


KNOWN_VARIABLES: dict[str, Variable] = {}
SET_ASIDE: set[str] = set()


class SettingError(SystemExit):
    """An invalid setting; str() is the line that the operator sees."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"instafeed: {name} {problem}")


def _read_variable(name: str, kind: str, default: str | None) -> str:
    """Return the raw value, empty if unset, and record the variable with the most specific kind it is read as."""
    if name not in KNOWN_VARIABLES or KNOWN_VARIABLES[name].kind == _TEXT_KIND:
        KNOWN_VARIABLES[name] = Variable(name, kind, default)
    return os.environ.get(name, "").strip()


def set_aside(name: str) -> None:
    """Remove a variable from the environment of this process. `is_set` still says whether it had a value."""
    if os.environ.pop(name, "").strip():
        SET_ASIDE.add(name)


def is_set_aside(name: str) -> bool:
    return name in SET_ASIDE


def is_set(name: str) -> bool:
    return is_set_aside(name) or bool(os.environ.get(name, "").strip())


def text(name: str, default: str = "") -> str:
    return _read_variable(name, _TEXT_KIND, default) or default


def path(name: str, default: Path) -> Path:
    """Return a path. The reference shows a default inside the project relative to it."""
    shown = default.relative_to(_ROOT) if default.is_relative_to(_ROOT) else default
    return Path(_read_variable(name, "path", str(shown)) or default)


def boolean(name: str, default: bool) -> bool:
    raw = _read_variable(name, "`true` or `false`", str(default).lower())
    if not raw:
        return default
    if raw.lower() in ("1", "true", "yes", "on"):
        return True
    if raw.lower() in ("0", "false", "no", "off"):
        return False
    raise SettingError(name, f"must be true or false, not {raw!r}")


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = _MAX_INTEGER, computed: bool = False) -> int:
    """Return a whole number. A `computed` default depends on the machine or other settings: the reference omits it."""
    bounds = f"from {minimum}" if maximum == _MAX_INTEGER else f"{minimum} to {maximum}"
    raw = _read_variable(name, f"whole number, {bounds}", None if computed else str(default))
    if not raw:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", raw):
        raise SettingError(name, f"must be a whole number, not {raw!r}")
    value = int(raw)
    if not minimum <= value <= maximum:
        raise SettingError(name, f"must be between {minimum} and {maximum}, not {value}")
    return value


def fraction(name: str, default: float) -> float:
    """Return a number from 0 to 1."""
    raw = _read_variable(name, "number, 0 to 1", f"{default:g}")
    if not raw:
        return default
    if not re.fullmatch(r"[01]|[01]?\.[0-9]{1,9}", raw) or float(raw) > 1:
        raise SettingError(name, f"must be a number from 0 to 1, not {raw!r}")
    return float(raw)


def string_list(name: str, default: str = "", *, of: str) -> list[str]:
    """Return the items of a comma-separated list, without empty ones."""
    raw = _read_variable(name, f"{of}, comma-separated", default) or default
    return [item.strip() for item in raw.split(",") if item.strip()]


def host_names(name: str, default: str) -> list[str]:
    """Return names as in ALLOWED_HOSTS: without scheme and port; `.example.org` for all subdomains, `*` for any."""
    names = string_list(name, default, of="host names")
    for raw in names:
        if not re.fullmatch(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", raw):
            raise SettingError(name, f"must be host names like example.org, without scheme and port, not {raw!r}")
    return names


def hosts_or_origins(name: str, default: str) -> list[str]:
    """Return host names such as example.org, and origins such as http://127.0.0.1:9000."""
    items = string_list(name, default, of="host names or origins")
    for raw in items:
        if not re.fullmatch(r"(https?://[a-z0-9.-]+(:[0-9]{1,5})?)|[a-z0-9-]+(\.[a-z0-9-]+)+", raw):
            raise SettingError(name, f"must be host names like example.org, or origins, in lower case, not {raw!r}")
    return items


def vapid_private_key(name: str) -> str:
    """Return a private key of the curve P-256, its 32 bytes as base64url; empty if unset."""
    raw = text(name).rstrip("=")
    if not raw:
        return ""
    try:
        key = urlsafe_b64decode(raw + "=" * (-len(raw) % 4)) if re.fullmatch(r"[A-Za-z0-9_-]+", raw) else b""
    except ValueError:
        key = b""
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < _P256_ORDER:
        raise SettingError(name, "must be a private key of P-256, 32 bytes as base64url: deploy/dotenv.py makes one")
    return raw


def secret_key(name: str) -> str:
    """Return a secret key that `check --deploy` accepts; empty if unset."""
    raw = text(name)
    if raw and _is_weak_key(raw):
        raise SettingError(name, "must be 50 random characters or more: `openssl rand -base64 48` makes a good one")
    return raw


def secret_keys(name: str) -> list[str]:
    """Return former secret keys."""
    keys = string_list(name, of="secret keys")
    if any(map(_is_weak_key, keys)):
        raise SettingError(name, "must be former values of SECRET_KEY, of 50 characters or more, comma-separated")
    return keys


def _is_weak_key(key: str) -> bool:
    return len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-")


def choice(name: str, default: str, allowed: tuple[str, ...], *, computed: bool = False) -> str:
    listed = ", ".join(f"`{value}`" for value in allowed)
    raw = _read_variable(name, listed, None if computed else default) or default
    if raw not in allowed:
        raise SettingError(name, f"must be one of {', '.join(allowed)}, not {raw!r}")
    return raw


def require(*names: str) -> None:
    """Raise SettingError for the first of `names` that is not set."""
    for name in names:
        if not text(name):
            raise SettingError(name, "must be set too")


def web_origin(name: str) -> str:
    """Return an origin such as `https://example.org`, without a trailing slash; empty if unset."""
    return _origin(name, raw) if (raw := _read_variable(name, "origin, as `https://example.org`", "")) else ""


def web_url(name: str) -> str:
    """Return a URL such as `https://stream.example.org/api/v1/stream`; empty if unset."""
    raw = _read_variable(name, "URL, as `https://example.org/api/v1/stream`", "") or ""
    if raw and not re.fullmatch(r"https?://[^/?#,\s]+/[^?#\s]*", raw):
        raise SettingError(name, f"must be like https://example.org/api/v1/stream, not {raw!r}")
    return raw


def web_origins(name: str) -> list[str]:
    """Return the origins of a comma-separated list."""
    return [_origin(name, raw) for raw in string_list(name, of="origins")]


def _origin(name: str, raw: str) -> str:
    if not re.fullmatch(r"https?://[^/?#,\s]+/?", raw):
        raise SettingError(name, f"must be like https://example.org, not {raw!r}")
    return raw.rstrip("/")


def mailbox(name: str) -> str:
    """Return an address with an optional name, such as `Example <noreply@example.org>`; empty if unset."""
    raw = _read_variable(name, "address, as `Example <noreply@example.org>`", "")
    address = parseaddr(raw)[1]
    if raw and ("\n" in raw or not re.fullmatch(r"[^@\s]+@[^@\s]+", address)):
        raise SettingError(name, f"must be like Example <noreply@example.org>, not {raw!r}")
    return raw


def link_template(name: str, default: str, placeholder: str = "{token}") -> str:
    """Return a URL in which `placeholder` stands for a value."""
    raw = _read_variable(name, f"URL with `{placeholder}`", None) or default
    if raw.count(placeholder) != 1 or not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*:\S+|/\S+", raw, re.IGNORECASE):
        raise SettingError(name, f"must be a URL with {placeholder}, as https://example.org/{placeholder}, not {raw!r}")
    return raw


def throttle_rate(name: str, default: str) -> str | None:
    """Return a rate as `N/second|minute|hour|day`; None for `off`."""
    raw = (_read_variable(name, "rate, as `100/minute`, or `off`", default) or default).lower()
    if raw == "off":
        return None
    if not re.fullmatch(rf"[1-9][0-9]{{0,8}}/({'|'.join(_RATE_PERIODS)})", raw):
        raise SettingError(name, f"must be N/{'|'.join(_RATE_PERIODS)} or off, not {raw!r}")
    return raw


def postgres_database(name: str, url: str) -> dict[str, Any]:
    """Convert `postgresql://user:password@host:port/name?option=…` to an entry of Django's DATABASES."""
    _read_variable(name, "`postgresql://` URL", None)
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


def is_cluster_url(url: str) -> bool:
    """Return whether this is the URL of a Redis Cluster."""
    return url.partition("://")[0] in ("redis+cluster", "rediss+cluster")


def cache_url(name: str, default: str) -> str:
    """Return a URL of one Redis as `redis_url`, or of a cluster: redis+cluster://:password@host:port,host:port."""
    url = _read_variable(name, "`redis://` or `redis+cluster://` URL", None) or default
    if not is_cluster_url(url):
        _check_redis_url(name, url)
        return url
    for server in url.partition("://")[2].rpartition("@")[2].split(","):
        _check_redis_url(name, f"redis://{server}")
        if "/" in server:
            raise SettingError(name, "names a database, but a Redis Cluster has only one")
    return url


def redis_url(name: str, default: str) -> str:
    """Return a redis:// URL. Its parts are checked, so a typing error shows at the start, not at the first read."""
    url = _read_variable(name, "`redis://` URL", None) or default
    _check_redis_url(name, url)
    return url


def _check_redis_url(name: str, url: str) -> None:
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


def broker_url(name: str, default: str) -> str:
    """Return the URL of a Redis, of sentinels, or of a RabbitMQ. The last two may be several, separated by `;`."""
    url = _read_variable(name, "`redis://`, `sentinel://` or `amqp://` URL", None) or default
    scheme = url.partition("://")[0]
    if scheme not in ("redis", "rediss", *_CLUSTER_BROKER_PATHS):  # Celery does not know unix://
        raise SettingError(name, "must be a redis://, rediss://, sentinel://, amqp:// or amqps:// URL")
    if scheme not in _CLUSTER_BROKER_PATHS:
        return redis_url(name, default)
    for part in url.split(";"):
        try:
            parts = urlsplit(part)
            port = parts.port
        except ValueError as error:
            raise SettingError(name, f"is not a valid {scheme}:// URL: {error}") from None
        if parts.scheme != scheme:
            raise SettingError(name, f"must have {scheme}:// in front of each address, with ; between them")
        if not parts.hostname or port == 0:
            raise SettingError(name, f"names no host, as in {scheme}://host")
        pattern, problem = _CLUSTER_BROKER_PATHS[scheme]
        if not re.fullmatch(pattern, parts.path):
            raise SettingError(name, problem)
    return url
