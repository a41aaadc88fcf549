"""Users who call the HTTP API of a running site."""

from __future__ import annotations

import itertools
import time
from typing import Any, Protocol

import httpx

_number = itertools.count(1)
PASSWORD = "a long enough secret"


class Site(Protocol):
    """A running site; `client` is an httpx client for `base_url`."""

    base_url: str
    client: httpx.Client


class HttpUser:
    """A user who is registered over the API and has an access token."""

    def __init__(self, stack: Site, username: str | None = None) -> None:
        self.stack = stack
        self.username = username or f"user{time.time_ns() % 10**9}_{next(_number)}"
        form = self.credentials | {"email": f"{self.username}@example.com"}
        response = stack.client.post("/api/v1/auth/register", json=form)
        assert response.status_code == 201, response.text
        self.id = response.json()["user"]["id"]
        self.headers = {"Authorization": f"Bearer {response.json()['access']}"}

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.username, "password": PASSWORD}

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = path if path.startswith("http") else f"/api/v1{path}"
        return self.stack.client.request(method, url, headers=self.headers, **options)

    def status_of(self, method: str, path: str, *, timeout: float) -> int:
        """Send a request over a connection of its own, from any thread, and return its status."""
        url = f"{self.stack.base_url}/api/v1{path}"
        return httpx.request(method, url, headers=self.headers, timeout=timeout, trust_env=False).status_code

    def get(self, path: str, **options: Any) -> Any:
        response = self.call("GET", path, **options)
        assert response.status_code == 200, response.text
        return response.json()

    def create_post(self, caption: str = "hello") -> str:
        response = self.call("POST", "/posts", json={"caption": caption})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def follow(self, other: HttpUser) -> None:
        assert self.call("POST", f"/users/{other.username}/follow").status_code == 200

    def feed(self, limit: int = 100) -> list[str]:
        """Return the ids of all posts in the feed, page by page."""
        post_ids, url = [], f"/feed?limit={limit}"
        while url:
            page = self.get(url)
            post_ids += [post["id"] for post in page["results"]]
            url = page["next"]
        return post_ids

    def posts_of(self, other: HttpUser) -> list[str]:
        """Return the ids on the first page of another user's posts."""
        return [post["id"] for post in self.get(f"/users/{other.username}/posts")["results"]]
