"""Moderated posts disappear from every list at the next read, and return to their old place when restored.

Checked over the API, for pushed and pulled authors, with warm and rebuilt feeds.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from feeds import celebrity_transitions
from feeds.timeline_store import evict
from instafeed.core.cache import keys
from posts import explore, moderation
from posts.models import TargetType
from posts.services import Target
from tests.db.feeds.feed_setup import deliver_all
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db

Act = Callable[[User, Target], bool]
REVERSIBLE_ACTIONS: dict[str, tuple[Act, Act]] = {
    "hide": (lambda who, what: moderation.hide(who, what, "spam"), lambda who, what: moderation.restore(who, what)),
    "suspend": (
        lambda who, what: moderation.suspend_author(who, what, None, "spam"),
        lambda who, what: moderation.lift_suspension(who, what),
    ),
}


def list_ids(caller: ApiUser, path: str) -> list[str] | None:
    response = caller.call("get", path)
    assert response.status_code in (200, 404), response.content
    return None if response.status_code == 404 else [row["id"] for row in response.json()["results"]]


def list_all_places(reader: ApiUser, author: ApiUser) -> dict[str, list[str] | None]:
    """Return every list that holds the author's posts, as ids."""
    found = {
        path: list_ids(reader, path)
        for path in ("/feed", f"/users/{author.username}/posts", "/hashtags/lighthouse/posts", "/explore", "/me/saved")
    }
    anonymous = Client().get(f"/api/v1/users/{author.username}/posts")
    found["anonymous"] = [row["id"] for row in anonymous.json()["results"]] if anonymous.status_code == 200 else None
    found["search"] = [row["id"] for row in reader.get(f"/users?search={author.username}")["results"]]
    return found


@pytest.mark.parametrize("pulled", [False, True])
@pytest.mark.parametrize("action", REVERSIBLE_ACTIONS)
def test_moderated_post_disappears_from_all_lists_and_returns(action: str, pulled: bool) -> None:
    author, other, reader = ApiUser(), ApiUser(), ApiUser()
    for followed in (author, other):
        reader.follow(followed)
    reader.get("/feed")
    if pulled:
        celebrity_transitions.promote([author.id])
    posts = [who.create_post(f"a #lighthouse {number}") for number, who in enumerate((author, other, author, other))]
    for post in posts:
        reader.call("post", f"/posts/{post}/save")
    deliver_all()
    explore.compute_ranking()
    evict([keys.CURRENT_RANKING])
    moderator, target = UserFactory(is_staff=True), Target(TargetType.POST, int(posts[2]), author.id)
    forward, back = REVERSIBLE_ACTIONS[action]
    gone = {posts[2]} if action == "hide" else {posts[0], posts[2]}
    before = list_all_places(reader, author)
    assert before["/feed"] == posts[::-1]
    assert all(listed for listed in before.values())

    assert forward(moderator, target)
    for name, listed in list_all_places(reader, author).items():
        was = before[name] or []
        if action == "suspend" and name in (f"/users/{author.username}/posts", "anonymous"):
            assert listed is None
        elif name == "search":
            assert listed == ([] if action == "suspend" else was)
        else:
            assert listed == [post for post in was if post not in gone], name
    for post in gone:
        assert reader.call("get", f"/posts/{post}").status_code == 404
        assert reader.call("get", f"/posts/{post}/comments").status_code == 404
    if action == "hide":
        assert author.call("get", f"/posts/{posts[2]}").status_code == 404

    evict([keys.home_timeline(reader.id), *keys.author_timelines(author.id)])  # rebuilt without the post
    reader.get("/feed")
    assert back(moderator, target)
    assert list_all_places(reader, author) == before


@pytest.mark.parametrize("pulled", [False, True])
def test_deleted_post_disappears_permanently(pulled: bool) -> None:
    author, reader = ApiUser(), ApiUser()
    reader.follow(author)
    reader.get("/feed")
    if pulled:
        celebrity_transitions.promote([author.id])
    posts = [author.create_post("a #lighthouse") for _ in range(2)]
    deliver_all()
    assert list_ids(reader, "/feed") == posts[::-1]
    target = Target(TargetType.POST, int(posts[1]), author.id)
    assert moderation.delete(UserFactory(is_staff=True), target, "spam")
    for path in ("/feed", f"/users/{author.username}/posts", "/hashtags/lighthouse/posts"):
        assert list_ids(reader, path) == posts[:1]
    assert reader.get(f"/users/{author.username}")["post_count"] == 1
