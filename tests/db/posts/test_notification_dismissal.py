"""Dismissed notifications, and lists of some kinds of notifications."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from social import notifications
from social import services as social
from social.models import Notification, NotificationKind
from social.notifications import Event, read_state
from social.notifications.consumer import consume_batches
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.query_plans import plan_nodes

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser()


@pytest.fixture
def fan() -> ApiUser:
    return ApiUser()


def list_notifications(caller: ApiUser, kinds: str = "") -> list[dict[str, Any]]:
    while consume_batches():
        pass
    results: list[dict[str, Any]] = caller.get(f"/notifications?limit=100{kinds and f'&kind={kinds}'}")["results"]
    return results


def list_ids(caller: ApiUser) -> list[str]:
    return [entry["id"] for entry in list_notifications(caller)]


def get_unread_count(caller: ApiUser) -> int:
    return int(caller.get("/notifications/unread-count")["count"])


def dismiss(caller: ApiUser, notification_id: str) -> tuple[int, bytes]:
    response = caller.call("delete", f"/notifications/{notification_id}")
    return response.status_code, response.content


# --- Dismissal ---------------------------------------------------------------------------------------


def test_dismissed_notification_leaves_the_list_and_the_unread_count(owner: ApiUser, fan: ApiUser) -> None:
    for _ in range(3):
        fan.like(owner.create_post())
    newest, middle, oldest = list_ids(owner)
    assert dismiss(owner, middle) == (204, b"")
    assert (list_ids(owner), get_unread_count(owner)) == ([newest, oldest], 2)
    assert dismiss(owner, middle) == (204, b""), "again"
    assert (list_ids(owner), get_unread_count(owner)) == ([newest, oldest], 2)


def test_new_actor_brings_a_dismissed_notification_back(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post()
    fan.like(post_id)
    (old_id,) = list_ids(owner)
    dismiss(owner, old_id)
    other = ApiUser()
    other.like(post_id)
    (entry,) = list_notifications(owner)
    assert entry["id"] != old_id
    assert [actor["username"] for actor in entry["actors"]] == [other.username, fan.username]
    assert (entry["read"], get_unread_count(owner)) == (False, 1)
    assert dismiss(owner, old_id)[0] == 404, "the user has not seen the new actor"
    assert list_ids(owner) == [entry["id"]]
    assert dismiss(owner, entry["id"]) == (204, b"")
    assert list_ids(owner) == []


def test_same_actor_does_not_bring_a_dismissed_notification_back(owner: ApiUser, fan: ApiUser) -> None:
    post_id, other = owner.create_post(), ApiUser()
    fan.like(post_id)
    other.like(post_id)
    dismiss(owner, list_ids(owner)[0])
    for withdrawing in (other, fan):
        withdrawing.call("delete", f"/posts/{post_id}/like")
        assert list_ids(owner) == []
        withdrawing.like(post_id)
        assert list_ids(owner) == []


def test_unknown_and_other_users_notifications_are_the_same_404(owner: ApiUser, fan: ApiUser) -> None:
    fan.like(owner.create_post())
    owner.like(fan.create_post())
    (own_id,), (others_id,) = list_ids(owner), list_ids(fan)
    others, unknown = dismiss(owner, others_id), dismiss(owner, "4711471147114711")
    assert others == unknown
    assert others[0] == 404
    for malformed in ("0", "-1", "x", "9" * 19, "٣", "unread", "1.0"):
        assert dismiss(owner, malformed) == unknown
    assert (list_ids(owner), list_ids(fan)) == ([own_id], [others_id])


def test_dismissal_requires_a_token(owner: ApiUser) -> None:
    assert owner.client.delete("/api/v1/notifications/1").status_code == 401


def test_reading_up_to_a_dismissed_notification_reads_the_older_ones(owner: ApiUser, fan: ApiUser) -> None:
    for _ in range(3):
        fan.like(owner.create_post())
    newest, middle, oldest = list_ids(owner)
    dismiss(owner, newest)
    assert owner.call("post", "/notifications/read", {"up_to": newest}).status_code == 204
    assert [(entry["id"], entry["read"]) for entry in list_notifications(owner)] == [(middle, True), (oldest, True)]
    fan.like(owner.create_post())
    assert list_notifications(owner)[0]["read"] is False


def test_dismissal_takes_two_statements_at_most(
    owner: ApiUser, fan: ApiUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fan.like(owner.create_post())
    (own_id,) = list_ids(owner)
    for position, queries, found in ((int(own_id), 1, True), (int(own_id), 2, True), (4711471147114711, 2, False)):
        with django_assert_num_queries(queries):
            assert read_state.dismiss(owner.id, position) is found


def test_dismissed_notifications_of_an_erased_user_are_deleted(owner: ApiUser, fan: ApiUser) -> None:
    for _ in range(2):
        fan.like(owner.create_post())
    dismiss(owner, list_ids(owner)[0])
    User.objects.filter(pk=owner.id).update(is_active=False)
    while not notifications.delete_for_user(owner.id):
        pass
    assert not Notification.objects.exists()


# --- Kinds -------------------------------------------------------------------------------------------


def notify_of_all_kinds(owner: ApiUser, fan: ApiUser) -> None:
    post_id = owner.create_post()
    fan.like(post_id)
    fan.create_comment(post_id)
    fan.create_post(f"with @{owner.username}")
    social.follow(fan.id, owner.id)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ("like", ["like"]),
        ("follow,like", ["follow", "like"]),
        ("like,follow,like", ["follow", "like"]),
        ("mention&kind=comment", ["mention", "comment"]),
        ("poke", []),
        ("poke,like", ["like"]),
        ("Like", []),
        ("%00", []),
        (",", []),
        (",".join(["like"] * 1_000), ["like"]),
        (",".join(NotificationKind), ["follow", "mention", "comment", "like"]),
    ],
)
def test_list_of_kinds(owner: ApiUser, fan: ApiUser, kinds: str, found: list[str]) -> None:
    notify_of_all_kinds(owner, fan)
    assert [entry["kind"] for entry in list_notifications(owner, kinds)] == found


def test_empty_list_of_kinds_has_no_notification(owner: ApiUser, fan: ApiUser) -> None:
    notify_of_all_kinds(owner, fan)
    list_notifications(owner)
    assert owner.get("/notifications?kind=")["results"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_kinds_are_exact_while_notifications_are_dismissed(owner: ApiUser, fan: ApiUser, limit: int) -> None:
    """Each page is dismissed once it is read, with the notification of the cursor. The rest follows."""
    for _ in range(5):
        notify_of_all_kinds(owner, fan)
        social.unfollow(fan.id, owner.id)
    expected = [entry["id"] for entry in list_notifications(owner) if entry["kind"] in ("like", "mention")]
    assert len(expected) == 10
    seen: list[str] = []
    path: str | None = f"/notifications?kind=like,mention&limit={limit}"
    while path:
        page = owner.get(path)
        assert "kind=like" in (page["next"] or "kind=like")
        seen += [entry["id"] for entry in page["results"]]
        for notification_id in seen[-limit:]:
            dismiss(owner, notification_id)
        path = page["next"] and page["next"].partition("/api/v1")[2]
    assert seen == expected
    assert list_notifications(owner, "like,mention") == []
    assert {entry["kind"] for entry in list_notifications(owner)} == {"comment"}


@pytest.mark.parametrize("size", [2, 30])
def test_list_of_kinds_takes_a_fixed_number_of_queries(
    owner: ApiUser, fan: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        notify_of_all_kinds(owner, fan)
    list_notifications(owner, "like,mention")
    with django_assert_num_queries(5):  # entries, deliverability, posts, relationships to their authors, captions
        owner.get("/notifications?limit=100&kind=like,mention")


@pytest.mark.usefixtures("fresh_tables")
def test_list_of_a_rare_kind_does_not_read_the_others(owner: ApiUser, fan: ApiUser) -> None:
    users: list[User] = UserFactory.create_batch(3)
    events = [Event("like", owner.id, users[0].pk, number) for number in range(1, 3_000)]
    with transaction.atomic():
        notifications.announce(*(Event("follow", owner.id, user.pk) for user in users), *events)
    assert list_notifications(owner, "follow")[0]["actors"][0]["username"] == users[2].username
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_notification")
    with CaptureQueriesContext(connection) as queries:
        list_notifications(owner, "follow,mention")
    (listing,) = [query["sql"] for query in queries if "wanted" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + listing)
        (plan,) = cursor.fetchone()[0]
    scans = [node for node in plan_nodes(plan["Plan"]) if node.get("Relation Name") == "social_notification"]
    assert [node.get("Index Name") for node in scans] == ["notification_newest_of_kind"]
    assert not any(node.get("Rows Removed by Filter") for node in scans)
