"""Notifications through the complete stack: fast, not lost, and without delaying fan-outs."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.imported_follows import import_follows, register_author
from tests.support.live_stack import LiveStack

FOLLOWERS, POSTS = 1_000, 20

# Writes the outbox rows of FOLLOWERS users who like every post, without making that many requests.
FLOOD = """
from django.db import transaction
from accounts.models import User
from social import notifications
from social.models import Follow
owner = User.objects.get(username={owner!r}).pk
fans = list(Follow.objects.filter(followee=owner).order_by("follower_id").values_list("follower_id", flat=True))
for post_id in {posts!r}:
    with transaction.atomic():
        notifications.announce(*(notifications.Event("like", owner, fan, post_id) for fan in fans))
"""
# Workers apply events in the order of their ids and delete them, so a flood cannot end while its last ones are locked.
LOCK_LAST_EVENTS = "SELECT FROM social_notificationevent WHERE recipient_id = %s ORDER BY id DESC LIMIT 100 FOR UPDATE"


@pytest.fixture(scope="module")
def star(live_stack: LiveStack) -> HttpUser:
    """An author with FOLLOWERS imported followers."""
    star = register_author(live_stack)
    import_follows(star, live_stack, followers=FOLLOWERS)
    return star


@pytest.fixture
def database(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def count_pending(database: psycopg.Connection, star: HttpUser) -> int:
    row = database.execute(
        "SELECT count(*) FROM social_notificationevent WHERE recipient_id = %s", [star.id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def flood(stack: LiveStack, star: HttpUser) -> list[str]:
    """Create posts of the star that all followers like at once. Return their ids."""
    posts = [star.create_post(f"number {number}") for number in range(POSTS)]
    stack.manage("shell", "-c", FLOOD.format(owner=star.username, posts=list(map(int, posts))))
    return posts


def like_counts(star: HttpUser) -> dict[str, int]:
    entries = star.get("/notifications?limit=100")["results"]
    return {entry["post_id"]: entry["actor_count"] for entry in entries if entry["kind"] == "like"}


def test_like_is_notified_and_marked_read(live_stack: LiveStack) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    post_id = author.create_post()
    assert fan.call("POST", f"/posts/{post_id}/like").status_code == 200
    eventually(lambda: author.get("/notifications/unread-count") == {"count": 1})
    live_stack.wait_for_replica()
    (entry,) = author.get("/notifications")["results"]
    assert (entry["kind"], entry["post_id"], entry["actors"][0]["id"]) == ("like", post_id, fan.id)
    assert author.call("POST", "/notifications/read", json={"up_to": entry["id"]}).status_code == 204
    assert author.get("/notifications/unread-count") == {"count": 0}
    assert fan.call("DELETE", f"/posts/{post_id}/like").status_code == 200
    eventually(lambda: author.get("/notifications")["results"] == [])


def test_flood_of_likes_does_not_delay_fan_out(
    live_stack: LiveStack, star: HttpUser, database: psycopg.Connection
) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    assert reader.feed() == []
    with database.transaction():  # a post that waited for the whole flood would not come
        # Until the whole flood and the post are pending.
        with live_stack.paused("worker"), live_stack.paused("worker-fan-out"):
            liked = flood(live_stack, star)
            database.execute(LOCK_LAST_EVENTS, [star.id])
            post_id = author.create_post("behind the flood")
        eventually(lambda: post_id in reader.feed(limit=5))
    eventually(lambda: not count_pending(database, star))
    live_stack.wait_for_replica()
    assert like_counts(star).items() >= dict.fromkeys(liked, FOLLOWERS).items()


@pytest.mark.kills_a_part
def test_killed_worker_neither_loses_nor_duplicates_notifications(
    live_stack: LiveStack, star: HttpUser, database: psycopg.Connection
) -> None:
    with database.transaction():  # the worker cannot end the flood before it is killed
        with live_stack.paused("worker"):
            liked = flood(live_stack, star)
            database.execute(LOCK_LAST_EVENTS, [star.id])
        eventually(lambda: count_pending(database, star) < POSTS * FOLLOWERS)
        live_stack.kill("worker")
    eventually(lambda: not count_pending(database, star))
    live_stack.wait_for_replica()
    assert like_counts(star).items() >= dict.fromkeys(liked, FOLLOWERS).items()
