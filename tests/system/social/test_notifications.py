"""Notifications through the complete stack: fast, not lost, and without delaying fan-outs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

FOLLOWERS, POSTS = 1_000, 20
TIMEOUT = 90  # seconds to consume the flood

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


@pytest.fixture(scope="module")
def star(live_stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> HttpUser:
    """An author with FOLLOWERS imported followers."""
    star = HttpUser(live_stack, "u7000000")
    edges: Path = tmp_path_factory.mktemp("follows") / "edges.tsv"
    edges.write_text("".join(f"{number}\t7000000\n" for number in range(7_000_001, 7_000_001 + FOLLOWERS)))
    result = live_stack.manage("import_follows", str(edges))
    assert result.returncode == 0, result.stderr
    return star


@pytest.fixture
def outbox(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def count_pending(outbox: psycopg.Connection) -> int:
    row = outbox.execute("SELECT count(*) FROM social_notificationevent").fetchone()
    assert row is not None
    return int(row[0])


def flood(star: HttpUser) -> list[str]:
    """Create posts of the star that all followers like at once. Return their ids."""
    posts = [star.create_post(f"number {number}") for number in range(POSTS)]
    code = FLOOD.format(owner=star.username, posts=list(map(int, posts)))
    result = star.stack.manage("shell", "-c", code)
    assert result.returncode == 0, result.stderr
    return posts


def like_counts(star: HttpUser) -> dict[str, int]:
    entries = star.get("/notifications?limit=100")["results"]
    return {entry["post_id"]: entry["actor_count"] for entry in entries if entry["kind"] == "like"}


def test_like_is_notified_and_marked_read(live_stack: LiveStack) -> None:
    author, fan = HttpUser(live_stack), HttpUser(live_stack)
    post_id = author.create_post()
    assert fan.call("POST", f"/posts/{post_id}/like").status_code == 200
    eventually(lambda: author.get("/notifications/unread-count") == {"count": 1})
    (entry,) = author.get("/notifications")["results"]
    assert (entry["kind"], entry["post_id"], entry["actors"][0]["id"]) == ("like", post_id, fan.id)
    assert author.call("POST", "/notifications/read", json={"up_to": entry["id"]}).status_code == 204
    assert author.get("/notifications/unread-count") == {"count": 0}
    assert fan.call("DELETE", f"/posts/{post_id}/like").status_code == 200
    eventually(lambda: author.get("/notifications")["results"] == [])


@pytest.mark.timeout(300)
def test_flood_of_likes_does_not_delay_fan_out(
    live_stack: LiveStack, star: HttpUser, outbox: psycopg.Connection
) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    assert reader.feed() == []
    posts = flood(star)
    waits = []
    while count_pending(outbox) and len(waits) < 5:
        post_id = author.create_post("in the middle of it")
        waits.append(eventually(lambda: post_id in reader.feed(limit=5)))  # noqa: B023
    assert waits, "the flood was over before the first post"
    assert max(waits) < 5, waits
    eventually(lambda: not count_pending(outbox))
    assert like_counts(star).items() >= dict.fromkeys(posts, FOLLOWERS).items()


@pytest.mark.timeout(300)
def test_killed_worker_neither_loses_nor_duplicates_notifications(
    live_stack: LiveStack, star: HttpUser, outbox: psycopg.Connection
) -> None:
    posts = flood(star)
    eventually(lambda: count_pending(outbox) < POSTS * FOLLOWERS)
    for process in live_stack.tree("worker"):
        process.kill()
    assert count_pending(outbox), "the flood was over before the kill"
    eventually(lambda: not count_pending(outbox))
    assert like_counts(star).items() >= dict.fromkeys(posts, FOLLOWERS).items()
    eventually(lambda: live_stack.alive("worker"))
