"""Create users, follows and posts, deliver posts, and read feeds, in the words of the feed tests."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from unittest.mock import patch

from accounts.models import User
from feeds import fanout, fanout_outbox, timeline, timeline_store
from feeds.models import FanOut
from feeds.timeline_store import Timeline
from instafeed.core.cache import commands
from instafeed.core.jobs.leased import JobState, Outcome
from posts import services as posts
from posts.models import Post
from social import services as social
from tests.support.factories import UserFactory
from tests.support.leased_jobs import claim_job, make_due


def create_users(count: int) -> list[User]:
    return [UserFactory() for _ in range(count)]


def follow(followee: User, *followers: User) -> None:
    for follower in followers:
        social.follow(follower.pk, followee.pk)


def create_posts(author: User, count: int = 1) -> list[int]:
    """Create posts whose fan-outs are pending. Return their ids, oldest first."""
    return [posts.create_post(author.pk, f"post {number}").pk for number in range(count)]


def create_old_posts(author: User, count: int) -> list[int]:
    """Create posts that were delivered before any reader came. Return their ids, newest first."""
    with patch("feeds.receivers.fanout.deliver_to_author"):
        post_ids = [Post.objects.create(author=author, caption="old").pk for _ in range(count)]
    FanOut.objects.filter(pk__in=post_ids).update(state=JobState.DONE)
    return post_ids[::-1]


def deliver_all() -> None:
    """Finish every pending fan-out, in the order of the posts."""
    for post_id in FanOut.objects.filter(state=JobState.PENDING).order_by("pk").values_list("pk", flat=True):
        while deliver(post_id) is Outcome.CONTINUED:
            pass


def deliver(post_id: int) -> Outcome:
    """Deliver one round of this post alone."""
    fan_out = claim(post_id)
    if fan_out is None:
        return Outcome.UNCLAIMED
    (outcome,) = fanout.deliver([fan_out])
    return outcome


def claim(post_id: int) -> FanOut | None:
    """Claim this fan-out, if it is due."""
    return claim_job(fanout_outbox.queue, FanOut, post_id)


def read_feed(viewer: User, size: int = 100) -> list[int]:
    """Read a viewer's whole feed in pages of `size` posts. Return the post ids."""
    post_ids: list[int] = []
    before = None
    while True:
        page, before = timeline.get_page(viewer.pk, before, size)
        post_ids += post_ids_of(page)
        if before is None:
            return post_ids


def post_ids_of(page: Iterable[bytes]) -> list[int]:
    return [int(json.loads(post)["id"]) for post in page]


def get_fan_out(post_id: int) -> FanOut:
    return FanOut.objects.get(pk=post_id)


def make_overdue(post_id: int) -> None:
    """Let a fan-out's lease or retry delay expire now."""
    make_due(FanOut, post_id)


def begin_rebuild(key: str) -> str | None:
    """Claim a cold timeline. Return the claim's token, or None if it is warm or claimed already."""
    token = secrets.token_hex(8)
    (claimed,) = commands.run_unguarded([timeline_store.begin_rebuild_command(key, token)])
    return token if claimed else None


def finish_rebuild(key: str, token: str, timeline: Timeline) -> bool:
    """Store a timeline. Return False if the claim was lost."""
    (stored,) = commands.run_unguarded([timeline_store.finish_rebuild_command(key, token, timeline)])
    return bool(stored)
