"""/notifications: what a recipient is shown, page after page, what is unread, and what reading it changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from accounts.models import User
from instafeed.core.cache.client import get_client
from posts import notification_list as shown
from posts.models import Comment
from posts.services import hide_post, restore_post
from social import notifications as told
from social import services as social
from social.models import Notification
from social.notifications import Event, selectors
from social.notifications.consumer import consume_batches
from tests.factories import UserFactory
from tests.posts.api_user import ApiUser

pytestmark = pytest.mark.django_db(transaction=True)
PAGE_QUERIES = 6  # entries, who is heard of, posts' authors and what they are to one, comments, captions


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser()


@pytest.fixture
def fan() -> ApiUser:
    return ApiUser()


def drained() -> None:
    while consume_batches():
        pass


def listed(caller: ApiUser) -> list[dict[str, Any]]:
    drained()
    results: list[dict[str, Any]] = caller.get("/notifications?limit=100")["results"]
    return results


def unread(caller: ApiUser) -> int:
    drained()
    answer = caller.get("/notifications/unread-count")
    assert list(answer) == ["count"]
    return int(answer["count"])


def read(caller: ApiUser, up_to: object) -> int:
    return int(caller.call("post", "/notifications/read", {"up_to": up_to}).status_code)


def test_a_like_has_every_field_of_the_contract(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.write()
    before = timezone.now()
    fan.like(post_id)
    (entry,) = listed(owner)
    assert before <= datetime.fromisoformat(entry.pop("created_at")) <= timezone.now()
    assert entry.pop("id").isdecimal()
    assert entry == {
        "kind": "like",
        "actors": [
            {"id": str(fan.id), "username": fan.name, "display_name": "", "avatar_url": None, "is_celebrity": False}
        ],
        "actor_count": 1,
        "post_id": post_id,
        "comment_id": None,
        "text": "",
        "read": False,
    }
    assert listed(fan) == []


def test_what_each_kind_says(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.write("first")
    comment_id = fan.comment(post_id, "so nice")
    reply_id = owner.comment(post_id, f"thanks @{fan.name}", reply_to=comment_id)
    owner.call("post", f"/comments/{comment_id}/like")
    mentioning = fan.write(f"look, @{owner.name}!")
    mention_id = fan.comment(mentioning, f"again @{owner.name}")
    social.follow(fan.id, owner.id)
    said = [(entry["kind"], entry["post_id"], entry["comment_id"], entry["text"]) for entry in listed(owner)]
    assert said == [
        ("follow", None, None, ""),
        ("mention", mentioning, mention_id, f"again @{owner.name}"),
        ("mention", mentioning, None, f"look, @{owner.name}!"),
        ("comment", post_id, comment_id, "so nice"),
    ]
    said = [(entry["kind"], entry["post_id"], entry["comment_id"], entry["text"]) for entry in listed(fan)]
    assert said == [("like", post_id, comment_id, ""), ("reply", post_id, reply_id, f"thanks @{fan.name}")]


def test_the_newest_three_are_shown_and_all_are_counted(owner: ApiUser) -> None:
    post_id, fans = owner.write(), [ApiUser() for _ in range(5)]
    for fan in fans:
        fan.like(post_id)
    (entry,) = listed(owner)
    assert [actor["username"] for actor in entry["actors"]] == [fan.name for fan in fans[:1:-1]]
    assert entry["actor_count"] == 5


def test_requests_and_their_answers(owner: ApiUser, fan: ApiUser) -> None:
    accounts.update_profile(owner.id, {"is_private": True})
    fan.call("post", f"/users/{owner.name}/follow")
    assert [entry["kind"] for entry in listed(owner)] == ["follow_request"]
    owner.call("post", f"/me/follow-requests/{fan.name}/accept")
    assert listed(owner) == []
    assert [entry["kind"] for entry in listed(fan)] == ["follow_accepted"]


# --- Who and what is left out ------------------------------------------------------------------------


def test_who_is_muted_blocked_or_suspended_later_is_left_out_until_that_ends(owner: ApiUser) -> None:
    post_id, fans = owner.write(), [ApiUser() for _ in range(4)]
    for fan in fans:
        fan.like(post_id)
    drained()
    mute, block, blocked_by, suspended = fans
    steps = [
        (social.mute, social.unmute, (owner.id, mute.id)),
        (social.block, social.unblock, (owner.id, block.id)),
        (social.block, social.unblock, (blocked_by.id, owner.id)),
        (accounts.suspend, accounts.reinstate, (suspended.id,)),
    ]
    left = [fan.name for fan in fans]
    for do, _, who in steps:
        do(*who)
        left = left[1:]
        entries = listed(owner)
        assert [actor["username"] for entry in entries for actor in entry["actors"]] == left[:-4:-1]
        assert [entry["actor_count"] for entry in entries] == ([len(left)] if left else [])
        assert unread(owner) == bool(left)
    for _, undo, who in steps:
        undo(*who)
    assert listed(owner)[0]["actor_count"] == 4


def test_who_is_muted_makes_nothing_unread_again(owner: ApiUser, fan: ApiUser) -> None:
    other, post_id = ApiUser(), owner.write()
    fan.like(post_id)
    read(owner, listed(owner)[0]["id"])
    social.mute(owner.id, other.id)
    other.like(post_id)
    assert unread(owner) == 0
    third = ApiUser()
    third.like(post_id)
    assert unread(owner) == 1
    social.mute(owner.id, third.id)
    assert unread(owner) == 0, "whom they still hear of, they had read of"
    assert listed(owner)[0]["read"] is True


def test_a_post_that_the_recipient_does_not_see_is_left_out_until_they_do(owner: ApiUser, fan: ApiUser) -> None:
    post_id = fan.write(f"with @{owner.name}")
    comment_id = owner.comment(post_id, "hello")
    fan.comment(post_id, "hello yourself", reply_to=comment_id)
    assert [entry["kind"] for entry in listed(owner)] == ["reply", "mention"]
    for hide, show in (
        (lambda: hide_post(int(post_id)), lambda: restore_post(int(post_id))),
        (
            lambda: accounts.update_profile(fan.id, {"is_private": True}),
            lambda: accounts.update_profile(fan.id, {"is_private": False}),
        ),
    ):
        hide()
        assert (listed(owner), unread(owner)) == ([], 0)
        show()
        assert (len(listed(owner)), unread(owner)) == (2, 2)
    fan.call("delete", f"/posts/{post_id}")
    assert (listed(owner), unread(owner)) == ([], 0)


def test_a_comment_that_is_hidden_or_deleted_is_left_out_with_its_likes(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.write()
    comment_id = fan.comment(post_id, f"@{owner.name} mine")
    owner.call("post", f"/comments/{comment_id}/like")
    Comment.objects.update(hidden_at=timezone.now())
    assert (listed(owner), listed(fan)) == ([], [])
    Comment.objects.update(hidden_at=None)
    assert (len(listed(owner)), len(listed(fan))) == (1, 1)
    fan.call("delete", f"/comments/{comment_id}")
    assert (listed(owner), listed(fan)) == ([], [])
    assert not Notification.objects.exists()


def test_what_is_taken_back_is_gone(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.write()
    fan.like(post_id)
    social.follow(fan.id, owner.id)
    assert len(listed(owner)) == 2
    fan.call("delete", f"/posts/{post_id}/like")
    social.unfollow(fan.id, owner.id)
    assert (listed(owner), unread(owner)) == ([], 0)


def test_an_entry_whose_newest_actors_all_are_unheard_is_left_out_and_others_are_counted_beyond_them(
    owner: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound that keeps a page cheap: what is said of it in `selectors` is what happens."""
    monkeypatch.setattr(selectors, "MAX_EXAMINED_ACTORS", 3)
    post_id, fans = owner.write(), [ApiUser() for _ in range(6)]
    for fan in fans:
        fan.like(post_id)
    drained()
    social.mute(owner.id, fans[0].id)
    assert listed(owner)[0]["actor_count"] == 6, "too old to be looked at"
    social.mute(owner.id, fans[5].id)
    (entry,) = listed(owner)
    assert (entry["actor_count"], [actor["username"] for actor in entry["actors"]]) == (5, [fans[4].name, fans[3].name])
    for fan in fans[3:5]:
        social.mute(owner.id, fan.id)
    assert listed(owner) == []


# --- Pages -------------------------------------------------------------------------------------------


def follow_all(owner: ApiUser, number: int) -> list[User]:
    fans: list[User] = UserFactory.create_batch(number)
    for fan in fans:
        social.follow(fan.pk, owner.id)
    drained()
    return fans


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_are_the_whole_list_full_to_the_end_though_much_is_left_out(owner: ApiUser, limit: int) -> None:
    fans = follow_all(owner, 7)
    for fan in fans[1:5]:
        accounts.suspend(fan.pk)
    rows = owner.list_all("/notifications", limit)
    assert [row["actors"][0]["id"] for row in rows] == [str(fan.pk) for fan in (fans[6], fans[5], fans[0])]


def test_pages_are_exact_while_entries_arrive_move_and_vanish(owner: ApiUser) -> None:
    posts = [owner.write() for _ in range(6)]
    fans = [ApiUser() for _ in range(3)]
    for post_id in posts:
        fans[0].like(post_id)
    first = listed(owner)[:2]
    assert owner.get("/notifications?limit=2")["results"] == first
    page = owner.get("/notifications?limit=2")
    fans[1].like(posts[1])  # further down: moves to the top
    fans[1].like(posts[5])  # shown: moves to the top
    fans[2].call("post", f"/users/{owner.name}/follow")
    fans[0].call("delete", f"/posts/{posts[4]}/like")  # the cursor's own
    fans[0].call("delete", f"/posts/{posts[2]}/like")
    drained()
    rest: list[str] = []
    while page["next"]:
        page = owner.get(page["next"].partition("/api/v1")[2])
        rest += [entry["post_id"] for entry in page["results"]]
    assert [entry["post_id"] for entry in first] + rest == [posts[5], posts[4], posts[3], posts[0]]
    assert [entry["post_id"] for entry in listed(owner)] == [None, posts[5], posts[1], posts[3], posts[0]]


@pytest.mark.parametrize("cursor", ["x", "", "feed.0000000000000001", "notifications.1"])
def test_a_malformed_cursor_is_a_400(owner: ApiUser, cursor: str) -> None:
    answer = owner.call("get", f"/notifications?cursor={cursor}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "invalid_cursor"


@pytest.mark.parametrize("size", [2, 50])
def test_a_page_and_the_count_cost_a_fixed_number_of_queries(
    owner: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fans = follow_all(owner, size)
    posts = [owner.write(f"number {number}") for number in range(size)]
    for post_id, fan in zip(posts, fans, strict=True):
        comment = Comment.objects.create(author=fan, post_id=int(post_id), text="x")
        with transaction.atomic():
            told.announce(
                *(Event("like", owner.id, other.pk, int(post_id)) for other in fans),
                Event("comment", owner.id, fan.pk, int(post_id), comment.pk),
                Event("mention", owner.id, fan.pk, int(post_id)),
            )
    drained()
    path = f"/notifications?limit={min(4 * size, 100)}"

    get_client().flushdb()
    owner.get("/me")
    with django_assert_num_queries(PAGE_QUERIES + 1):  # person cards
        rows = owner.get(path)["results"]
    assert {row["kind"] for row in rows} == {"like", "comment", "mention"} | ({"follow"} if size == 2 else set())
    with django_assert_num_queries(PAGE_QUERIES):
        owner.get(path)
    with django_assert_num_queries(PAGE_QUERIES):
        assert owner.get("/notifications/unread-count") == {"count": 4 * size}


# --- Reading -----------------------------------------------------------------------------------------


def test_what_is_read_stays_read_and_what_came_since_is_not(owner: ApiUser, fan: ApiUser) -> None:
    posts = [owner.write() for _ in range(3)]
    for post_id in posts:
        fan.like(post_id)
    newest, middle, _ = listed(owner)
    assert unread(owner) == 3
    assert read(owner, middle["id"]) == 204
    assert [entry["read"] for entry in listed(owner)] == [False, True, True]
    assert unread(owner) == 1
    ApiUser().like(posts[0])
    assert [entry["read"] for entry in listed(owner)] == [False, False, True], "it is on top, with a new id"
    assert read(owner, newest["id"]) == 204
    assert [entry["read"] for entry in listed(owner)] == [False, True, True]
    assert read(owner, middle["id"]) == 204
    assert unread(owner) == 1, "nothing becomes unread again"


def test_reading_beyond_the_newest_reads_nothing_that_is_to_come(owner: ApiUser, fan: ApiUser) -> None:
    assert read(owner, str(2**63 - 1)) == 204
    fan.like(owner.write())
    assert unread(owner) == 1
    assert read(owner, str(2**63 - 1)) == 204
    assert unread(owner) == 0
    fan.like(owner.write())
    assert unread(owner) == 1


@pytest.mark.parametrize("up_to", [1, None, "", "x", "-1", "0", "1.0", "9" * 19, "9" * 40, "٣", [], {}, True])
def test_what_is_no_id_is_a_400(owner: ApiUser, up_to: object) -> None:
    assert read(owner, up_to) == 400
    assert owner.call("post", "/notifications/read", {}).status_code == 400
    assert owner.call("post", "/notifications/read", []).status_code == 400


def test_unread_is_counted_exactly_up_to_the_most(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MAX_UNREAD_COUNT", 6)
    monkeypatch.setattr(shown, "_UNREAD_BATCH_SIZE", 4)
    fans = follow_all(owner, 5)
    assert unread(owner) == 5
    fans += follow_all(owner, 3)
    assert unread(owner) == 6
    for fan in fans[1:7]:
        accounts.suspend(fan.pk)
    assert unread(owner) == 2, "in another stride"


@pytest.mark.parametrize("call", [("get", ""), ("post", "/read"), ("get", "/unread-count")])
def test_a_token_is_needed(owner: ApiUser, call: tuple[str, str]) -> None:
    method, path = call
    assert getattr(owner.client, method)(f"/api/v1/notifications{path}").status_code == 401
