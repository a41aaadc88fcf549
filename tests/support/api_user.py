"""An API client for tests: a user with an access token."""

from __future__ import annotations

from typing import Any

from django.test import Client

from accounts import sessions
from accounts.models import User
from social import services as social
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.pages import assert_is_page


class ApiUser:
    """A user with an access token, who calls the API through Django's test client."""

    def __init__(self, client: Client | None = None, **fields: Any) -> None:
        self.user: User = UserFactory(**fields)
        self.client = client or Client()
        self.headers = {"Authorization": f"Bearer {sessions.start(self.user).access}"}

    @property
    def id(self) -> int:
        return self.user.pk

    @property
    def username(self) -> str:
        return self.user.username

    def call(self, method: str, path: str, body: object = None, **headers: str) -> ClientResponse:
        options: dict[str, Any] = {"headers": self.headers | headers}
        if body is not None:
            options |= {"data": body, "content_type": "application/json"}
        response: ClientResponse = getattr(self.client, method)(f"/api/v1{path}", **options)
        return response

    def get(self, path: str) -> Any:
        """GET `path`, which must return 200, and return the JSON."""
        response = self.call("get", path)
        assert response.status_code == 200, response.content
        return response.json()

    def create_post(self, caption: str = "hello") -> str:
        """Create a post and return its id."""
        return self._create("/posts", {"caption": caption})

    def create_comment(self, post_id: str, text: str = "nice", reply_to: str | None = None) -> str:
        """Create a comment and return its id."""
        return self._create(f"/posts/{post_id}/comments", {"text": text, "reply_to": reply_to})

    def like(self, post_id: str) -> ClientResponse:
        return self.call("post", f"/posts/{post_id}/like")

    def follow(self, other: ApiUser) -> None:
        social.follow(self.id, other.id)

    def list_all(self, path: str, limit: int = 2, *, may_be_short: bool = False) -> list[Any]:
        """Return all rows of a list, page by page. Asserts that every page but the last is full, unless told not to."""
        rows: list[Any] = []
        url: str | None = f"{path}{'&' if '?' in path else '?'}limit={limit}"
        while url:
            page = self.get(url)
            assert_is_page(page)
            url = page["next"] and page["next"].partition("/api/v1")[2]
            assert len(page["results"]) == limit if url and not may_be_short else len(page["results"]) <= limit
            rows += page["results"]
        return rows

    def _create(self, path: str, body: object) -> str:
        response = self.call("post", path, body)
        assert response.status_code == 201, response.content
        return str(response.json()["id"])
