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
    text = clean_text(user_agent)
    if not text.startswith("Mozilla/"):
        return text
    browser, system = _find(_BROWSERS, text), _find(_SYSTEMS, text)
    return " on ".join(name for name in (browser, system) if name) or text


def clean_text(text: str) -> str:
    """Return at most MAX_CLIENT_LENGTH characters without control and format characters and repeated spaces."""
    text = text[: 10 * MAX_CLIENT_LENGTH]
    visible = "".join(" " if category(character)[0] in "CZ" else character for character in text)
    return re.sub(" +", " ", visible).strip()[:MAX_CLIENT_LENGTH].strip()


def _find(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in names if mark in text), "")
