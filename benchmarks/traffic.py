"""Requests of the active users of a site that `benchmarks.bulk_rows` filled: warm pages, likes, new posts, profiles."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from django.db import connection

from benchmarks import http_client, seeding
from benchmarks.open_loop import Request
from benchmarks.viewers import Viewer, choose_viewers

FOLLOWEES = (10, 500)  # of the active users
# Shares of the requests; half of the pages are those of users who follow celebrities.
MIX = {"feed": 0.45, "hybrid": 0.45, "like": 0.09, "create": 0.01}
CAPTION = "A post of the tier #light0"

_LIKABLE_POSTS_SQL = """
SELECT post.id FROM posts_post AS post
JOIN accounts_user AS author ON author.id = author_id AND author.is_active AND NOT author.is_private
WHERE hidden_at IS NULL AND post.deleted_at IS NULL ORDER BY post.id DESC LIMIT %s
"""
_PROFILES_SQL = """
SELECT username FROM accounts_user WHERE is_active AND NOT is_private AND NOT is_staff AND post_count > 0
ORDER BY hashint8extended(id, 9) LIMIT 500
"""


class Traffic:
    """`push_only`, `hybrid`: the active users without and with celebrities. `likes`: of all requests that were made."""

    def __init__(self, viewers: int, likable: int) -> None:
        """Sign in `viewers` users. They like the `likable` newest posts."""
        self._rng = Random(23)
        self.push_only = choose_viewers(viewers // 2, hybrid=False, followees=FOLLOWEES)
        self.hybrid = choose_viewers(viewers // 2, hybrid=True, followees=FOLLOWEES)
        self.viewers = [*self.push_only, *self.hybrid]
        with connection.cursor() as cursor:
            cursor.execute(_LIKABLE_POSTS_SQL, [likable])
            self._likable = [row[0] for row in cursor.fetchall()]
            cursor.execute(_PROFILES_SQL)
            self._usernames = [row[0] for row in cursor.fetchall()]
        self.likes: list[tuple[int, int]] = []  # user and post, each pair once
        self._liked: set[tuple[int, int]] = set()

    def requests(self, count: int, mix: Mapping[str, float]) -> list[Request]:
        """Return random requests of these kinds, in these shares."""
        kinds = self._rng.choices(list(mix), list(mix.values()), k=count)
        return [self._request(kind) for kind in kinds]

    def sample(self, count: int) -> list[Viewer]:
        """Return random viewers, one of each kind in turn."""
        return [self._rng.choice(viewers) for viewers in (self.push_only, self.hybrid) * (count // 2)]

    def _request(self, kind: str) -> Request:
        viewer = self._rng.choice(self.hybrid if kind == "hybrid" else self.viewers)
        match kind:
            case "feed":
                return Request(kind, self._rng.choice(self.push_only).page())
            case "hybrid":
                return Request(kind, viewer.page())
            case "like":
                return self._like(viewer)
            case "create":
                return _create(kind, viewer, {"caption": CAPTION})
            case "create_full":  # with a hashtag, a mention and a processed picture
                (picture,) = seeding.create_pictures([viewer.pk])
                caption = f"{CAPTION} with @{self._rng.choice(self._usernames)}"
                return _create(kind, viewer, {"caption": caption, "media": [str(picture)]})
            case "profile":
                path = f"/api/v1/users/{self._rng.choice(self._usernames)}/posts"
                return Request(kind, http_client.get(path, viewer.token))
            case _:
                raise ValueError(kind)

    def _like(self, viewer: Viewer) -> Request:
        while (pair := (viewer.pk, self._rng.choice(self._likable))) in self._liked:
            viewer = self._rng.choice(self.push_only)
        self._liked.add(pair)
        self.likes.append(pair)
        return Request("like", http_client.post(f"/api/v1/posts/{pair[1]}/like", viewer.token))


def _create(kind: str, viewer: Viewer, body: dict[str, object]) -> Request:
    return Request(kind, http_client.request("POST", "/api/v1/posts", viewer.token, body))
