"""EMAIL_URL, parsed to Django's mail settings. A wrong URL stops the start with one line.

| URL | what it means |
| --- | --- |
| empty | mail is off: nothing is queued |
| `console:` | print mails on standard output, tokens included; for development |
| `file:/directory` | write each mail to a file |
| `smtp://user:password@host:587` | a server with STARTTLS; `?tls=off` without |
| `smtps://user:password@host:465` | a server with TLS from the start |
| `postmark:?server_token=…` | a provider of django-anymail; the options are its settings |
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from instafeed.core import env

VARIABLE = "EMAIL_URL"
TIMEOUT = 10  # seconds for each step of a conversation with a mail server
_BACKENDS = "instafeed.core.mail.backends"
_LOCAL_SCHEMES = ("console", "file")


def parse(url: str) -> dict[str, Any]:
    """Return Django's settings that EMAIL_URL stands for. Raises SettingError."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        settings = _parse_parts(parts, options)
    except ValueError as error:
        raise env.SettingError(VARIABLE, f"is not a valid URL: {error}") from None
    return {"EMAIL_TIMEOUT": TIMEOUT, **settings}


def reaches_people(url: str) -> bool:
    """Return whether mails leave this machine, so that their sender and links must be right."""
    return bool(url) and urlsplit(url).scheme not in _LOCAL_SCHEMES


def _parse_parts(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    if parts.scheme == "file":
        return _file_settings(parts)
    if parts.scheme in ("smtp", "smtps"):
        return _smtp_settings(parts, options)
    return _provider_settings(parts, options)


def _file_settings(parts: SplitResult) -> dict[str, Any]:
    directory = Path(unquote(parts.path))
    if parts.netloc or not directory.is_absolute():
        raise env.SettingError(VARIABLE, "must name a directory from the root on, as in file:/var/mail")
    return {"EMAIL_BACKEND": f"{_BACKENDS}.FileBackend", "EMAIL_FILE_PATH": str(directory)}


def _smtp_settings(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    tls = options.pop("tls", "on")
    if options or tls not in ("on", "off") or (parts.scheme == "smtps" and tls == "off"):
        raise env.SettingError(VARIABLE, "has an unknown option: smtp:// knows tls=on and tls=off")
    if not parts.hostname or parts.path.strip("/"):
        raise env.SettingError(VARIABLE, "must be like smtp://user:password@mail.example.org:587")
    is_implicit = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": f"{_BACKENDS}.SmtpBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if is_implicit else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": is_implicit,
        "EMAIL_USE_TLS": not is_implicit and tls == "on",
    }


def _provider_settings(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    name = parts.scheme.replace("-", "_")
    if not name.isidentifier():
        raise env.SettingError(VARIABLE, "must begin with a scheme, such as smtp:// or file:")
    if find_spec("anymail") is None:
        raise env.SettingError(
            VARIABLE, f"has the scheme {parts.scheme}, which needs the extra `mail` (django-anymail)"
        )
    if find_spec(f"anymail.backends.{name}") is None:
        raise env.SettingError(VARIABLE, f"names {parts.scheme}, a provider that django-anymail does not know")
    if parts.netloc or parts.path:
        raise env.SettingError(VARIABLE, f"must be like {parts.scheme}:?api_key=…, with the provider's settings only")
    return {
        "EMAIL_BACKEND": f"anymail.backends.{name}.EmailBackend",
        "ANYMAIL": {f"{name}_{option}".upper(): value for option, value in options.items()}
        | {"REQUESTS_TIMEOUT": TIMEOUT},
    }
