"""What a session stores of the client that uses it: a readable name and an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import category

from django.http import HttpRequest
from rest_framework.request import Request

from instafeed.core.api.throttling import client_address

MAX_CLIENT_LENGTH = 100  # characters
# The first that a User-Agent contains: browsers name the engines that they are compatible with too.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox")),
    *(("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari")),
)
_SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("CrOS", "ChromeOS"), ("Macintosh", "macOS"), ("Linux", "Linux")),
)


@dataclass(frozen=True)
class ClientInfo:
    """The client of a sign-in or a refresh. Empty where there is no request, as in commands."""

    name: str = ""
    address: str = ""


def read_client_info(request: Request | HttpRequest) -> ClientInfo:
    """Return the client's name, made from its User-Agent, and the address that its requests are counted by."""
    return ClientInfo(describe_user_agent(request.META.get("HTTP_USER_AGENT", "")), client_address(request))


def describe_user_agent(user_agent: str) -> str:
    """Return a short readable text: "Firefox on Windows" for browsers, the beginning of the text for other clients."""
    text = _clean(user_agent)
    if text.startswith("Mozilla/"):
        names = (_find(_BROWSERS, text), _find(_SYSTEMS, text))
        text = " on ".join(name for name in names if name) or text
    return text[:MAX_CLIENT_LENGTH].strip()


def _clean(text: str) -> str:
    """Replace control and format characters and runs of spaces by one space each."""
    text = text[: 10 * MAX_CLIENT_LENGTH]
    return re.sub(" +", " ", "".join(" " if category(char)[0] in "CZ" else char for char in text)).strip()


def _find(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in names if mark in text), "")
