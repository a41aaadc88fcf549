"""Which URLs messages are sent to. Users choose them, and the worker stands behind the firewall."""

from __future__ import annotations

import re

from django.conf import settings

MAX_ENDPOINT_LENGTH = 1024  # characters; the column's
# Host in lower case, as browsers write it. Without user, fragment, backslash or anything else that URL parsers read
# in different ways.
_ENDPOINT = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?P<port>:[0-9]{1,5})?)"
    r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*"
)


def is_allowed(endpoint: str) -> bool:
    """Return whether messages may be sent to the URL.

    An item of PUSH_SERVICES is the host of a push service, whose subdomains are allowed too, over HTTPS and on its
    usual port; or an origin, which is allowed exactly as written.
    """
    parts = _ENDPOINT.fullmatch(endpoint)
    if parts is None or len(endpoint) > MAX_ENDPOINT_LENGTH:
        return False
    is_usual = parts["scheme"] == "https" and parts["port"] is None
    return parts["origin"] in settings.PUSH_SERVICES or (
        is_usual and any(f".{parts['host']}".endswith(f".{service}") for service in settings.PUSH_SERVICES)
    )


def origin_of(endpoint: str) -> str:
    """Return the origin of an allowed endpoint, such as `https://push.example.org`."""
    parts = _ENDPOINT.fullmatch(endpoint)
    assert parts is not None
    return parts["origin"]
