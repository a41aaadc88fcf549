"""The type of the responses of Django's test client, which has no public name."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any, Protocol


class ClientResponse(Protocol):
    status_code: int
    content: bytes
    cookies: SimpleCookie

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def context(self) -> Any: ...

    def __getitem__(self, header: str) -> str: ...

    def json(self) -> Any: ...

    def getvalue(self) -> bytes: ...
