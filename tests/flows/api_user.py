"""People who use a running stack over HTTP."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Protocol

import httpx

_number = itertools.count(1)
PASSWORD = "a long enough secret"


class Site(Protocol):
    """Something that answers at a URL; `client` is an httpx client on it."""

    base_url: str
    client: httpx.Client


class ApiUser:
    """A registered user with a token."""

    def __init__(self, stack: Site, username: str | None = None) -> None:
        self.stack = stack
        self.username = username or f"actor{time.time_ns() % 10**9}_{next(_number)}"
        form = self.credentials | {"email": f"{self.username}@example.com"}
        answer = stack.client.post("/api/v1/auth/register", json=form)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["user"]["id"]
        self.headers = {"Authorization": f"Bearer {answer.json()['access']}"}

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.username, "password": PASSWORD}

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = path if path.startswith("http") else f"/api/v1{path}"
        return self.stack.client.request(method, url, headers=self.headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def write(self, caption: str = "hello") -> str:
        answer = self.call("POST", "/posts", json={"caption": caption})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def follow(self, other: ApiUser) -> None:
        assert self.call("POST", f"/users/{other.username}/follow").status_code == 200

    def feed(self, limit: int = 100) -> list[str]:
        """The whole feed, page after page."""
        shown, url = [], f"/feed?limit={limit}"
        while url:
            page = self.get(url)
            shown += [post["id"] for post in page["results"]]
            url = page["next"]
        return shown

    def posts_of(self, other: ApiUser) -> list[str]:
        return [post["id"] for post in self.get(f"/users/{other.username}/posts")["results"]]


def eventually(holds: Callable[[], object], seconds: float = 10) -> float:
    """Wait until it holds; how many seconds that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, "it never came true"
        time.sleep(0.05)
    return time.monotonic() - started
