"""What a site does: requests to each hot endpoint, and the background jobs, called in this process one after the other.

An activity is a name and a function. Later ones build on what earlier ones have written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import erasure_worker, sessions
from accounts.models import User
from feeds import timeline_store, visible_authors
from feeds.api.views import FEED_CURSOR
from instafeed.celery import app
from instafeed.core.api.pagination.cursors import encode_cursor
from instafeed.core.jobs import queues
from instafeed.core.jobs.leased import Outcome
from instafeed.core.jobs.schedule import SCHEDULE
from posts.models import Post

Activity = tuple[str, Callable[[], Any]]
PASSWORD = "correct horse battery staple"

# Users by their place in the network: a condition and an order, in which the first one that is not yet chosen is taken.
_ROLES = {
    "reader": ("following_count BETWEEN 40 AND 60 AND celebrity_state = 0 AND NOT is_private", "id"),
    "collector": ("celebrity_state = 0 AND NOT is_private", "following_count DESC"),
    "author": ("follower_count BETWEEN 300 AND 2000 AND post_count > 5 AND NOT is_private", "id"),
    "private": ("is_private AND EXISTS (SELECT FROM social_followrequest WHERE followee_id = accounts_user.id)", "id"),
    "star": ("NOT is_private AND post_count > 20", "follower_count DESC"),
}
_ROLE_SQL = "SELECT id FROM accounts_user WHERE is_active AND NOT is_staff AND {} AND id <> ALL(%s) ORDER BY {} LIMIT 1"


class Caller:
    """A user who calls the API through Django's test client. Counts unexpected answers in `failures`."""

    def __init__(self, user: User, failures: list[str]) -> None:
        self.user = user
        self._client = Client(headers={"host": "127.0.0.1", "authorization": f"Bearer {sessions.start(user).access}"})
        self._failures = failures

    def get(self, path: str) -> Any:
        return self._call("get", path)

    def post(self, path: str, body: object = None) -> Any:
        return self._call("post", path, {} if body is None else body)

    def patch(self, path: str, body: object) -> Any:
        return self._call("patch", path, body)

    def delete(self, path: str, body: object = None) -> Any:
        return self._call("delete", path, body)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        options: dict[str, Any] = {} if body is None else {"data": body, "content_type": "application/json"}
        response = getattr(self._client, method)(f"/api/v1{path}", **options)
        if response.status_code >= 300:
            self._failures.append(f"{method.upper()} {path}: {response.status_code} {response.content[:200]!r}")
            return {}
        content = b"".join(response.streaming_content) if response.streaming else response.content
        return json.loads(content) if content else {}


@dataclass
class Cast:
    """The users who act, and the unexpected answers that they got."""

    reader: Caller
    collector: Caller
    author: Caller
    private: Caller
    star: Caller
    failures: list[str]

    @classmethod
    def choose(cls) -> Cast:
        failures: list[str] = []
        chosen: dict[str, int] = {}
        with connection.cursor() as cursor:
            for role, (condition, order) in _ROLES.items():
                cursor.execute(_ROLE_SQL.format(condition, order), [list(chosen.values())])
                chosen[role] = cursor.fetchone()[0]
        users = User.objects.in_bulk(chosen.values())
        callers = {role: Caller(users[user_id], failures) for role, user_id in chosen.items()}
        return cls(**callers, failures=failures)

    def activities(self) -> Iterator[Activity]:
        """Yield all activities in their order."""
        app.loader.import_default_modules()  # registers all tasks
        yield from self._reading()
        yield from self._writing()
        yield from self._accounts()
        yield from _jobs()

    def _reading(self) -> Iterator[Activity]:
        reader, star, author = self.reader, self.star.user, self.author.user
        post_id = Post.objects.filter(author=star).order_by("-pk").values_list("pk", flat=True)[5]
        oldest = Post.objects.filter(author=star).order_by("pk").values_list("pk", flat=True)[9]
        deep = encode_cursor(FEED_CURSOR, oldest)
        for name, caller in (("feed", reader), ("feed of many authors", self.collector)):
            yield f"{name}, cold", partial(self._read_cold, caller)
            yield f"{name}, warm", partial(caller.get, "/feed")
            yield f"{name}, deep", partial(caller.get, f"/feed?cursor={deep}")
        yield "unread posts", lambda: reader.get(f"/feed/unread-count?since={post_id}")
        yield "profile", lambda: reader.get(f"/users/{star.username}")
        yield "relationships", lambda: reader.get(f"/users/relationships?ids={star.pk},{author.pk}")
        for user in (star, author):
            for name in ("posts", "followers", "following"):
                yield f"{name} of a user", partial(self._read_pages, f"/users/{user.username}/{name}")
        yield "post", lambda: reader.get(f"/posts/{post_id}")
        yield "likes of a post", lambda: self._read_pages(f"/posts/{post_id}/likes")
        yield "comments", lambda: self._read_pages(f"/posts/{post_id}/comments")
        for text in ("user7", "chi", "Priya Haddad 1"):
            yield f"search {text}", partial(self._read_pages, f"/users?search={text}")
        yield "search for hashtags", lambda: self._read_pages("/hashtags?search=light")
        yield "posts with a hashtag", lambda: self._read_pages("/hashtags/light0/posts")
        yield "explore", lambda: self._read_pages("/explore")
        yield "notifications", lambda: self._read_pages("/notifications", self.star)
        yield "notifications of a kind", lambda: self._read_pages("/notifications?kind=follow", self.star)
        yield "unread notifications", lambda: self.star.get("/notifications/unread-count")
        yield "saved posts", lambda: reader.get("/me/saved")
        for name in ("follow-requests", "blocks", "mutes", "sessions", "exports"):
            yield name, partial(self.private.get, f"/me/{name}")
        yield "own profile", lambda: reader.get("/me")

    def _writing(self) -> Iterator[Activity]:
        reader, star, author = self.reader, self.star.user.username, self.author
        post_id = Post.objects.filter(author=author.user).order_by("-pk").values_list("pk", flat=True)[0]
        new: dict[str, str] = {}

        def create(key: str, path: str, body: object, caller: Caller = reader) -> None:
            new[key] = caller.post(path, body).get("id", "")

        yield (
            "create a post",
            lambda: create("post", "/posts", {"caption": f"new #light1 #fresh for @{reader.user.username}"}, author),
        )
        yield "fan-out", lambda: _run(queues.DELIVER_POSTS)
        yield "create a celebrity's post", lambda: create("starred", "/posts", {"caption": "hello"}, self.star)
        yield "fan-out", lambda: _run(queues.DELIVER_POSTS)
        yield "edit a post", lambda: author.patch(f"/posts/{new['post']}", {"caption": "new #light2"})
        yield "like", lambda: reader.post(f"/posts/{new['post']}/like")
        yield "unlike", lambda: reader.delete(f"/posts/{new['post']}/like")
        yield "like", lambda: self.star.post(f"/posts/{new['post']}/like")
        yield "save", lambda: reader.post(f"/posts/{post_id}/save")
        yield "unsave", lambda: reader.delete(f"/posts/{post_id}/save")
        yield "save", lambda: reader.post(f"/posts/{new['post']}/save")
        yield "comment", lambda: create("comment", f"/posts/{new['post']}/comments", {"text": f"nice @{star}"})
        yield (
            "reply",
            lambda: create(
                "reply", f"/posts/{new['post']}/comments", {"text": "thanks", "reply_to": new["comment"]}, author
            ),
        )
        yield "like a comment", lambda: author.post(f"/comments/{new['comment']}/like")
        yield "unlike a comment", lambda: author.delete(f"/comments/{new['comment']}/like")
        yield "like a comment", lambda: self.star.post(f"/comments/{new['reply']}/like")
        yield (
            "report",
            lambda: reader.post(
                "/reports", {"target_type": "post", "target_id": str(post_id), "reason": "spam", "note": ""}
            ),
        )
        for path in (f"/users/{star}/follow", f"/users/{self.private.user.username}/follow"):
            yield "unfollow", partial(reader.delete, path)
            yield "follow", partial(reader.post, path)
        yield "notifications, consumed", lambda: _run(queues.DRAIN_NOTIFICATIONS)
        yield "notifications", lambda: author.get("/notifications")
        yield (
            "mark as read",
            lambda: author.post("/notifications/read", {"up_to": author.get("/notifications")["results"][0]["id"]}),
        )
        yield (
            "dismiss a notification",
            lambda: author.delete(f"/notifications/{author.get('/notifications')['results'][0]['id']}"),
        )
        yield "accept a request", lambda: self.private.post(f"/me/follow-requests/{reader.user.username}/accept")
        yield "mute", lambda: reader.post(f"/users/{star}/mute")
        yield "unmute", lambda: reader.delete(f"/users/{star}/mute")
        yield "block", lambda: self.collector.post(f"/users/{star}/block")
        yield "unblock", lambda: self.collector.delete(f"/users/{star}/block")
        yield "delete a comment", lambda: reader.delete(f"/comments/{new['comment']}")
        yield "delete a post", lambda: author.delete(f"/posts/{new['post']}")
        yield "notifications, consumed", lambda: _run(queues.DRAIN_NOTIFICATIONS)

    def _accounts(self) -> Iterator[Activity]:
        reader, private, collector = self.reader, self.private, self.collector
        user = collector.user
        user.set_password(PASSWORD)
        user.email_verified = True
        user.save()
        for name in (user.username, user.email):
            yield "sign in", partial(collector.post, "/auth/token", {"username": name, "password": PASSWORD})
        account = {"username": "a.new.user", "email": "new@example.org", "password": PASSWORD}
        yield "register", lambda: reader.post("/auth/register", account)
        yield "reset a password", lambda: reader.post("/auth/password/reset", {"email": user.email})
        yield "export as JSON", lambda: reader.get("/me/export")
        yield "export as ZIP", lambda: reader.post("/me/exports")
        yield "export as ZIP", lambda: _run(queues.BUILD_EXPORTS)
        yield "become public", lambda: private.patch("/me", {"is_private": False})
        yield "become private", lambda: self.author.patch("/me", {"is_private": True})
        yield "accept requests", lambda: _run(queues.ACCEPT_FOLLOW_REQUESTS)
        yield "move pictures", lambda: _run(queues.RELOCATE_MEDIA)
        yield "delete an account", lambda: collector.delete("/me", {"password": PASSWORD})
        yield "erase an account", lambda: _erase(user.pk)

    def _read_cold(self, caller: Caller) -> None:
        timeline_store.evict(visible_authors.home_timeline_keys([caller.user.pk]))
        caller.get("/feed")

    def _read_pages(self, path: str, caller: Caller | None = None, pages: int = 3) -> None:
        next_path: str | None = path
        for _ in range(pages):
            if next_path:
                url = (caller or self.reader).get(next_path).get("next")
                next_path = url and url.partition("/api/v1")[2]


def _jobs() -> Iterator[Activity]:
    """Yield every periodic job, in the order of the schedule."""
    for name, entry in SCHEDULE.items():
        yield name, partial(_run, entry["task"])


def _run(task: str) -> None:
    """Run a task in this process."""
    app.tasks[task].run()


def _erase(user_id: int) -> None:
    """Erase a deleted account to the end, as if all requests that ran meanwhile had ended."""
    past = timezone.now() - erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    User.objects.filter(pk=user_id).update(deleted_at=past)
    while erasure_worker.process_next() is not Outcome.UNCLAIMED:
        pass
