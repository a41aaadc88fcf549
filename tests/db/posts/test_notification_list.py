"""The notification list: entries, visibility, pages, the unread count and marking as read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from accounts.models import User
from instafeed.core.cache.client import get_client
from posts import notification_list
from posts.models import Comment
from posts.services import hide_post, restore_post
from social import notifications
from social import services as social
from social.models import Notification
from social.notifications import Event, selectors
from social.notifications.consumer import consume_batches
from social.notifications.deliverability import filter_deliverable
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
PAGE_QUERIES = 6  # entries, deliverability, posts, relationships to their authors, comments, captions


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser()


@pytest.fixture
def fan() -> ApiUser:
    return ApiUser()


def consume_all() -> None:
    while consume_batches():
        pass


def list_notifications(caller: ApiUser) -> list[dict[str, Any]]:
    consume_all()
    results: list[dict[str, Any]] = caller.get("/notifications?limit=100")["results"]
    return results


def get_unread_count(caller: ApiUser) -> int:
    consume_all()
    response = caller.get("/notifications/unread-count")
    assert list(response) == ["count"]
    return int(response["count"])


def mark_read(caller: ApiUser, up_to: object) -> int:
    return int(caller.call("post", "/notifications/read", {"up_to": up_to}).status_code)


def test_like_has_all_fields(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post()
    before = timezone.now()
    fan.like(post_id)
    (entry,) = list_notifications(owner)
    assert before <= datetime.fromisoformat(entry.pop("created_at")) <= timezone.now()
    assert entry.pop("id").isdecimal()
    assert entry == {
        "kind": "like",
        "actors": [
            {"id": str(fan.id), "username": fan.username, "display_name": "", "avatar_url": None, "is_celebrity": False}
        ],
        "actor_count": 1,
        "post_id": post_id,
        "comment_id": None,
        "text": "",
        "read": False,
    }
    assert list_notifications(fan) == []


def test_fields_of_each_kind(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post("first")
    comment_id = fan.create_comment(post_id, "so nice")
    reply_id = owner.create_comment(post_id, f"thanks @{fan.username}", reply_to=comment_id)
    owner.call("post", f"/comments/{comment_id}/like")
    mentioning = fan.create_post(f"look, @{owner.username}!")
    mention_id = fan.create_comment(mentioning, f"again @{owner.username}")
    social.follow(fan.id, owner.id)
    said = [
        (entry["kind"], entry["post_id"], entry["comment_id"], entry["text"]) for entry in list_notifications(owner)
    ]
    assert said == [
        ("follow", None, None, ""),
        ("mention", mentioning, mention_id, f"again @{owner.username}"),
        ("mention", mentioning, None, f"look, @{owner.username}!"),
        ("comment", post_id, comment_id, "so nice"),
    ]
    said = [(entry["kind"], entry["post_id"], entry["comment_id"], entry["text"]) for entry in list_notifications(fan)]
    assert said == [("like", post_id, comment_id, ""), ("reply", post_id, reply_id, f"thanks @{fan.username}")]


def test_shows_three_newest_actors_and_counts_all(owner: ApiUser) -> None:
    post_id, fans = owner.create_post(), [ApiUser() for _ in range(5)]
    for fan in fans:
        fan.like(post_id)
    (entry,) = list_notifications(owner)
    assert [actor["username"] for actor in entry["actors"]] == [fan.username for fan in fans[:1:-1]]
    assert entry["actor_count"] == 5


def test_follow_requests_and_acceptances(owner: ApiUser, fan: ApiUser) -> None:
    accounts.update_profile(owner.id, {"is_private": True})
    fan.call("post", f"/users/{owner.username}/follow")
    assert [entry["kind"] for entry in list_notifications(owner)] == ["follow_request"]
    owner.call("post", f"/me/follow-requests/{fan.username}/accept")
    assert list_notifications(owner) == []
    assert [entry["kind"] for entry in list_notifications(fan)] == ["follow_accepted"]


# --- Visibility --------------------------------------------------------------------------------------


def test_muted_blocked_and_suspended_actors_are_left_out(owner: ApiUser) -> None:
    post_id, fans = owner.create_post(), [ApiUser() for _ in range(4)]
    for fan in fans:
        fan.like(post_id)
    consume_all()
    mute, block, blocked_by, suspended = fans
    steps: list[tuple[Callable[..., object], Callable[..., object], tuple[int, ...]]] = [
        (social.mute, social.unmute, (owner.id, mute.id)),
        (social.block, social.unblock, (owner.id, block.id)),
        (social.block, social.unblock, (blocked_by.id, owner.id)),
        (accounts.suspend, accounts.reinstate, (suspended.id,)),
    ]
    left = [fan.username for fan in fans]
    for do, _, who in steps:
        do(*who)
        left = left[1:]
        entries = list_notifications(owner)
        assert [actor["username"] for entry in entries for actor in entry["actors"]] == left[:-4:-1]
        assert [entry["actor_count"] for entry in entries] == ([len(left)] if left else [])
        assert get_unread_count(owner) == bool(left)
    for _, undo, who in steps:
        undo(*who)
    assert list_notifications(owner)[0]["actor_count"] == 4


def test_muted_actor_does_not_make_an_entry_unread(owner: ApiUser, fan: ApiUser) -> None:
    other, post_id = ApiUser(), owner.create_post()
    fan.like(post_id)
    mark_read(owner, list_notifications(owner)[0]["id"])
    social.mute(owner.id, other.id)
    other.like(post_id)
    assert get_unread_count(owner) == 0
    third = ApiUser()
    third.like(post_id)
    assert get_unread_count(owner) == 1
    social.mute(owner.id, third.id)
    assert get_unread_count(owner) == 0, "the remaining actor was read"
    assert list_notifications(owner)[0]["read"] is True


def test_entries_of_invisible_posts_are_left_out(owner: ApiUser, fan: ApiUser) -> None:
    post_id = fan.create_post(f"with @{owner.username}")
    comment_id = owner.create_comment(post_id, "hello")
    fan.create_comment(post_id, "hello yourself", reply_to=comment_id)
    assert [entry["kind"] for entry in list_notifications(owner)] == ["reply", "mention"]
    for hide, show in (
        (lambda: hide_post(int(post_id)), lambda: restore_post(int(post_id))),
        (
            lambda: accounts.update_profile(fan.id, {"is_private": True}),
            lambda: accounts.update_profile(fan.id, {"is_private": False}),
        ),
    ):
        hide()
        assert (list_notifications(owner), get_unread_count(owner)) == ([], 0)
        show()
        assert (len(list_notifications(owner)), get_unread_count(owner)) == (2, 2)
    fan.call("delete", f"/posts/{post_id}")
    assert (list_notifications(owner), get_unread_count(owner)) == ([], 0)


def test_entries_of_hidden_and_deleted_comments_are_left_out(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post()
    comment_id = fan.create_comment(post_id, f"@{owner.username} mine")
    owner.call("post", f"/comments/{comment_id}/like")
    Comment.objects.update(hidden_at=timezone.now())
    assert (list_notifications(owner), list_notifications(fan)) == ([], [])
    Comment.objects.update(hidden_at=None)
    assert (len(list_notifications(owner)), len(list_notifications(fan))) == (1, 1)
    fan.call("delete", f"/comments/{comment_id}")
    assert (list_notifications(owner), list_notifications(fan)) == ([], [])
    assert not Notification.objects.exists()


def test_unlike_and_unfollow_remove_the_entry(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post()
    fan.like(post_id)
    social.follow(fan.id, owner.id)
    assert len(list_notifications(owner)) == 2
    fan.call("delete", f"/posts/{post_id}/like")
    social.unfollow(fan.id, owner.id)
    assert (list_notifications(owner), get_unread_count(owner)) == ([], 0)


def test_only_the_newest_actors_are_examined(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older actors are counted without a check, if enough of the newest are visible."""
    monkeypatch.setattr(selectors, "MAX_EXAMINED_ACTORS", 4)
    post_id, fans = owner.create_post(), [ApiUser() for _ in range(6)]
    for fan in fans:
        fan.like(post_id)
    consume_all()
    social.mute(owner.id, fans[0].id)
    assert list_notifications(owner)[0]["actor_count"] == 6, "too old to be examined"
    social.mute(owner.id, fans[5].id)
    (entry,) = list_notifications(owner)
    assert (entry["actor_count"], [actor["username"] for actor in entry["actors"]]) == (
        5,
        [fans[4].username, fans[3].username, fans[2].username],
    )


def test_like_behind_many_hidden_likers_is_shown(
    owner: ApiUser, fan: ApiUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post_id = owner.create_post()
    fan.like(post_id)
    hidden: list[User] = UserFactory.create_batch(selectors.MAX_EXAMINED_ACTORS + 1)
    consume_all()
    with transaction.atomic():
        notifications.announce(*(Event("like", owner.id, user.pk, int(post_id)) for user in hidden))
    consume_all()
    User.objects.filter(pk__in=[user.pk for user in hidden]).update(is_active=False)
    (entry,) = list_notifications(owner)
    assert ([actor["username"] for actor in entry["actors"]], entry["actor_count"]) == ([fan.username], 1)
    with django_assert_num_queries(6):  # entries, deliverability, older actors, deliverability, posts, relationships
        assert owner.get("/notifications/unread-count") == {"count": 1}


def test_number_of_examined_actors_is_bounded(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "MAX_EXAMINED_ACTORS", 2)
    monkeypatch.setattr(selectors, "FURTHER_ACTORS", (1, 2))
    post_id, fans = owner.create_post(), [ApiUser() for _ in range(6)]
    for fan in fans:
        fan.like(post_id)
    consume_all()
    for fan in fans[2:]:
        social.mute(owner.id, fan.id)
    (entry,) = list_notifications(owner)
    assert ([actor["username"] for actor in entry["actors"]], entry["actor_count"]) == ([fans[1].username], 2)
    social.mute(owner.id, fans[1].id)
    assert list_notifications(owner) == [], "the sixth is not examined"


def like_with_hidden_users(owner: ApiUser, post_ids: list[str], number: int) -> None:
    """Let `number` users like each post, and suspend them."""
    hidden: list[User] = UserFactory.create_batch(number)
    with transaction.atomic():
        notifications.announce(
            *(Event("like", owner.id, user.pk, int(post_id)) for post_id in post_ids for user in hidden)
        )
    consume_all()
    User.objects.filter(pk__in=[user.pk for user in hidden]).update(is_active=False)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of actors that were examined, one for each query."""
    counts: list[int] = []

    def examine(pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        counts.append(len(pairs))
        return filter_deliverable(pairs)

    monkeypatch.setattr(selectors, "filter_deliverable", examine)
    return counts


def test_all_entries_of_a_request_share_one_budget_of_examined_actors(
    owner: ApiUser, fan: ApiUser, monkeypatch: pytest.MonkeyPatch, examined: list[int]
) -> None:
    """Hidden actors cost a bounded number of reads. The pages are short, and together they are the whole list."""
    monkeypatch.setattr(selectors, "MAX_EXAMINED_ACTORS", 2)
    monkeypatch.setattr(selectors, "FURTHER_ACTORS", (3, 20))
    monkeypatch.setattr(selectors, "MAX_REQUEST_ACTORS", 30)
    posts = [owner.create_post() for _ in range(12)]
    for post_id in (posts[0], posts[11]):
        fan.like(post_id)
    consume_all()
    like_with_hidden_users(owner, posts, 8)
    rows, pages, path = [], 0, "/notifications?limit=10"
    while path:
        examined.clear()
        page = owner.get(path)
        assert sum(examined) <= 30 + 3 + 20, "the budget, and one more entry"
        rows += page["results"]
        pages, path = pages + 1, (page["next"] or "").partition("/api/v1")[2]
    assert [(row["post_id"], row["actor_count"]) for row in rows] == [(posts[11], 1), (posts[0], 1)]
    assert pages > 2
    examined.clear()
    assert owner.get("/notifications/unread-count") == {"count": 1}, "the other is beyond the budget"
    assert sum(examined) <= 30 + 3 + 20
    monkeypatch.setattr(selectors, "MAX_REQUEST_ACTORS", 500)
    assert owner.get("/notifications/unread-count") == {"count": 2}


def test_unread_count_examines_one_actor_of_an_entry_if_that_one_is_visible(
    owner: ApiUser, examined: list[int]
) -> None:
    fans, posts = [ApiUser() for _ in range(4)], [owner.create_post() for _ in range(2)]
    for post_id in posts:
        for fan in fans:
            fan.like(post_id)
    assert get_unread_count(owner) == 2
    assert sum(examined[-1:]) == 1, "one user is the newest actor of both"


@pytest.mark.parametrize("leaves", ["withdrawal", "suspension"])
def test_time_is_that_of_the_newest_actor_left(owner: ApiUser, fan: ApiUser, leaves: str) -> None:
    post_id, other = owner.create_post(), ApiUser()
    fan.like(post_id)
    before = list_notifications(owner)[0]["created_at"]
    other.like(post_id)
    assert list_notifications(owner)[0]["created_at"] > before
    if leaves == "withdrawal":
        other.call("delete", f"/posts/{post_id}/like")
    else:
        accounts.suspend(other.id)
    assert list_notifications(owner)[0]["created_at"] == before


# --- Pages -------------------------------------------------------------------------------------------


def create_followers(owner: ApiUser, number: int) -> list[User]:
    fans: list[User] = UserFactory.create_batch(number)
    for fan in fans:
        social.follow(fan.pk, owner.id)
    consume_all()
    return fans


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_are_full_although_entries_are_left_out(owner: ApiUser, limit: int) -> None:
    fans = create_followers(owner, 7)
    for fan in fans[1:5]:
        accounts.suspend(fan.pk)
    rows = owner.list_all("/notifications", limit)
    assert [row["actors"][0]["id"] for row in rows] == [str(fan.pk) for fan in (fans[6], fans[5], fans[0])]


def test_pages_are_exact_while_entries_change(owner: ApiUser) -> None:
    posts = [owner.create_post() for _ in range(6)]
    fans = [ApiUser() for _ in range(3)]
    for post_id in posts:
        fans[0].like(post_id)
    first = list_notifications(owner)[:2]
    assert owner.get("/notifications?limit=2")["results"] == first
    page = owner.get("/notifications?limit=2")
    fans[1].like(posts[1])  # on a later page; moves to the top
    fans[1].like(posts[5])  # already listed; moves to the top
    fans[2].call("post", f"/users/{owner.username}/follow")
    fans[0].call("delete", f"/posts/{posts[4]}/like")  # the cursor's entry
    fans[0].call("delete", f"/posts/{posts[2]}/like")
    consume_all()
    rest: list[str] = []
    while page["next"]:
        page = owner.get(page["next"].partition("/api/v1")[2])
        rest += [entry["post_id"] for entry in page["results"]]
    assert [entry["post_id"] for entry in first] + rest == [posts[5], posts[4], posts[3], posts[0]]
    assert [entry["post_id"] for entry in list_notifications(owner)] == [None, posts[5], posts[1], posts[3], posts[0]]


@pytest.mark.parametrize("cursor", ["x", "", "feed.0000000000000001", "notifications.1"])
def test_malformed_cursor_is_a_400(owner: ApiUser, cursor: str) -> None:
    response = owner.call("get", f"/notifications?cursor={cursor}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "invalid_cursor"


@pytest.mark.parametrize("size", [2, 50])
def test_list_and_unread_count_query_counts(
    owner: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fans = create_followers(owner, size)
    posts = [owner.create_post(f"number {number}") for number in range(size)]
    for post_id, fan in zip(posts, fans, strict=True):
        comment = Comment.objects.create(author=fan, post_id=int(post_id), text="x")
        with transaction.atomic():
            notifications.announce(
                *(Event("like", owner.id, other.pk, int(post_id)) for other in fans),
                Event("comment", owner.id, fan.pk, int(post_id), comment.pk),
                Event("mention", owner.id, fan.pk, int(post_id)),
            )
    consume_all()
    path = f"/notifications?limit={min(4 * size, 100)}"

    get_client().flushdb()
    owner.get("/me")
    with django_assert_num_queries(PAGE_QUERIES + 1):  # author summaries
        rows = owner.get(path)["results"]
    assert {row["kind"] for row in rows} == {"like", "comment", "mention"} | ({"follow"} if size == 2 else set())
    with django_assert_num_queries(PAGE_QUERIES):
        owner.get(path)
    with django_assert_num_queries(PAGE_QUERIES):
        assert owner.get("/notifications/unread-count") == {"count": 4 * size}


# --- Unread ------------------------------------------------------------------------------------------


def test_reading_up_to_an_entry(owner: ApiUser, fan: ApiUser) -> None:
    posts = [owner.create_post() for _ in range(3)]
    for post_id in posts:
        fan.like(post_id)
    newest, middle, _ = list_notifications(owner)
    assert get_unread_count(owner) == 3
    assert mark_read(owner, middle["id"]) == 204
    assert [entry["read"] for entry in list_notifications(owner)] == [False, True, True]
    assert get_unread_count(owner) == 1
    ApiUser().like(posts[0])
    assert [entry["read"] for entry in list_notifications(owner)] == [False, False, True], (
        "the entry is on top with a new id"
    )
    assert mark_read(owner, newest["id"]) == 204
    assert [entry["read"] for entry in list_notifications(owner)] == [False, True, True]
    assert mark_read(owner, middle["id"]) == 204
    assert get_unread_count(owner) == 1, "read entries stay read"


def test_reading_beyond_the_newest_does_not_read_future_entries(owner: ApiUser, fan: ApiUser) -> None:
    assert mark_read(owner, str(2**63 - 1)) == 204
    fan.like(owner.create_post())
    assert get_unread_count(owner) == 1
    assert mark_read(owner, str(2**63 - 1)) == 204
    assert get_unread_count(owner) == 0
    fan.like(owner.create_post())
    assert get_unread_count(owner) == 1


@pytest.mark.parametrize("up_to", [1, None, "", "x", "-1", "0", "1.0", "9" * 19, "9" * 40, "٣", [], {}, True])
def test_invalid_id_is_a_400(owner: ApiUser, up_to: object) -> None:
    assert mark_read(owner, up_to) == 400
    assert owner.call("post", "/notifications/read", {}).status_code == 400
    assert owner.call("post", "/notifications/read", []).status_code == 400


def test_unread_count_is_exact_up_to_the_maximum(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification_list, "MAX_UNREAD_COUNT", 6)
    monkeypatch.setattr(notification_list, "UNREAD_BATCH_SIZE", 4)
    fans = create_followers(owner, 5)
    assert get_unread_count(owner) == 5
    fans += create_followers(owner, 3)
    assert get_unread_count(owner) == 6
    for fan in fans[1:7]:
        accounts.suspend(fan.pk)
    assert get_unread_count(owner) == 2, "found in the second batch"


@pytest.mark.parametrize("call", [("get", ""), ("post", "/read"), ("get", "/unread-count")])
def test_requires_authentication(owner: ApiUser, call: tuple[str, str]) -> None:
    method, path = call
    assert getattr(owner.client, method)(f"/api/v1/notifications{path}").status_code == 401
