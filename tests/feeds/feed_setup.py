"""Short ways to say what feed tests need."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import redis

from accounts.models import User
from feeds import fanout, timeline
from feeds.fanout import SliceOutcome
from feeds.models import FanOut, State
from instafeed.core.db.replicas import read_your_writes, session
from instafeed.core.db.replicas.monitor import monitor
from posts import services
from posts.models import Post
from social import services as social
from tests.factories import UserFactory


def create_users(count: int) -> list[User]:
    return [UserFactory() for _ in range(count)]


def follow(followee: User, *followers: User) -> None:
    for follower in followers:
        social.follow(follower.pk, followee.pk)


def create_posts(author: User, count: int = 1) -> list[int]:
    """Posts whose fan-out waits; ids, oldest first."""
    return [services.create_post(author.pk, f"post {number}").pk for number in range(count)]


def deliver_all() -> None:
    """Run every waiting fan-out to its end, in the order of the posts."""
    for post_id in FanOut.objects.filter(state=State.PENDING).order_by("pk").values_list("pk", flat=True):
        while fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED:
            pass


def read_feed(viewer: User, size: int = 100) -> list[int]:
    """The ids of a viewer's whole feed, page after page."""
    shown: list[int] = []
    before = None
    while True:
        page, before = timeline.get_page(viewer.pk, before, size)
        shown += post_ids_of(page)
        if before is None:
            return shown


def post_ids_of(page: Iterable[bytes]) -> list[int]:
    return [int(json.loads(post)["id"]) for post in page]


def create_old_posts(author: User, count: int) -> list[int]:
    """Posts from before anybody read: no fan-out, newest first."""
    with patch("feeds.receivers.fanout.deliver_to_author"), patch("feeds.receivers.try_enqueue"):
        ids = [Post.objects.create(author=author, caption="old").pk for _ in range(count)]
    FanOut.objects.filter(pk__in=ids).update(state=State.DONE)
    return ids[::-1]


def wait_for_replica() -> None:
    """Returns once reads go to a replica: after a flush it must first prove to be where the primary is by then."""
    for _ in range(200):
        monitor.check_now()
        state = session.begin_session(is_write=False)
        try:
            if read_your_writes.choose_replica(state):
                return
        finally:
            session.end_session()
        time.sleep(0.05)
    raise AssertionError("the replica does not catch up")


@contextmanager
def count_round_trips() -> Iterator[list[str]]:
    """Every message to Redis within, one entry a round trip: a pipeline is one."""
    trips: list[str] = []
    plain, piped = redis.Redis.execute_command, redis.client.Pipeline.execute

    def execute_command(self: redis.Redis, *args: object, **options: object) -> object:
        if not isinstance(self, redis.client.Pipeline):
            trips.append(str(args[0]))
        return plain(self, *args, **options)

    def execute(self: redis.client.Pipeline, *args: object, **options: object) -> object:
        trips.append("pipeline")
        return piped(self, *args, **options)

    with (
        patch.object(redis.Redis, "execute_command", execute_command),
        patch.object(redis.client.Pipeline, "execute", execute),
    ):
        yield trips
